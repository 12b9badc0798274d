// Mouse, pen and touch. One pointer draws with the tool in hand; two fingers,
// the middle button, the hand and a held space bar move the view, wheel and
// pinch change its scale. A second finger takes back what the first has only
// just begun, so that a pinch leaves no dots.

/** @typedef {import('./raster.js').Cell} Cell */

/** How much a wheel's unit changes the scale. */
const WHEEL = 0.0022;
/** CSS pixels that a wheel's line and page count for. */
const LINE = 33;
const PAGE = 400;
/** A hand that moved less than this, in CSS pixels, has tapped. */
const TAP = 6;

export class Pointer {
  #element;
  #display;
  #drawing;
  #on;
  /** @type {Map<number, [number, number]>} where each pointer is on the page */
  #pointers = new Map();
  /** @type {number|null} */
  #drawer = null;
  /** @type {{id: number, x: number, y: number, moved: number}|null} */
  #pan = null;
  /** @type {{x: number, y: number, distance: number}|null} */
  #pinch = null;
  /** The space bar is held: whatever the tool is, the view moves. */
  #holding = false;

  /**
   * @param {HTMLCanvasElement} element the canvas
   * @param {import('../display/display.js').Display} display
   * @param {import('./drawing.js').Drawing} drawing
   * @param {object} on
   * @param {(cell: Cell|null) => void} on.hover the cell under mouse or pen; null: none
   * @param {(cell: Cell) => void} on.down something began there
   * @param {(cell: Cell) => void} on.tap the hand tapped a cell
   * @param {() => boolean} on.mayHold whether a space bar means the view now
   */
  constructor(element, display, drawing, on) {
    this.#element = element;
    this.#display = display;
    this.#drawing = drawing;
    this.#on = on;
    element.addEventListener('pointerdown', (e) => this.#down(e));
    element.addEventListener('pointermove', (e) => this.#move(e));
    element.addEventListener('pointerup', (e) => this.#up(e));
    element.addEventListener('pointercancel', (e) => this.#up(e));
    element.addEventListener('pointerleave', (e) => e.pointerType !== 'touch' && on.hover(null));
    element.addEventListener('contextmenu', (e) => e.preventDefault());
    element.addEventListener('wheel', (e) => this.#wheel(e), { passive: false });
    // A stroke counts as it is when the page goes away.
    document.addEventListener('visibilitychange', () => document.hidden && drawing.end());
    window.addEventListener('pagehide', () => drawing.end());
    document.addEventListener('keydown', (e) => {
      // A key that presses a button or writes is not meant for the view.
      if (e.key !== ' ' || (e.target !== document.body && e.target !== element) || !on.mayHold()) return;
      e.preventDefault();
      this.#hold(true);
    });
    document.addEventListener('keyup', (e) => e.key === ' ' && this.#hold(false));
    window.addEventListener('blur', () => this.#hold(false));
  }

  /** @param {boolean} holding */
  #hold(holding) {
    this.#holding = holding;
    this.#element.classList.toggle('holding', holding);
  }

  /** @param {PointerEvent} e */
  #down(e) {
    this.#pointers.set(e.pointerId, [e.clientX, e.clientY]);
    this.#element.setPointerCapture(e.pointerId);
    if (e.pointerType === 'touch' && this.#pointers.size === 2) {
      if (this.#drawing.tentative) this.#drawing.cancel();
      else this.#drawing.end();
      this.#drawer = null;
      this.#pan = null;
      this.#pinch = this.#spread();
      return;
    }
    if (this.#pointers.size > 1) return;
    const cell = this.#display.cellAt(e.clientX, e.clientY);
    this.#on.down(cell);
    this.#on.hover(e.pointerType === 'touch' ? null : cell);
    if (e.button === 1 || this.#holding || (e.button === 0 && this.#drawing.tool === 'hand')) {
      this.#pan = { id: e.pointerId, x: e.clientX, y: e.clientY, moved: 0 };
      this.#element.classList.add('panning');
      e.preventDefault();
    } else if (e.button === 0 || e.button === 2) {
      const tool = e.button === 2 || e.altKey ? 'eyedropper' : undefined;
      if (this.#drawing.begin(cell, tool)) this.#drawer = e.pointerId;
    }
  }

  /** @param {PointerEvent} e */
  #move(e) {
    if (e.pointerType !== 'touch') this.#on.hover(this.#display.cellAt(e.clientX, e.clientY));
    if (!this.#pointers.has(e.pointerId)) return;
    this.#pointers.set(e.pointerId, [e.clientX, e.clientY]);
    if (this.#pinch) {
      this.#pinchTo(this.#spread());
    } else if (this.#pan?.id === e.pointerId) {
      this.#pan.moved += Math.hypot(e.clientX - this.#pan.x, e.clientY - this.#pan.y);
      this.#panBy(e.clientX - this.#pan.x, e.clientY - this.#pan.y);
      Object.assign(this.#pan, { x: e.clientX, y: e.clientY });
    } else if (e.pointerId === this.#drawer) {
      // The points that the browser merged into this event, where it tells.
      const merged = e.getCoalescedEvents?.() ?? [];
      const points = merged.length > 0 ? merged : [e];
      this.#drawing.move(points.map((p) => this.#display.cellAt(p.clientX, p.clientY)), e.shiftKey);
    }
  }

  /** @param {PointerEvent} e */
  #up(e) {
    this.#pointers.delete(e.pointerId);
    if (e.pointerId === this.#drawer) {
      this.#drawer = null;
      this.#drawing.end();
    }
    if (this.#pan?.id === e.pointerId) {
      if (this.#pan.moved < TAP && e.type === 'pointerup') this.#on.tap(this.#display.cellAt(e.clientX, e.clientY));
      this.#pan = null;
      this.#element.classList.remove('panning');
    }
    if (this.#pointers.size < 2) this.#pinch = null;
  }

  /** Middle and distance of the first two fingers. */
  #spread() {
    const [[ax, ay], [bx, by]] = [...this.#pointers.values()];
    return { x: (ax + bx) / 2, y: (ay + by) / 2, distance: Math.max(1, Math.hypot(ax - bx, ay - by)) };
  }

  /** @param {{x: number, y: number, distance: number}} now */
  #pinchTo(now) {
    const before = /** @type {typeof now} */ (this.#pinch);
    this.#pinch = now;
    this.#panBy(now.x - before.x, now.y - before.y);
    this.#zoomBy(now.distance / before.distance, now.x, now.y);
  }

  /** @param {number} dx @param {number} dy CSS pixels */
  #panBy(dx, dy) {
    const { viewport } = this.#display;
    viewport.pan(dx * viewport.ratio, dy * viewport.ratio);
    this.#display.viewChanged();
  }

  /** @param {number} factor @param {number} x @param {number} y of the page */
  #zoomBy(factor, x, y) {
    this.#display.viewport.zoomBy(factor, ...this.#display.toView(x, y));
    this.#display.viewChanged();
  }

  /** @param {WheelEvent} e */
  #wheel(e) {
    e.preventDefault();
    const unit = e.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE : e.deltaMode === WheelEvent.DOM_DELTA_PAGE ? PAGE : 1;
    const [dx, dy] = [e.deltaX * unit, e.deltaY * unit];
    if (e.shiftKey) this.#panBy(-(dx || dy), 0);
    else if (Math.abs(dx) > Math.abs(dy)) this.#panBy(-dx, 0);
    // A pinch on a touchpad comes as a wheel with ctrl, in small steps.
    else if (dy !== 0) this.#zoomBy(Math.exp(-dy * WHEEL * (e.ctrlKey && Math.abs(dy) < 50 ? 5 : 1)), e.clientX, e.clientY);
  }
}
