// Which part of the canvas is seen, and how large. Lengths are device pixels;
// scale is device pixels per cell, whole from 1 on, so that cells are crisp
// and all of one size.

const SCALES = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96];
/** What always stays in view of the canvas, so that it cannot be lost. */
const KEEP = 48;

export class Viewport {
  /** Cells of the canvas. */
  columns = 1;
  rows = 1;
  /** Size of the view. */
  width = 1;
  height = 1;
  /** Where the canvas's upper left corner is in the view. */
  left = 0;
  top = 0;
  scale = 1;
  /** Whether the whole canvas stays fitted when the view changes. */
  fitted = true;

  setCanvas(columns, rows) {
    const same = columns === this.columns && rows === this.rows;
    this.columns = columns;
    this.rows = rows;
    if (!same) this.fit();
  }

  resize(width, height) {
    this.left += Math.round((width - this.width) / 2);
    this.top += Math.round((height - this.height) / 2);
    this.width = width;
    this.height = height;
    if (this.fitted) this.fit();
    else this.#clamp();
  }

  /** Shows the whole canvas, as large as fits. */
  fit() {
    const scale = Math.min(this.width / this.columns, this.height / this.rows);
    this.scale = scale >= 1 ? Math.floor(scale) : scale;
    this.fitted = true;
    this.left = Math.floor((this.width - this.columns * this.scale) / 2);
    this.top = Math.floor((this.height - this.rows * this.scale) / 2);
  }

  /** One step in (+1) or out (−1) around a point of the view. */
  zoom(direction, x = this.width / 2, y = this.height / 2) {
    const next = direction > 0 ? SCALES.find((s) => s > this.scale) : SCALES.findLast((s) => s < this.scale);
    if (next) this.zoomTo(next, x, y);
  }

  /** The nearest allowed scale, with the point of the view staying in place. */
  zoomTo(scale, x, y) {
    const nearest = SCALES.reduce((a, b) => (Math.abs(Math.log(b / scale)) < Math.abs(Math.log(a / scale)) ? b : a));
    if (nearest === this.scale) return;
    this.left = Math.round(x - ((x - this.left) * nearest) / this.scale);
    this.top = Math.round(y - ((y - this.top) * nearest) / this.scale);
    this.scale = nearest;
    this.fitted = false;
    this.#clamp();
  }

  pan(dx, dy) {
    this.left += Math.round(dx);
    this.top += Math.round(dy);
    this.fitted = false;
    this.#clamp();
  }

  /** Moves as little as needed for a cell to be seen. */
  reveal(x, y) {
    const left = this.left + x * this.scale;
    const top = this.top + y * this.scale;
    if (left < 0) this.left -= left;
    if (top < 0) this.top -= top;
    if (left + this.scale > this.width) this.left -= left + this.scale - this.width;
    if (top + this.scale > this.height) this.top -= top + this.scale - this.height;
  }

  /** The cell at a point of the view; it may lie off the canvas. */
  cellAt(x, y) {
    return [Math.floor((x - this.left) / this.scale), Math.floor((y - this.top) / this.scale)];
  }

  #clamp() {
    const keepX = Math.min(KEEP, this.width, this.columns * this.scale);
    const keepY = Math.min(KEEP, this.height, this.rows * this.scale);
    this.left = Math.max(keepX - this.columns * this.scale, Math.min(this.width - keepX, this.left));
    this.top = Math.max(keepY - this.rows * this.scale, Math.min(this.height - keepY, this.top));
  }
}
