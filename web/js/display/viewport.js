// Which part of the canvas is seen, and how large. Lengths are device pixels;
// scale is device pixels per cell, whole from 1 on, so that cells are crisp
// and all of one size whatever the screen's ratio is.

const STEPS = [1 / 16, 1 / 12, 1 / 8, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256];
/** Most CSS pixels per cell. */
export const MAX_ZOOM = 64;
/** What always stays in view of the canvas, so that it cannot be lost. */
const KEEP = 48;
/** A wheel's notch is at least this; a touchpad sends less at a time. */
const NOTCH = 1.1;

export class Viewport {
  /** Cells of the canvas. */
  columns = 1;
  rows = 1;
  /** Size of the view. */
  width = 1;
  height = 1;
  /** Device pixels per CSS pixel. */
  ratio = 1;
  /** What panels cover at each side; the canvas is fitted between them. */
  insets = { top: 0, right: 0, bottom: 0, left: 0 };
  /** Where the canvas's upper left corner is in the view. */
  left = 0;
  top = 0;
  scale = 1;
  /** Whether the whole canvas stays fitted when the view changes. */
  fitted = true;
  /** The scale that small steps add up to before it is made whole. */
  #wanted = 1;

  /** @param {number} columns @param {number} rows */
  setCanvas(columns, rows) {
    const same = columns === this.columns && rows === this.rows;
    this.columns = columns;
    this.rows = rows;
    if (!same) this.fit();
  }

  /** @param {number} width @param {number} height @param {number} [ratio] */
  resize(width, height, ratio = 1) {
    const [x, y] = this.middle;
    const before = this.scale;
    const ratioBefore = this.ratio;
    this.width = width;
    this.height = height;
    this.ratio = ratio;
    if (this.fitted) return this.fit();
    // Another ratio is the same view on another screen.
    this.scale = this.#snap((before * ratio) / ratioBefore);
    this.#wanted = this.scale;
    this.#centre(x, y);
  }

  /** @param {{top: number, right: number, bottom: number, left: number}} insets */
  setInsets(insets) {
    this.insets = insets;
    if (this.fitted) this.fit();
  }

  /** The part of the view that no panel covers. */
  get free() {
    const { top, right, bottom, left } = this.insets;
    const width = Math.max(32, this.width - left - right);
    const height = Math.max(32, this.height - top - bottom);
    return { left, top, width, height };
  }

  get fitScale() {
    const scale = Math.min(this.free.width / this.columns, this.free.height / this.rows, this.maxScale);
    return scale >= 1 ? Math.floor(scale) : scale;
  }

  get maxScale() {
    return Math.floor(MAX_ZOOM * this.ratio);
  }

  get minScale() {
    return Math.min(1, this.fitScale);
  }

  /** Whether all of the canvas is in the part that no panel covers. */
  get seesAll() {
    const { left, top, width, height } = this.free;
    return this.left >= left - 1 && this.top >= top - 1 && this.left + this.columns * this.scale <= left + width + 1 && this.top + this.rows * this.scale <= top + height + 1;
  }

  /** Shows the whole canvas, as large as fits. */
  fit() {
    const { left, top, width, height } = this.free;
    this.scale = this.fitScale;
    this.#wanted = this.scale;
    this.fitted = true;
    this.left = left + Math.floor((width - this.columns * this.scale) / 2);
    this.top = top + Math.floor((height - this.rows * this.scale) / 2);
  }

  /** The point of the canvas, in cells, in the middle of what is free. @returns {[number, number]} */
  get middle() {
    const { left, top, width, height } = this.free;
    return [(left + width / 2 - this.left) / this.scale, (top + height / 2 - this.top) / this.scale];
  }

  /**
   * Puts a point of the canvas, in cells, into the middle.
   * @param {number} x
   * @param {number} y
   * @param {number} [scale]
   */
  lookAt(x, y, scale = this.scale) {
    this.scale = this.#snap(scale);
    this.#wanted = this.scale;
    this.fitted = false;
    this.#centre(x, y);
  }

  /** @param {number} x @param {number} y */
  #centre(x, y) {
    const { left, top, width, height } = this.free;
    this.left = Math.round(left + width / 2 - x * this.scale);
    this.top = Math.round(top + height / 2 - y * this.scale);
    this.#clamp();
  }

  /** One step in (+1) or out (−1) around a point of the view. */
  zoom(/** @type {number} */ direction, x = this.free.left + this.free.width / 2, y = this.free.top + this.free.height / 2) {
    const next = direction > 0 ? STEPS.find((s) => s > this.scale) : STEPS.findLast((s) => s < this.scale);
    this.zoomTo(next ?? this.scale, x, y);
  }

  /**
   * In or out by a factor, as a wheel or two fingers do it. Factors that are
   * too small for the next whole scale add up.
   * @param {number} factor
   * @param {number} x
   * @param {number} y
   */
  zoomBy(factor, x, y) {
    const wanted = this.#limit(this.#wanted * factor);
    const before = this.scale;
    if (Math.max(factor, 1 / factor) >= NOTCH && this.#snap(wanted) === before) return this.zoom(factor > 1 ? 1 : -1, x, y);
    this.zoomTo(wanted, x, y);
    this.#wanted = wanted;
  }

  /**
   * The nearest allowed scale, with the point of the view staying in place.
   * @param {number} scale
   * @param {number} x
   * @param {number} y
   */
  zoomTo(scale, x, y) {
    const next = this.#snap(scale);
    this.#wanted = next;
    if (next === this.scale) return;
    this.left = Math.round(x - ((x - this.left) * next) / this.scale);
    this.top = Math.round(y - ((y - this.top) * next) / this.scale);
    this.scale = next;
    this.fitted = false;
    this.#clamp();
  }

  /** @param {number} scale */
  #limit(scale) {
    return Math.max(this.minScale, Math.min(this.maxScale, scale));
  }

  /** @param {number} scale */
  #snap(scale) {
    const limited = this.#limit(scale);
    return limited >= 1 ? Math.round(limited) : limited;
  }

  /** @param {number} dx @param {number} dy */
  pan(dx, dy) {
    this.left += Math.round(dx);
    this.top += Math.round(dy);
    this.fitted = false;
    this.#clamp();
  }

  /** Moves as little as needed for a cell to be seen. @param {number} x @param {number} y */
  reveal(x, y) {
    const free = this.free;
    const left = this.left + x * this.scale - free.left;
    const top = this.top + y * this.scale - free.top;
    if (left < 0) this.left -= Math.floor(left);
    if (top < 0) this.top -= Math.floor(top);
    if (left + this.scale > free.width) this.left -= Math.ceil(left + this.scale - free.width);
    if (top + this.scale > free.height) this.top -= Math.ceil(top + this.scale - free.height);
  }

  /**
   * The cell at a point of the view; it may lie off the canvas.
   * @param {number} x
   * @param {number} y
   * @returns {[number, number]}
   */
  cellAt(x, y) {
    return [Math.floor((x - this.left) / this.scale), Math.floor((y - this.top) / this.scale)];
  }

  #clamp() {
    const keepX = Math.min(KEEP * this.ratio, this.width, this.columns * this.scale);
    const keepY = Math.min(KEEP * this.ratio, this.height, this.rows * this.scale);
    this.left = Math.round(Math.max(keepX - this.columns * this.scale, Math.min(this.width - keepX, this.left)));
    this.top = Math.round(Math.max(keepY - this.rows * this.scale, Math.min(this.height - keepY, this.top)));
  }
}
