// What a drag does. A gesture is one use of a tool: it begins on a cell, moves
// over others and ends; at any time it can be cancelled without a trace.

import { Cells, area, box, colored, constrain, line, brushCorner } from './raster.js';

/** @typedef {import('./raster.js').Cell} Cell */
/** @typedef {import('./raster.js').Size} Size */

export const BRUSHES = Object.freeze([1, 2, 3, 5, 8, 12]);
/** Most cells of one shape: sending more would take longer than anybody waits. */
export const MAX_SHAPE = 32_768;

/**
 * What a gesture draws on and with.
 * @typedef {object} Context
 * @property {Size} size of the canvas
 * @property {number} color
 * @property {number} brush
 * @property {(x: number, y: number) => number} colorAt what is visible
 */

/**
 * Rectangles [x, y, width, height] in cells, shown in a colour while a shape
 * is being dragged.
 * @typedef {{color: number, boxes: number[][]}} Preview
 */

/**
 * One use of a tool. `move` gives pixels to be shown at once (freehand), or
 * nothing; `end` gives the pixels of the whole stroke, or the reason why there
 * are none.
 * @typedef {object} Gesture
 * @property {(to: Cell, constrained: boolean) => number[]} move
 * @property {() => Preview|null} preview
 * @property {() => {pixels: number[]}|{tooLarge: number}} end
 */

/** A line that follows the pointer. */
class Freehand {
  #cells;
  #color;
  /** @type {Cell} */
  #last;
  #first = true;
  /** @type {number[]} */
  #pixels = [];

  /** @param {Context} context @param {Cell} start @param {number} color */
  constructor({ size, brush }, start, color) {
    this.#cells = new Cells(size, brush);
    this.#color = color;
    this.#last = start;
  }

  /** @param {Cell} to */
  move(to) {
    if (!this.#first && to[0] === this.#last[0] && to[1] === this.#last[1]) return [];
    this.#first = false;
    this.#cells.line(this.#last, to);
    this.#last = to;
    const fresh = colored(this.#cells.take(), this.#color);
    for (const value of fresh) this.#pixels.push(value);
    return fresh;
  }

  preview() {
    return null;
  }

  end() {
    return { pixels: this.#pixels };
  }
}

/** A shape between where the gesture began and where it is. */
class Shape {
  /** @type {Context} */
  #context;
  #from;
  #to;
  #form;

  /** @param {Context} context @param {Cell} start @param {'line'|'outline'|'filled'} form */
  constructor(context, start, form) {
    this.#context = context;
    this.#from = start;
    this.#to = start;
    this.#form = form;
  }

  /** @param {Cell} to @param {boolean} constrained @returns {number[]} */
  move(to, constrained) {
    this.#to = constrained ? constrain(this.#from, to, this.#form === 'line' ? 'line' : 'square') : to;
    return [];
  }

  preview() {
    return { color: this.#context.color, boxes: this.#form === 'line' ? this.#lineBoxes() : this.#boxes() };
  }

  end() {
    const { size, color, brush } = this.#context;
    const cells = new Cells(size, this.#form === 'line' ? brush : 1);
    if (this.#form === 'line') {
      cells.line(this.#from, this.#to);
    } else {
      const boxes = this.#boxes();
      const count = boxes.reduce((sum, [, , w, h]) => sum + w * h, 0);
      if (count > MAX_SHAPE) return { tooLarge: count };
      for (const [left, top, width, height] of boxes) {
        for (let y = top; y < top + height; y++) for (let x = left; x < left + width; x++) cells.stamp(x, y);
      }
    }
    return cells.size > MAX_SHAPE ? { tooLarge: cells.size } : { pixels: colored(cells.take(), color) };
  }

  #lineBoxes() {
    const { size, brush } = this.#context;
    const near = (/** @type {number} */ v, /** @type {number} */ most) => Math.max(-most, Math.min(2 * most, v));
    const points = line(near(this.#from[0], size.width), near(this.#from[1], size.height), near(this.#to[0], size.width), near(this.#to[1], size.height));
    const boxes = [];
    for (let i = 0; i < points.length; i += 2) {
      const [x, y] = brushCorner(points[i], points[i + 1], brush);
      const cut = box(size, [x, y], [x + brush - 1, y + brush - 1]);
      if (cut) boxes.push([cut[0], cut[1], cut[2] - cut[0] + 1, cut[3] - cut[1] + 1]);
    }
    return boxes;
  }

  /** The filled rectangle as one box, its outline as up to four that do not overlap. */
  #boxes() {
    const { size, brush } = this.#context;
    const whole = box(size, this.#from, this.#to);
    if (!whole) return [];
    // The outline grows inwards from where the corners are, on the canvas or not.
    const x0 = Math.min(this.#from[0], this.#to[0]);
    const y0 = Math.min(this.#from[1], this.#to[1]);
    const x1 = Math.max(this.#from[0], this.#to[0]);
    const y1 = Math.max(this.#from[1], this.#to[1]);
    if (this.#form === 'filled' || x1 - x0 < 2 * brush || y1 - y0 < 2 * brush) return [toBox(whole)];
    return [
      box(size, [x0, y0], [x1, y0 + brush - 1]),
      box(size, [x0, y1 - brush + 1], [x1, y1]),
      box(size, [x0, y0 + brush], [x0 + brush - 1, y1 - brush]),
      box(size, [x1 - brush + 1, y0 + brush], [x1, y1 - brush]),
    ].flatMap((b) => (b ? [toBox(b)] : []));
  }
}

const toBox = (/** @type {number[]} */ [x0, y0, x1, y1]) => [x0, y0, x1 - x0 + 1, y1 - y0 + 1];

/** The area under the pointer when the gesture ends. */
class Fill {
  /** @type {Context} */
  #context;
  #at;

  /** @param {Context} context @param {Cell} start */
  constructor(context, start) {
    this.#context = context;
    this.#at = start;
  }

  /** @param {Cell} to @returns {number[]} */
  move(to) {
    this.#at = to;
    return [];
  }

  preview() {
    return null;
  }

  end() {
    const { size, color, colorAt } = this.#context;
    const [x, y] = this.#at;
    if (x < 0 || y < 0 || x >= size.width || y >= size.height || colorAt(x, y) === color) return { pixels: [] };
    const points = area(size, colorAt, this.#at, MAX_SHAPE);
    return points ? { pixels: colored(points, color) } : { tooLarge: MAX_SHAPE + 1 };
  }
}

/**
 * The tools in the order in which they are shown. `draws` makes a gesture; the
 * eyedropper and the hand have none. `drags` tells the keyboard that it needs
 * a beginning and an end; `sized` that the brush counts.
 * @type {Readonly<Record<string, {key: string, drags?: boolean, sized?: boolean, draws?: (context: Context & {background: number}, start: Cell) => Gesture}>>}
 */
export const TOOLS = Object.freeze({
  pencil: { key: 'p', sized: true, draws: (c, start) => new Freehand(c, start, c.color) },
  eraser: { key: 'e', sized: true, draws: (c, start) => new Freehand(c, start, c.background) },
  line: { key: 'l', sized: true, drags: true, draws: (c, start) => new Shape(c, start, 'line') },
  rectangle: { key: 'r', sized: true, drags: true, draws: (c, start) => new Shape(c, start, 'outline') },
  filled: { key: 'f', drags: true, draws: (c, start) => new Shape(c, start, 'filled') },
  fill: { key: 'g', draws: (c, start) => new Fill(c, start) },
  eyedropper: { key: 'i' },
  hand: { key: 'h' },
});
