// The tool in hand and what is being drawn with it, for pointer and keyboard
// alike. One gesture at a time; at its end its pixels are one operation.

import { BRUSHES, TOOLS } from './tools.js';

/** @typedef {import('./raster.js').Cell} Cell */

/**
 * What a Drawing needs of the page.
 * @typedef {object} Ground
 * @property {() => {width: number, height: number, background: number}|null} grid null: nothing to draw on yet
 * @property {() => number} color
 * @property {(x: number, y: number) => number} colorAt what is visible
 * @property {(pixels: number[]) => void} draft more of a stroke, to be shown
 * @property {() => void} discard takes the draft away
 * @property {(preview: import('./tools.js').Preview|null) => void} preview
 * @property {(pixels: number[]) => void} commit the whole stroke, instead of the draft
 * @property {(cells: number) => void} tooLarge nothing was drawn
 * @property {(color: number) => void} picked by the eyedropper
 */

export class Drawing extends EventTarget {
  #ground;
  #tool = 'pencil';
  /** The tool to go back to after a colour was picked. */
  #before = 'pencil';
  /** @type {number} */
  #brush = BRUSHES[0];
  /** @type {import('./tools.js').Gesture|null} */
  #gesture = null;
  #picking = false;
  #began = 0;
  #count = 0;

  /** @param {Ground} ground */
  constructor(ground) {
    super();
    this.#ground = ground;
  }

  get tool() {
    return this.#tool;
  }

  get brush() {
    return this.#brush;
  }

  /** Cells that one touch of the tool covers. */
  get reach() {
    return TOOLS[this.#tool].sized && this.#tool !== 'rectangle' ? this.#brush : 1;
  }

  get active() {
    return this.#gesture !== null;
  }

  /** Whether what was begun is so short that it may not have been meant. */
  get tentative() {
    return this.#gesture !== null && (performance.now() - this.#began < 250 || this.#count <= 2);
  }

  /** @param {string} tool one of TOOLS */
  choose(tool) {
    if (!(tool in TOOLS) || tool === this.#tool) return;
    this.cancel();
    if (this.#tool !== 'eyedropper') this.#before = this.#tool;
    this.#tool = tool;
    this.dispatchEvent(new Event('tool'));
  }

  /** @param {number} brush */
  setBrush(brush) {
    this.#brush = brush;
    this.dispatchEvent(new Event('tool'));
  }

  /** The next larger or smaller brush. */
  stepBrush(/** @type {1|-1} */ direction) {
    const i = BRUSHES.indexOf(this.#brush) + direction;
    if (BRUSHES[i]) this.setBrush(BRUSHES[i]);
  }

  /**
   * @param {Cell} cell
   * @param {string} [tool] for this gesture only
   * @returns {boolean} whether something began
   */
  begin(cell, tool = this.#tool) {
    const grid = this.#ground.grid();
    if (!grid || this.#gesture) return false;
    if (tool === 'eyedropper') {
      this.#picking = true;
      this.#pick(cell);
      return true;
    }
    const draws = TOOLS[tool].draws;
    if (!draws) return false;
    const { color, colorAt } = this.#ground;
    this.#gesture = draws({ size: grid, color: color(), brush: this.#brush, colorAt, background: grid.background }, cell);
    this.#began = performance.now();
    this.#count = 0;
    this.move([cell], false);
    return true;
  }

  /** @param {Cell[]} cells @param {boolean} constrained */
  move(cells, constrained) {
    if (this.#picking) return this.#pick(/** @type {Cell} */ (cells.at(-1)));
    if (!this.#gesture) return;
    const fresh = cells.flatMap((c) => /** @type {import('./tools.js').Gesture} */ (this.#gesture).move(c, constrained));
    this.#count += fresh.length / 3;
    if (fresh.length > 0) this.#ground.draft(fresh);
    this.#ground.preview(this.#gesture.preview());
  }

  end() {
    if (this.#picking) {
      this.#picking = false;
      if (this.#tool === 'eyedropper') this.choose(this.#before);
      return;
    }
    const gesture = this.#gesture;
    if (!gesture) return;
    this.#gesture = null;
    this.#ground.preview(null);
    const result = gesture.end();
    if ('tooLarge' in result) this.#ground.tooLarge(result.tooLarge);
    else if (result.pixels.length > 0) this.#ground.commit(result.pixels);
    else this.#ground.discard();
  }

  cancel() {
    this.#picking = false;
    if (!this.#gesture) return;
    this.#gesture = null;
    this.#ground.preview(null);
    this.#ground.discard();
  }

  /** @param {Cell} cell */
  #pick([x, y]) {
    const grid = this.#ground.grid();
    if (grid && x >= 0 && y >= 0 && x < grid.width && y < grid.height) this.#ground.picked(this.#ground.colorAt(x, y));
  }
}
