// Draws the picture: what is damaged, once a frame.
//
// `source` is the picture with one pixel a cell; the visible canvas shows the
// part of it that the viewport says. Damage is kept in square tiles: exact
// enough to leave the rest alone, few enough to be cheap when much changes.

import { Viewport } from './viewport.js';

const TILE = 32;
/** From this scale on (device pixels per cell) lines part the cells. */
const GRID_SCALE = 10;
const GRID_COLOR = 'rgba(128, 128, 128, 0.28)';

export class Display {
  viewport = new Viewport();

  #element;
  #context;
  #marker;
  #sheet;
  #colorAt;
  #source = null;
  #sourceContext = null;
  #damaged = new Set();
  #all = false;
  #tilesAcross = 0;
  #scheduled = false;
  #mark = null;

  /**
   * @param {HTMLCanvasElement} element fills its parent by CSS
   * @param {{marker: HTMLElement, sheet: HTMLElement}} around marker frames the
   *   cell that is pointed at, sheet lies beneath the whole picture
   * @param {(x: number, y: number) => number} colorAt 0xRRGGBB of a cell
   */
  constructor(element, { marker, sheet }, colorAt) {
    this.#element = element;
    this.#marker = marker;
    this.#sheet = sheet;
    this.#colorAt = colorAt;
    this.#context = element.getContext('2d', { alpha: true });
    new ResizeObserver(() => this.#resize()).observe(element.parentElement);
    this.#resize();
  }

  /** Another picture took the old one's place. */
  setPicture({ width, height }) {
    if (this.#source?.width !== width || this.#source?.height !== height) {
      this.#source = document.createElement('canvas');
      this.#source.width = width;
      this.#source.height = height;
      this.#sourceContext = this.#source.getContext('2d', { alpha: false });
      this.#tilesAcross = Math.ceil(width / TILE);
      this.viewport.setCanvas(width, height);
    }
    this.damageAll();
  }

  damage(x, y) {
    if (!this.#source || x >= this.#source.width || y >= this.#source.height) return;
    this.#damaged.add(Math.floor(y / TILE) * this.#tilesAcross + Math.floor(x / TILE));
    this.#schedule();
  }

  damageAll() {
    if (!this.#source) return;
    const tiles = this.#tilesAcross * Math.ceil(this.#source.height / TILE);
    for (let n = 0; n < tiles; n++) this.#damaged.add(n);
    this.viewChanged();
  }

  /** The viewport moved: the same picture elsewhere. */
  viewChanged() {
    this.#all = true;
    this.#schedule();
  }

  /** Frames a cell; null: none. */
  mark(cell) {
    this.#mark = cell;
    this.#placeMarker();
  }

  /** The cell under a point of the page. */
  cellAt(clientX, clientY) {
    return this.viewport.cellAt(...this.toView(clientX, clientY));
  }

  /** A point of the page in the viewport's device pixels. */
  toView(clientX, clientY) {
    const box = this.#element.getBoundingClientRect();
    return [((clientX - box.left) * this.#element.width) / box.width, ((clientY - box.top) * this.#element.height) / box.height];
  }

  #resize() {
    const box = this.#element.parentElement.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(box.width * ratio));
    const height = Math.max(1, Math.round(box.height * ratio));
    if (width === this.#element.width && height === this.#element.height) return;
    this.#element.width = width;
    this.#element.height = height;
    this.viewport.resize(width, height);
    this.viewChanged();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  #draw() {
    if (!this.#source) return;
    const tiles = [...this.#damaged].map((n) => this.#tile(n));
    this.#damaged.clear();
    for (const t of tiles) this.#compose(t);
    const { left, top, scale } = this.viewport;
    // Tiles of a scale that is not whole would show seams.
    if (this.#all || !Number.isInteger(scale)) {
      this.#all = false;
      this.#context.clearRect(0, 0, this.#element.width, this.#element.height);
      this.#show({ x: 0, y: 0, width: this.#source.width, height: this.#source.height });
      this.#placeSheet();
      this.#placeMarker();
    } else {
      for (const t of tiles) this.#show(t);
    }
    // For tests, and for whoever looks: where the cells are in the element.
    Object.assign(this.#element.dataset, { left, top, scale });
  }

  #tile(n) {
    const x = (n % this.#tilesAcross) * TILE;
    const y = Math.floor(n / this.#tilesAcross) * TILE;
    return { x, y, width: Math.min(TILE, this.#source.width - x), height: Math.min(TILE, this.#source.height - y) };
  }

  #compose({ x, y, width, height }) {
    const image = this.#sourceContext.createImageData(width, height);
    for (let row = 0, i = 0; row < height; row++) {
      for (let column = 0; column < width; column++, i += 4) {
        const color = this.#colorAt(x + column, y + row);
        image.data[i] = color >>> 16;
        image.data[i + 1] = (color >>> 8) & 0xff;
        image.data[i + 2] = color & 0xff;
        image.data[i + 3] = 0xff;
      }
    }
    this.#sourceContext.putImageData(image, x, y);
  }

  /** Draws the visible part of a rectangle of cells. */
  #show({ x, y, width, height }) {
    const { left, top, scale } = this.viewport;
    const fromX = Math.max(x, Math.floor(-left / scale));
    const fromY = Math.max(y, Math.floor(-top / scale));
    const toX = Math.min(x + width, Math.ceil((this.#element.width - left) / scale));
    const toY = Math.min(y + height, Math.ceil((this.#element.height - top) / scale));
    if (fromX >= toX || fromY >= toY) return;
    const [w, h] = [toX - fromX, toY - fromY];
    const c = this.#context;
    // Setting the element's size resets this, too.
    c.imageSmoothingEnabled = scale < 1;
    c.drawImage(this.#source, fromX, fromY, w, h, left + fromX * scale, top + fromY * scale, w * scale, h * scale);
    if (scale < GRID_SCALE) return;
    c.fillStyle = GRID_COLOR;
    for (let column = fromX; column < toX; column++) c.fillRect(left + column * scale, top + fromY * scale, 1, h * scale);
    for (let row = fromY; row < toY; row++) c.fillRect(left + fromX * scale, top + row * scale, w * scale, 1);
  }

  #placeSheet() {
    const { left, top, scale } = this.viewport;
    this.#sheet.hidden = false;
    this.#place(this.#sheet, left, top, this.#source.width * scale, this.#source.height * scale);
  }

  #placeMarker() {
    this.#marker.hidden = this.#mark === null;
    if (!this.#mark) return;
    const { left, top, scale } = this.viewport;
    const [x, y] = this.#mark;
    this.#place(this.#marker, left + x * scale, top + y * scale, Math.max(scale, 4), Math.max(scale, 4));
  }

  /** Puts an element over a rectangle of the view. */
  #place(element, left, top, width, height) {
    const ratio = this.#element.width / this.#element.getBoundingClientRect().width || 1;
    element.style.width = `${width / ratio}px`;
    element.style.height = `${height / ratio}px`;
    element.style.transform = `translate(${left / ratio}px, ${top / ratio}px)`;
  }
}
