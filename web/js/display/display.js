// Draws the picture: what is damaged, once a frame.
//
// `source` is the picture with one pixel a cell; the visible canvas shows the
// part of it that the viewport says. Damage is kept in square tiles: exact
// enough to leave the rest alone, few enough to be cheap when much changes.
// What is not picture (marks, previews, cursors) is drawn by layers on a
// canvas of their own above it.

import { Viewport } from './viewport.js';

const TILE = 32;
/** When more tiles than this are damaged, one drawing of all is cheaper. */
const MAX_TILES = 256;
/** From this many CSS pixels per cell on, lines part the cells. */
const GRID_ZOOM = 10;
const GRID_COLOR = 'rgba(128, 128, 128, 0.24)';

/**
 * Something above the picture. `draw` is called in the one animation frame in
 * which it is needed, on a canvas that has just been cleared, in device
 * pixels; what it leaves of the context's state the next layer does not see.
 * @typedef {object} Layer
 * @property {(context: CanvasRenderingContext2D, viewport: Viewport) => void} draw
 */

export class Display extends EventTarget {
  viewport = new Viewport();

  #element;
  #context;
  #sheet;
  #layersContext;
  #colorAt;
  /** @type {Layer[]} */
  #layers = [];
  /** @type {HTMLCanvasElement|null} */
  #source = null;
  /** @type {CanvasRenderingContext2D|null} */
  #sourceContext = null;
  /** @type {Set<number>} */
  #damaged = new Set();
  #all = false;
  #layersDirty = false;
  #tilesAcross = 0;
  #scheduled = false;

  /**
   * Tells "view" when the viewport moved and "painted" when the picture changed.
   * @param {HTMLCanvasElement} element fills its parent by CSS
   * @param {{layers: HTMLCanvasElement, sheet: HTMLElement}} around layers lies
   *   just above it, sheet beneath the whole picture
   * @param {(x: number, y: number) => number} colorAt 0xRRGGBB of a cell
   */
  constructor(element, { layers, sheet }, colorAt) {
    super();
    this.#element = element;
    this.#sheet = sheet;
    this.#colorAt = colorAt;
    this.#context = context(element, { alpha: true });
    this.#layersContext = context(layers, { alpha: true });
    new ResizeObserver(() => this.#resize()).observe(/** @type {Element} */ (element.parentElement));
    this.#watchRatio();
    this.#resize();
  }

  /** The picture, one pixel a cell; null: there is none yet. */
  get source() {
    return this.#source;
  }

  /** @param {Layer} layer above those that were added before */
  addLayer(layer) {
    this.#layers.push(layer);
    this.layersChanged();
  }

  /** A layer looks different; the picture does not. */
  layersChanged() {
    this.#layersDirty = true;
    this.#schedule();
  }

  /** Another picture took the old one's place. @param {{width: number, height: number}} size */
  setPicture({ width, height }) {
    if (this.#source?.width !== width || this.#source?.height !== height) {
      this.#source = document.createElement('canvas');
      this.#source.width = width;
      this.#source.height = height;
      this.#sourceContext = context(this.#source, { alpha: false });
      this.#tilesAcross = Math.ceil(width / TILE);
      this.viewport.setCanvas(width, height);
    }
    this.damageAll();
  }

  /** @param {number} x @param {number} y */
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
    this.layersChanged();
  }

  /** What panels cover, in CSS pixels. @param {{top: number, right: number, bottom: number, left: number}} covered */
  setInsets(covered) {
    const ratio = this.viewport.ratio;
    const scaled = (/** @type {number} */ v) => Math.round(v * ratio);
    this.viewport.setInsets({ top: scaled(covered.top), right: scaled(covered.right), bottom: scaled(covered.bottom), left: scaled(covered.left) });
    this.viewChanged();
  }

  /** The cell under a point of the page. @param {number} clientX @param {number} clientY */
  cellAt(clientX, clientY) {
    return this.viewport.cellAt(...this.toView(clientX, clientY));
  }

  /**
   * A point of the page in the viewport's device pixels.
   * @param {number} clientX
   * @param {number} clientY
   * @returns {[number, number]}
   */
  toView(clientX, clientY) {
    const box = this.#element.getBoundingClientRect();
    return [((clientX - box.left) * this.#element.width) / box.width, ((clientY - box.top) * this.#element.height) / box.height];
  }

  /** The page was moved to a screen of another ratio, or zoomed. */
  #watchRatio() {
    const query = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
    query.addEventListener('change', () => (this.#resize(), this.#watchRatio()), { once: true });
  }

  #resize() {
    const box = /** @type {Element} */ (this.#element.parentElement).getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(box.width * ratio));
    const height = Math.max(1, Math.round(box.height * ratio));
    const layers = this.#layersContext.canvas;
    if (width === this.#element.width && height === this.#element.height && ratio === this.viewport.ratio) return;
    this.#element.width = layers.width = width;
    this.#element.height = layers.height = height;
    this.viewport.resize(width, height, ratio);
    this.dispatchEvent(new Event('resize'));
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
    const moved = this.#all;
    const tiles = [...this.#damaged].map((n) => this.#tile(n));
    this.#damaged.clear();
    for (const t of tiles) this.#compose(t);
    if (moved || tiles.length > MAX_TILES) {
      this.#all = false;
      this.#context.clearRect(0, 0, this.#element.width, this.#element.height);
      this.#show({ x: 0, y: 0, width: this.#source.width, height: this.#source.height });
      this.#placeSheet();
    } else {
      for (const t of tiles) this.#show(t);
    }
    if (this.#layersDirty) this.#drawLayers();
    // For tests, and for whoever looks: where the cells are in the element.
    const { left, top, scale } = this.viewport;
    Object.assign(this.#element.dataset, { left, top, scale });
    if (tiles.length > 0) this.dispatchEvent(new Event('painted'));
    if (moved) this.dispatchEvent(new Event('view'));
  }

  #drawLayers() {
    this.#layersDirty = false;
    const c = this.#layersContext;
    c.clearRect(0, 0, c.canvas.width, c.canvas.height);
    for (const layer of this.#layers) {
      c.save();
      layer.draw(c, this.viewport);
      c.restore();
    }
  }

  /** @param {number} n */
  #tile(n) {
    const source = /** @type {HTMLCanvasElement} */ (this.#source);
    const x = (n % this.#tilesAcross) * TILE;
    const y = Math.floor(n / this.#tilesAcross) * TILE;
    return { x, y, width: Math.min(TILE, source.width - x), height: Math.min(TILE, source.height - y) };
  }

  /** @typedef {{x: number, y: number, width: number, height: number}} Rect in cells */

  /** @param {Rect} rect */
  #compose({ x, y, width, height }) {
    const context = /** @type {CanvasRenderingContext2D} */ (this.#sourceContext);
    const image = context.createImageData(width, height);
    for (let row = 0, i = 0; row < height; row++) {
      for (let column = 0; column < width; column++, i += 4) {
        const color = this.#colorAt(x + column, y + row);
        image.data[i] = color >>> 16;
        image.data[i + 1] = (color >>> 8) & 0xff;
        image.data[i + 2] = color & 0xff;
        image.data[i + 3] = 0xff;
      }
    }
    context.putImageData(image, x, y);
  }

  /** Draws the visible part of a rectangle of cells. @param {Rect} rect */
  #show({ x, y, width, height }) {
    const source = /** @type {HTMLCanvasElement} */ (this.#source);
    const { left, top, scale } = this.viewport;
    const fromX = Math.max(x, Math.floor(-left / scale));
    const fromY = Math.max(y, Math.floor(-top / scale));
    const toX = Math.min(x + width, Math.ceil((this.#element.width - left) / scale));
    const toY = Math.min(y + height, Math.ceil((this.#element.height - top) / scale));
    if (fromX >= toX || fromY >= toY) return;
    const [w, h] = [toX - fromX, toY - fromY];
    const c = this.#context;
    if (scale < 1) return this.#shrink(source, fromX, fromY, w, h);
    // Setting the element's size resets this, too.
    c.imageSmoothingEnabled = false;
    c.drawImage(source, fromX, fromY, w, h, left + fromX * scale, top + fromY * scale, w * scale, h * scale);
    if (scale < GRID_ZOOM * this.viewport.ratio) return;
    const thin = Math.max(1, Math.floor(this.viewport.ratio / 2));
    c.fillStyle = GRID_COLOR;
    for (let column = fromX; column < toX; column++) c.fillRect(left + column * scale, top + fromY * scale, thin, h * scale);
    for (let row = fromY; row < toY; row++) c.fillRect(left + fromX * scale, top + row * scale, w * scale, thin);
  }

  /**
   * Where several cells share a pixel, each part is cut out of the same drawing
   * of the whole: drawn by themselves, parts would show seams.
   * @param {HTMLCanvasElement} source
   * @param {number} x
   * @param {number} y
   * @param {number} width
   * @param {number} height
   */
  #shrink(source, x, y, width, height) {
    const { left, top, scale } = this.viewport;
    const c = this.#context;
    const x0 = Math.floor(left + x * scale) - 1;
    const y0 = Math.floor(top + y * scale) - 1;
    c.save();
    c.beginPath();
    c.rect(x0, y0, Math.ceil(left + (x + width) * scale) + 1 - x0, Math.ceil(top + (y + height) * scale) + 1 - y0);
    c.clip();
    c.imageSmoothingEnabled = true;
    c.drawImage(source, left, top, source.width * scale, source.height * scale);
    c.restore();
  }

  #placeSheet() {
    const source = /** @type {HTMLCanvasElement} */ (this.#source);
    const { left, top, scale, ratio } = this.viewport;
    const style = this.#sheet.style;
    this.#sheet.hidden = false;
    style.width = `${(source.width * scale) / ratio}px`;
    style.height = `${(source.height * scale) / ratio}px`;
    style.transform = `translate(${left / ratio}px, ${top / ratio}px)`;
  }
}

/** @param {HTMLCanvasElement} canvas @param {CanvasRenderingContext2DSettings} settings */
function context(canvas, settings) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', settings));
}
