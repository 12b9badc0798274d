// The whole canvas in small, with a frame around what is seen; shown when that
// is not all. Dragging the frame moves the view.

/** Longest side in CSS pixels, and how often the small picture is renewed. */
const SIDE = 132;
const EVERY = 250;

export class Minimap {
  #root;
  #canvas;
  #frame;
  #display;
  /** @type {ReturnType<typeof setTimeout>|null} */
  #timer = null;

  /**
   * @param {HTMLElement} root hidden while the whole canvas is seen
   * @param {import('./display.js').Display} display
   */
  constructor(root, display) {
    this.#root = root;
    this.#display = display;
    this.#canvas = /** @type {HTMLCanvasElement} */ (root.querySelector('canvas'));
    this.#frame = /** @type {HTMLElement} */ (root.querySelector('.frame'));
    display.addEventListener('view', () => this.#place());
    display.addEventListener('painted', () => (this.#timer ??= setTimeout(() => this.#paint(), EVERY)));
    root.addEventListener('pointerdown', (e) => {
      root.setPointerCapture(e.pointerId);
      this.#go(e);
    });
    root.addEventListener('pointermove', (e) => root.hasPointerCapture(e.pointerId) && this.#go(e));
    this.#place();
  }

  get #scale() {
    const { columns, rows } = this.#display.viewport;
    return SIDE / Math.max(columns, rows);
  }

  #place() {
    const { viewport } = this.#display;
    const { columns, rows, left, top, width, height, scale } = viewport;
    const hidden = viewport.seesAll;
    const shown = this.#root.hidden && !hidden;
    this.#root.hidden = hidden;
    if (hidden) return;
    const k = this.#scale;
    if (shown) this.#paint();
    const x0 = Math.max(0, -left / scale);
    const y0 = Math.max(0, -top / scale);
    const x1 = Math.min(columns, (width - left) / scale);
    const y1 = Math.min(rows, (height - top) / scale);
    Object.assign(this.#frame.style, {
      width: `${Math.max(6, (x1 - x0) * k)}px`,
      height: `${Math.max(6, (y1 - y0) * k)}px`,
      transform: `translate(${x0 * k}px, ${y0 * k}px)`,
    });
  }

  #paint() {
    this.#timer = null;
    const source = this.#display.source;
    if (this.#root.hidden || !source) return;
    const k = this.#scale;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [width, height] = [Math.max(1, Math.round(source.width * k)), Math.max(1, Math.round(source.height * k))];
    const canvas = this.#canvas;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    context.imageSmoothingEnabled = k < 1;
    context.drawImage(source, 0, 0, canvas.width, canvas.height);
  }

  /** @param {PointerEvent} e */
  #go(e) {
    const box = this.#canvas.getBoundingClientRect();
    const { viewport } = this.#display;
    viewport.lookAt(((e.clientX - box.left) / box.width) * viewport.columns, ((e.clientY - box.top) / box.height) * viewport.rows);
    this.#display.viewChanged();
  }
}
