// Drawing by keyboard, on the canvas when it has the focus: a cell cursor that
// arrows move, space or enter to use the tool there. Tools that drag take one
// press for the beginning and one for the end; shift and arrows draw a line
// that is one stroke until shift is let go.

import { TOOLS } from './tools.js';

/** @typedef {import('./raster.js').Cell} Cell */

/** Cells of one step with ctrl or cmd, and part of the view of one pan. */
const LEAP = 10;
const PAN = 0.2;

/** @type {Record<string, Cell>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
/** @type {Record<string, Cell>} by key on the keyboard, whatever letter it has */
const PANS = { KeyA: [1, 0], KeyD: [-1, 0], KeyW: [0, 1], KeyS: [0, -1] };

export class Keyboard {
  #display;
  #drawing;
  #on;
  /** @type {Cell} */
  #cursor = [0, 0];
  /** Whether the keyboard was used last, and not the pointer. */
  #shown = false;
  /** A stroke that lasts while shift is held. */
  #tracing = false;

  /**
   * @param {HTMLCanvasElement} element
   * @param {import('../display/display.js').Display} display
   * @param {import('./drawing.js').Drawing} drawing
   * @param {object} on
   * @param {() => {width: number, height: number}|null} on.size
   * @param {() => boolean} on.letters whether single letters do something
   * @param {(cell: Cell|null) => void} on.cursor where it is now; null: not in use
   */
  constructor(element, display, drawing, on) {
    this.#display = display;
    this.#drawing = drawing;
    this.#on = on;
    element.addEventListener('keydown', (e) => this.#down(e));
    element.addEventListener('keyup', (e) => e.key === 'Shift' && this.#endTrace());
    element.addEventListener('focus', () => element.matches(':focus-visible') && this.#show());
    element.addEventListener('blur', () => {
      if (this.#shown) drawing.cancel();
      this.#tracing = false;
      this.#hide();
    });
  }

  get shown() {
    return this.#shown;
  }

  get cursor() {
    return this.#cursor;
  }

  /** The pointer is used again, at a cell. @param {Cell} cell */
  follow(cell) {
    this.#cursor = this.#clip(cell);
    if (this.#shown) this.#hide();
  }

  /** @param {KeyboardEvent} e */
  #down(e) {
    const size = this.#on.size();
    if (!size || e.altKey) return;
    const step = ARROWS[e.key];
    const pan = PANS[e.code];
    const [x, y] = this.#cursor;
    if (step) {
      this.#move(step, e);
    } else if (e.ctrlKey || e.metaKey) {
      return;
    } else if (pan && this.#on.letters()) {
      const { viewport } = this.#display;
      viewport.pan(pan[0] * PAN * viewport.width, pan[1] * PAN * viewport.height);
      this.#display.viewChanged();
      e.preventDefault();
      return;
    } else if (e.key === 'Home') {
      this.#goTo([0, y]);
    } else if (e.key === 'End') {
      this.#goTo([size.width - 1, y]);
    } else if (e.key === 'PageUp') {
      this.#goTo([x, 0]);
    } else if (e.key === 'PageDown') {
      this.#goTo([x, size.height - 1]);
    } else if (e.key === 'Enter' || (e.key === ' ' && this.#shown)) {
      if (!e.repeat) this.#press();
    } else if (e.key === 'Escape' && this.#drawing.active) {
      this.#drawing.cancel();
    } else {
      return;
    }
    e.preventDefault();
    this.#show();
  }

  /** @param {Cell} step @param {KeyboardEvent} e */
  #move([dx, dy], e) {
    const leap = e.ctrlKey || e.metaKey ? LEAP : 1;
    const freehand = !TOOLS[this.#drawing.tool].drags;
    if (e.shiftKey && freehand && !this.#tracing && TOOLS[this.#drawing.tool].sized) this.#tracing = this.#drawing.begin(this.#cursor);
    this.#goTo([this.#cursor[0] + leap * dx, this.#cursor[1] + leap * dy], e.shiftKey);
  }

  /** @param {Cell} cell @param {boolean} [constrained] */
  #goTo(cell, constrained = false) {
    this.#cursor = this.#clip(cell);
    if (this.#drawing.active) this.#drawing.move([this.#cursor], constrained && !this.#tracing);
  }

  #press() {
    if (this.#tracing) return;
    if (this.#drawing.active) return this.#drawing.end();
    if (this.#drawing.begin(this.#cursor) && !TOOLS[this.#drawing.tool].drags) this.#drawing.end();
  }

  #endTrace() {
    if (!this.#tracing) return;
    this.#tracing = false;
    this.#drawing.end();
  }

  #show() {
    this.#shown = true;
    this.#cursor = this.#clip(this.#cursor);
    this.#display.viewport.reveal(...this.#cursor);
    this.#display.viewChanged();
    this.#on.cursor(this.#cursor);
  }

  #hide() {
    this.#shown = false;
    this.#on.cursor(null);
  }

  /** @param {Cell} cell @returns {Cell} */
  #clip([x, y]) {
    const { width, height } = this.#on.size() ?? { width: 1, height: 1 };
    return [Math.max(0, Math.min(width - 1, x)), Math.max(0, Math.min(height - 1, y))];
  }
}
