// Undo and redo of one's own strokes.
//
// Both are new operations that paint what was there. A cell is left out where
// somebody else is known to have painted over it since: their operation came
// behind ours in the log, or the picture no longer shows what the stroke left.
// What somebody draws while the undoing operation is under way may still be
// painted over; the help says so.

/** Strokes that can be undone, and cells of all of them together. */
export const MAX_STEPS = 200;
export const MAX_CELLS = 512 * 1024;

const keyOf = (/** @type {number} */ x, /** @type {number} */ y) => y * 0x10000 + x;

/**
 * One stroke. `cells` has for each cell the colour before and after it; `over`
 * the cells that somebody else has painted over; `waiting` the numbers of its
 * last operations as long as the picture has not reached them.
 * @typedef {object} Step
 * @property {Map<number, {before: number, after: number}>} cells
 * @property {Set<number>} over
 * @property {Set<number>} waiting
 */

/**
 * What undo and redo did.
 * @typedef {object} Change
 * @property {number[]} pixels flat: x, y, colour; to be drawn as operations
 * @property {number} kept cells that were left because of others
 * @property {Step} step for History.sent
 */

export class History {
  /** @type {Step[]} */
  #undo = [];
  /** @type {Step[]} */
  #redo = [];
  /** @type {Map<number, Set<Step>>} which steps have a cell */
  #byCell = new Map();
  /** @type {Map<number, Step>} by the number of an operation that is under way */
  #byNumber = new Map();
  #author;
  #cells = 0;

  /** @param {number} author the own tag */
  constructor(author) {
    this.#author = author;
  }

  get canUndo() {
    return this.#undo.length > 0;
  }

  get canRedo() {
    return this.#redo.length > 0;
  }

  /**
   * A stroke was drawn. One that changed nothing is no step.
   * @param {number[]} numbers of its operations
   * @param {number[]} pixels flat: x, y, colour
   * @param {(x: number, y: number) => number} before what was visible
   */
  record(numbers, pixels, before) {
    /** @type {Step} */
    const step = { cells: new Map(), over: new Set(), waiting: new Set() };
    for (let i = 0; i < pixels.length; i += 3) {
      const [x, y, after] = [pixels[i], pixels[i + 1], pixels[i + 2]];
      const known = step.cells.get(keyOf(x, y));
      if (known) known.after = after;
      else step.cells.set(keyOf(x, y), { before: before(x, y), after });
    }
    for (const [key, { before, after }] of step.cells) if (before === after) step.cells.delete(key);
    if (step.cells.size === 0) return;
    for (const s of this.#redo) this.#forget(s);
    this.#redo = [];
    for (const key of step.cells.keys()) {
      const steps = this.#byCell.get(key);
      if (steps) steps.add(step);
      else this.#byCell.set(key, new Set([step]));
    }
    this.#cells += step.cells.size;
    this.#undo.push(step);
    this.sent(step, numbers);
    while (this.#undo.length > MAX_STEPS || (this.#cells > MAX_CELLS && this.#undo.length > 1)) {
      this.#forget(/** @type {Step} */ (this.#undo.shift()));
    }
  }

  /**
   * @param {Step} step
   * @param {number[]} numbers of the operations that painted it just now
   */
  sent(step, numbers) {
    for (const n of step.waiting) this.#byNumber.delete(n);
    step.waiting = new Set(numbers);
    for (const n of numbers) this.#byNumber.set(n, step);
  }

  /**
   * An operation of the log reached the picture.
   * @param {number} author
   * @param {number} number
   * @param {number[]} pixels
   */
  applied(author, number, pixels) {
    if (author === this.#author && author !== 0) return this.reached(number);
    for (let i = 0; i < pixels.length; i += 3) {
      const key = keyOf(pixels[i], pixels[i + 1]);
      for (const step of this.#byCell.get(key) ?? []) {
        if (step.waiting.size === 0) step.over.add(key);
        else this.#beneath(step, key, pixels[i + 2]);
      }
    }
  }

  /** Theirs came before ours, which is under way: it is what was there. */
  #beneath(/** @type {Step} */ step, /** @type {number} */ key, /** @type {number} */ color) {
    const cell = step.cells.get(key);
    if (cell && this.#undo.includes(step)) cell.before = color;
  }

  /** The picture has one's own operation. */
  reached(/** @type {number} */ number) {
    this.#byNumber.get(number)?.waiting.delete(number);
    this.#byNumber.delete(number);
  }

  /** The canvas was made blank, by whomever: nothing is as it was. */
  clear() {
    this.#undo = [];
    this.#redo = [];
    this.#byCell.clear();
    this.#byNumber.clear();
    this.#cells = 0;
  }

  /** An operation was refused for good: its stroke is not there to be undone. */
  refused(/** @type {number} */ number) {
    const step = this.#byNumber.get(number);
    if (!step) return;
    this.#undo = this.#undo.filter((s) => s !== step);
    this.#redo = this.#redo.filter((s) => s !== step);
    this.#forget(step);
  }

  /**
   * Takes the last stroke back.
   * @param {(x: number, y: number) => number} visible
   * @returns {Change|null} null: there is none
   */
  undo(visible) {
    return this.#move(this.#undo, this.#redo, visible, 'after', 'before');
  }

  /**
   * Draws the stroke again that was taken back last.
   * @param {(x: number, y: number) => number} visible
   * @returns {Change|null}
   */
  redo(visible) {
    return this.#move(this.#redo, this.#undo, visible, 'before', 'after');
  }

  /**
   * @param {Step[]} from
   * @param {Step[]} to
   * @param {(x: number, y: number) => number} visible
   * @param {'before'|'after'} is
   * @param {'before'|'after'} becomes
   */
  #move(from, to, visible, is, becomes) {
    const step = from.pop();
    if (!step) return null;
    const pixels = [];
    for (const [key, cell] of step.cells) {
      const [x, y] = [key % 0x10000, Math.floor(key / 0x10000)];
      if (!step.over.has(key) && visible(x, y) === cell[is]) pixels.push(x, y, cell[becomes]);
    }
    const change = { pixels, kept: step.cells.size - pixels.length / 3, step };
    if (pixels.length > 0) to.push(step);
    else this.#forget(step);
    return change;
  }

  #forget(/** @type {Step} */ step) {
    this.#cells -= step.cells.size;
    for (const n of step.waiting) this.#byNumber.delete(n);
    for (const key of step.cells.keys()) {
      const steps = this.#byCell.get(key);
      steps?.delete(step);
      if (steps?.size === 0) this.#byCell.delete(key);
    }
  }
}
