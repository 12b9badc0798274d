// From where a pointer was to which cells it drew.

/**
 * The cells of the straight line from one cell to another, both included, as
 * a flat array [x, y, …]. Each touches the one before by a side or a corner,
 * so that however fast the pointer moves the stroke has no holes (Bresenham).
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
 * A stroke while it is being drawn. It gathers the cells that are new since
 * they were last taken, each once, and only those on the canvas: a pointer
 * that leaves and comes back draws up to the border and on from there.
 */
export class Stroke {
  #width;
  #height;
  #last = null;
  #seen = new Set();
  #points = [];

  constructor({ width, height, color }) {
    this.#width = width;
    this.#height = height;
    this.color = color;
  }

  /** The pointer is over the cell (x, y), which may be off the canvas. */
  moveTo(x, y) {
    // A point far off the canvas would make a line of needless length.
    x = Math.max(-this.#width, Math.min(2 * this.#width, x));
    y = Math.max(-this.#height, Math.min(2 * this.#height, y));
    const [fromX, fromY] = this.#last ?? [x, y];
    this.#last = [x, y];
    const points = line(fromX, fromY, x, y);
    for (let i = 0; i < points.length; i += 2) this.#add(points[i], points[i + 1]);
  }

  #add(x, y) {
    if (x < 0 || x >= this.#width || y < 0 || y >= this.#height) return;
    const key = y * this.#width + x;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#points.push(x, y, this.color);
  }

  /** The new pixels, flat: x, y, colour. */
  take() {
    const points = this.#points;
    this.#points = [];
    return points;
  }
}
