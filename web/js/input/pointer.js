// Drawing by mouse, pen, touch and keyboard.
//
// A stroke is shown as it grows and sent in parts while it does, so that the
// others see it being drawn. Two fingers move and zoom instead: the first
// touch draws only once it has moved on or stayed for a moment, so that a
// pinch leaves no dots.

import { Stroke } from './raster.js';

/** Pause between the parts of a stroke. */
const PART = 50;
/** How long a touch may be the first of two. */
const TOUCH_WAIT = 80;

export class Input {
  #element;
  #display;
  #on;
  #stroke = null;
  #pixels = [];
  #timer = null;
  #undecided = null;
  #pointers = new Map();
  #drawing = null;
  #panning = null;
  #pinch = null;
  #cursor = [0, 0];

  /**
   * @param {HTMLElement} element the canvas
   * @param {import('../display/display.js').Display} display
   * @param {object} o
   * @param {() => {width: number, height: number}|null} o.size null: nothing to draw on yet
   * @param {() => number} o.color
   * @param {(pixels: number[]) => void} o.onDraft more of a stroke, to be shown
   * @param {(pixels: number[]) => void} o.onCommit what was drafted, to be sent
   * @param {() => void} o.onDiscard
   * @param {(x: number, y: number) => void} o.onCursor the keyboard's cell
   */
  constructor(element, display, { size, color, onDraft, onCommit, onDiscard, onCursor }) {
    this.#element = element;
    this.#display = display;
    this.#on = { size, color, draft: onDraft, commit: onCommit, discard: onDiscard, cursor: onCursor };
    element.addEventListener('pointerdown', (e) => this.#down(e));
    element.addEventListener('pointermove', (e) => this.#move(e));
    element.addEventListener('pointerup', (e) => this.#up(e));
    element.addEventListener('pointercancel', (e) => this.#up(e));
    element.addEventListener('pointerleave', () => display.mark(null));
    element.addEventListener('contextmenu', (e) => e.preventDefault());
    element.addEventListener('wheel', (e) => this.#wheel(e), { passive: false });
    element.addEventListener('keydown', (e) => this.#key(e));
    element.addEventListener('focus', () => element.matches(':focus-visible') && this.#showCursor());
    element.addEventListener('blur', () => display.mark(null));
  }

  // ---- strokes --------------------------------------------------------------

  #begin() {
    const size = this.#on.size();
    if (!size) return false;
    this.#stroke = new Stroke({ ...size, color: this.#on.color() });
    return true;
  }

  #extend(cells) {
    for (const [x, y] of cells) this.#stroke.moveTo(x, y);
    const pixels = this.#stroke.take();
    if (pixels.length === 0) return;
    for (const value of pixels) this.#pixels.push(value);
    this.#on.draft(pixels);
    if (this.#undecided === null && this.#timer === null) this.#send();
  }

  /** Sends what there is and gathers for a while. */
  #send() {
    this.#timer = null;
    if (this.#pixels.length === 0) return;
    const pixels = this.#pixels;
    this.#pixels = [];
    this.#on.commit(pixels);
    this.#timer = setTimeout(() => this.#send(), PART);
  }

  #decide() {
    clearTimeout(this.#undecided);
    this.#undecided = null;
  }

  #end() {
    this.#decide();
    clearTimeout(this.#timer);
    this.#send();
    this.#stroke = null;
    this.#drawing = null;
  }

  #cancel() {
    this.#decide();
    this.#pixels = [];
    this.#on.discard();
    this.#stroke = null;
    this.#drawing = null;
  }

  // ---- pointers -------------------------------------------------------------

  #down(e) {
    this.#pointers.set(e.pointerId, [e.clientX, e.clientY]);
    this.#element.setPointerCapture(e.pointerId);
    if (e.pointerType === 'touch' && this.#pointers.size === 2) {
      if (this.#drawing !== null) {
        if (this.#undecided !== null) this.#cancel();
        else this.#end();
      }
      this.#pinch = this.#spread();
      return;
    }
    if (this.#pointers.size > 1) return;
    if (e.button === 1) {
      this.#panning = [e.clientX, e.clientY];
      e.preventDefault();
      return;
    }
    if (e.button !== 0 || !this.#begin()) return;
    this.#drawing = e.pointerId;
    if (e.pointerType === 'touch') {
      this.#undecided = setTimeout(() => {
        this.#undecided = null;
        this.#send();
      }, TOUCH_WAIT);
    }
    this.#extend([this.#display.cellAt(e.clientX, e.clientY)]);
    this.#cursor = this.#clip(this.#display.cellAt(e.clientX, e.clientY));
  }

  #move(e) {
    if (e.pointerType !== 'touch') {
      const cell = this.#display.cellAt(e.clientX, e.clientY);
      this.#display.mark(this.#holds(cell) ? cell : null);
    }
    if (!this.#pointers.has(e.pointerId)) return;
    this.#pointers.set(e.pointerId, [e.clientX, e.clientY]);
    if (this.#pinch) {
      this.#pinchTo(this.#spread());
    } else if (this.#panning) {
      this.#panBy(e.clientX - this.#panning[0], e.clientY - this.#panning[1]);
      this.#panning = [e.clientX, e.clientY];
    } else if (e.pointerId === this.#drawing) {
      // The points that the browser merged into this event, where it tells.
      const merged = e.getCoalescedEvents?.() ?? [];
      const points = merged.length > 0 ? merged : [e];
      const before = this.#pixels.length;
      this.#extend(points.map((p) => this.#display.cellAt(p.clientX, p.clientY)));
      if (this.#undecided !== null && this.#pixels.length > Math.max(before, 3)) {
        this.#decide();
        this.#send();
      }
    }
  }

  #up(e) {
    this.#pointers.delete(e.pointerId);
    if (e.pointerId === this.#drawing) this.#end();
    this.#panning = null;
    if (this.#pointers.size < 2) this.#pinch = null;
  }

  // ---- moving the view ------------------------------------------------------

  /** Middle and distance of the first two fingers. */
  #spread() {
    const [[ax, ay], [bx, by]] = [...this.#pointers.values()];
    return { x: (ax + bx) / 2, y: (ay + by) / 2, distance: Math.hypot(ax - bx, ay - by), scale: this.#pinch?.scale ?? this.#display.viewport.scale, from: this.#pinch?.from ?? Math.hypot(ax - bx, ay - by) };
  }

  #pinchTo(now) {
    this.#panBy(now.x - this.#pinch.x, now.y - this.#pinch.y);
    this.#display.viewport.zoomTo((now.scale * now.distance) / Math.max(now.from, 1), ...this.#display.toView(now.x, now.y));
    this.#display.viewChanged();
    this.#pinch = now;
  }

  #panBy(dx, dy) {
    const ratio = window.devicePixelRatio || 1;
    this.#display.viewport.pan(dx * ratio, dy * ratio);
    this.#display.viewChanged();
  }

  #wheel(e) {
    e.preventDefault();
    if (e.deltaY === 0) return;
    this.#display.viewport.zoom(-e.deltaY, ...this.#display.toView(e.clientX, e.clientY));
    this.#display.viewChanged();
  }

  // ---- keyboard -------------------------------------------------------------

  #key(e) {
    const size = this.#on.size();
    if (!size || e.ctrlKey || e.metaKey || e.altKey) return;
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    const [x, y] = this.#cursor;
    if (step) {
      this.#cursor = this.#clip([x + step[0], y + step[1]]);
      if (e.shiftKey) this.#dot();
    } else if (e.key === 'Home') {
      this.#cursor = [0, y];
    } else if (e.key === 'End') {
      this.#cursor = [size.width - 1, y];
    } else if (e.key === 'PageUp') {
      this.#cursor = [x, 0];
    } else if (e.key === 'PageDown') {
      this.#cursor = [x, size.height - 1];
    } else if (e.key === ' ' || e.key === 'Enter') {
      this.#dot();
    } else {
      return;
    }
    e.preventDefault();
    this.#showCursor();
  }

  #dot() {
    if (!this.#begin()) return;
    this.#extend([this.#cursor]);
    this.#stroke = null;
  }

  #showCursor() {
    this.#cursor = this.#clip(this.#cursor);
    this.#display.viewport.reveal(...this.#cursor);
    this.#display.viewChanged();
    this.#display.mark(this.#cursor);
    this.#on.cursor(...this.#cursor);
  }

  #clip([x, y]) {
    const { width, height } = this.#on.size() ?? { width: 1, height: 1 };
    return [Math.max(0, Math.min(width - 1, x)), Math.max(0, Math.min(height - 1, y))];
  }

  #holds([x, y]) {
    const size = this.#on.size();
    return size !== null && x >= 0 && y >= 0 && x < size.width && y < size.height;
  }
}
