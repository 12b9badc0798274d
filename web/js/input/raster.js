// From where a pointer was to which cells it drew. Cells are flat arrays
// [x, y, …] in the order in which they are drawn, each once, all on the canvas.

/** @typedef {{width: number, height: number}} Size in cells */
/** @typedef {[number, number]} Cell column and row; may lie off the canvas */

/**
 * The cells of the straight line from one cell to another, both included. Each
 * touches the one before by a side or a corner, so that however fast the
 * pointer moves the stroke has no holes (Bresenham).
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 */
export function line(x0, y0, x1, y1) {
  const points = [];
  const dx = Math.abs(x1 - x0);
  const dy = -Math.abs(y1 - y0);
  const stepX = x0 < x1 ? 1 : -1;
  const stepY = y0 < y1 ? 1 : -1;
  let error = dx + dy;
  for (;;) {
    points.push(x0, y0);
    if (x0 === x1 && y0 === y1) return points;
    const twice = 2 * error;
    if (twice >= dy) {
      error += dy;
      x0 += stepX;
    }
    if (twice <= dx) {
      error += dx;
      y0 += stepY;
    }
  }
}

/**
 * Cells that are gathered, each once, those off the canvas left out. With a
 * brush of n a point is a square of n by n cells around it.
 */
export class Cells {
  #width;
  #height;
  #brush;
  #seen = new Set();
  /** @type {number[]} */
  #points = [];
  size = 0;

  /** @param {Size} size @param {number} [brush] side of the square, in cells */
  constructor({ width, height }, brush = 1) {
    this.#width = width;
    this.#height = height;
    this.#brush = brush;
  }

  /** @param {number} x @param {number} y */
  stamp(x, y) {
    const [left, top] = brushCorner(x, y, this.#brush);
    for (let row = top; row < top + this.#brush; row++) for (let column = left; column < left + this.#brush; column++) this.#add(column, row);
  }

  /** @param {Cell} from @param {Cell} to */
  line([x0, y0], [x1, y1]) {
    const points = line(...this.#near(x0, y0), ...this.#near(x1, y1));
    for (let i = 0; i < points.length; i += 2) this.stamp(points[i], points[i + 1]);
  }

  /** A point far off the canvas would make a line of needless length. @returns {Cell} */
  #near(/** @type {number} */ x, /** @type {number} */ y) {
    return [Math.max(-this.#width, Math.min(2 * this.#width, x)), Math.max(-this.#height, Math.min(2 * this.#height, y))];
  }

  /** @param {number} x @param {number} y */
  #add(x, y) {
    if (x < 0 || x >= this.#width || y < 0 || y >= this.#height) return;
    const key = y * this.#width + x;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#points.push(x, y);
    this.size++;
  }

  /** The cells that are new since the last call. */
  take() {
    const points = this.#points;
    this.#points = [];
    return points;
  }
}

/**
 * Upper left cell of a brush on a cell; an even one leans to the upper left.
 * @param {number} x
 * @param {number} y
 * @param {number} brush
 */
export const brushCorner = (x, y, brush) => [x - Math.floor(brush / 2), y - Math.floor(brush / 2)];

/**
 * The rectangle between two corners, cut to the canvas, as [x0, y0, x1, y1]
 * with both corners included; null: it lies off the canvas.
 * @param {Size} size
 * @param {Cell} from
 * @param {Cell} to
 */
export function box({ width, height }, [ax, ay], [bx, by]) {
  const [x0, y0] = [Math.max(0, Math.min(ax, bx)), Math.max(0, Math.min(ay, by))];
  const [x1, y1] = [Math.min(width - 1, Math.max(ax, bx)), Math.min(height - 1, Math.max(ay, by))];
  return x0 > x1 || y0 > y1 ? null : [x0, y0, x1, y1];
}

/**
 * The second corner moved so that the rectangle is a square, or the end of a
 * line so that it is level, upright or at 45°.
 * @param {Cell} from
 * @param {Cell} to
 * @param {'square'|'line'} form
 * @returns {Cell}
 */
export function constrain([x0, y0], [x1, y1], form) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const longest = Math.max(Math.abs(dx), Math.abs(dy));
  if (form === 'line' && Math.min(Math.abs(dx), Math.abs(dy)) < longest * Math.tan(Math.PI / 8)) {
    return Math.abs(dx) > Math.abs(dy) ? [x1, y0] : [x0, y1];
  }
  return [x0 + longest * (Math.sign(dx) || 1), y0 + longest * (Math.sign(dy) || 1)];
}

/**
 * The area of one colour around a cell, connected by sides.
 * @param {Size} size
 * @param {(x: number, y: number) => number} colorAt
 * @param {Cell} start on the canvas
 * @param {number} most cells
 * @returns {number[]|null} null: there are more than that
 */
export function area({ width, height }, colorAt, [startX, startY], most) {
  const color = colorAt(startX, startY);
  const seen = new Uint8Array(width * height);
  const points = [startX, startY];
  seen[startY * width + startX] = 1;
  for (let i = 0; i < points.length; i += 2) {
    if (points.length / 2 > most) return null;
    for (const [dx, dy] of SIDES) {
      const [x, y] = [points[i] + dx, points[i + 1] + dy];
      if (x < 0 || x >= width || y < 0 || y >= height || seen[y * width + x] || colorAt(x, y) !== color) continue;
      seen[y * width + x] = 1;
      points.push(x, y);
    }
  }
  return points;
}

const SIDES = [[1, 0], [-1, 0], [0, 1], [0, -1]];

/**
 * Cells in one colour, as operations have them.
 * @param {number[]} points
 * @param {number} color
 */
export function colored(points, color) {
  const pixels = new Array((points.length / 2) * 3);
  for (let i = 0, at = 0; i < points.length; i += 2) {
    pixels[at++] = points[i];
    pixels[at++] = points[i + 1];
    pixels[at++] = color;
  }
  return pixels;
}
