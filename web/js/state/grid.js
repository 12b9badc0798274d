// The picture at a position: the colour of each cell, 0xRRGGBB.

const MASK = 0xffffffff;

/** Cells of a canvas, row by row from the upper left. */
export class Grid {
  /** @param {{width: number, height: number, background: number}} spec */
  constructor({ width, height, background }) {
    this.width = width;
    this.height = height;
    this.background = background;
    this.cells = new Uint32Array(width * height).fill(background);
  }

  /** @param {number} x @param {number} y */
  contains(x, y) {
    return x >= 0 && x < this.width && y >= 0 && y < this.height;
  }

  /** @param {number} x @param {number} y */
  at(x, y) {
    return this.cells[y * this.width + x];
  }

  /** @param {number} color */
  fill(color) {
    this.cells.fill(color);
  }

  /**
   * Tells whether all pixels lie on the canvas. An operation that the canvas
   * cannot hold changes nothing, here and on every replica alike.
   * @param {number[]} pixels
   */
  holds(pixels) {
    for (let i = 0; i < pixels.length; i += 3) {
      if (!this.contains(pixels[i], pixels[i + 1])) return false;
    }
    return true;
  }

  /** Paints pixels [x, y, colour, …] in order; all must lie on the canvas. @param {number[]} pixels */
  paint(pixels) {
    for (let i = 0; i < pixels.length; i += 3) {
      this.cells[pixels[i + 1] * this.width + pixels[i]] = pixels[i + 2];
    }
  }

  /**
   * Loads a rectangle from three bytes a cell, row by row. Returns false, and
   * changes nothing, unless the rectangle lies on the canvas and the bytes are
   * just its cells.
   * @param {number} x0
   * @param {number} y0
   * @param {number} width
   * @param {number} height
   * @param {Uint8Array} rgb
   */
  loadRect(x0, y0, width, height, rgb) {
    if (width < 1 || height < 1 || !this.contains(x0, y0) || !this.contains(x0 + width - 1, y0 + height - 1)) return false;
    if (rgb.length !== 3 * width * height) return false;
    let i = 0;
    for (let y = y0; y < y0 + height; y++) {
      let cell = y * this.width + x0;
      for (let x = 0; x < width; x++, i += 3) {
        this.cells[cell++] = (rgb[i] << 16) | (rgb[i + 1] << 8) | rgb[i + 2];
      }
    }
    return true;
  }

  /**
   * The hash that the gateways keep of the same picture, as a BigInt: the sum,
   * modulo 2^64, of SplitMix64's finaliser over (index << 24 | colour). In
   * 32-bit halves, since a BigInt for each cell takes fifty times as long.
   */
  hash() {
    let sumHigh = 0;
    let sumLow = 0;
    for (let index = 0; index < this.cells.length; index++) {
      let low = ((index << 24) | this.cells[index]) >>> 0;
      let high = index >>> 8;
      low += 0x7f4a7c15;
      high = (high + 0x9e3779b9 + (low > MASK ? 1 : 0)) >>> 0;
      low >>>= 0;
      [high, low] = mix(high, low, 30, 0xbf58476d, 0x1ce4e5b9);
      [high, low] = mix(high, low, 27, 0x94d049bb, 0x133111eb);
      low = (low ^ ((low >>> 31) | (high << 1))) >>> 0;
      high = (high ^ (high >>> 31)) >>> 0;
      sumLow += low;
      sumHigh = (sumHigh + high + (sumLow > MASK ? 1 : 0)) >>> 0;
      sumLow >>>= 0;
    }
    return (BigInt(sumHigh) << 32n) | BigInt(sumLow);
  }
}

/**
 * (z ^ z >>> shift) * factor, modulo 2^64, for shift < 32.
 * @param {number} high
 * @param {number} low
 * @param {number} shift
 * @param {number} factorHigh
 * @param {number} factorLow
 * @returns {[number, number]}
 */
function mix(high, low, shift, factorHigh, factorLow) {
  low = (low ^ ((low >>> shift) | (high << (32 - shift)))) >>> 0;
  high = (high ^ (high >>> shift)) >>> 0;
  const a = low & 0xffff;
  const b = low >>> 16;
  const c = factorLow & 0xffff;
  const d = factorLow >>> 16;
  const middle = ((a * c) >>> 16) + ((b * c) & 0xffff) + ((a * d) & 0xffff);
  const carry = ((b * c) >>> 16) + ((a * d) >>> 16) + (middle >>> 16);
  const upper = (Math.imul(b, d) + carry + Math.imul(high, factorLow) + Math.imul(low, factorHigh)) >>> 0;
  return [upper, Math.imul(low, factorLow) >>> 0];
}
