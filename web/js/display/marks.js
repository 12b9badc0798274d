// Layers above the picture that belong to the page itself: what waits for its
// acknowledgement, the shape that is being dragged, the cell that is pointed
// at and the one that the keyboard is on.

import { formatColor } from '../transport/protocol.js';

/** @typedef {import('./viewport.js').Viewport} Viewport */

/** More cells than this are not marked one by one. */
const MAX_MARKED = 20_000;

/** Whether dark marks are seen better on a colour (relative luminance, WCAG 2). */
export function isLight(/** @type {number} */ color) {
  const linear = (/** @type {number} */ v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(color >>> 16) + 0.7152 * linear((color >>> 8) & 255) + 0.0722 * linear(color & 255) > 0.18;
}

/** A dot on each own pixel that is not known to be stored. */
export class PendingLayer {
  #pixels;

  /** @param {() => Iterable<number[]>} pixels flat: x, y, colour; one array an operation */
  constructor(pixels) {
    this.#pixels = pixels;
  }

  /** @param {CanvasRenderingContext2D} c @param {Viewport} viewport */
  draw(c, { left, top, scale, width, height }) {
    const size = Math.max(1, Math.round(scale * 0.3));
    const inset = Math.floor((scale - size) / 2);
    let drawn = 0;
    for (const pixels of this.#pixels()) {
      for (let i = 0; i < pixels.length; i += 3) {
        const [x, y] = [pixels[i], pixels[i + 1]];
        const [at, down] = [left + x * scale, top + y * scale];
        if (at + scale < 0 || down + scale < 0 || at > width || down > height) continue;
        // Where cells are tiny, every other one is marked.
        if (scale < 4 && (x + y) % 2 === 1) continue;
        if (++drawn > MAX_MARKED) return;
        c.fillStyle = isLight(pixels[i + 2]) ? 'rgba(0, 0, 0, 0.55)' : 'rgba(255, 255, 255, 0.75)';
        c.fillRect(Math.round(at) + inset, Math.round(down) + inset, size, size);
      }
    }
  }
}

/** A shape while it is dragged. */
export class PreviewLayer {
  /** @type {import('../input/tools.js').Preview|null} */
  preview = null;

  /** @param {CanvasRenderingContext2D} c @param {Viewport} viewport */
  draw(c, { left, top, scale }) {
    if (!this.preview) return;
    c.fillStyle = formatColor(this.preview.color);
    for (const [x, y, width, height] of this.preview.boxes) {
      const [x0, y0] = [Math.floor(left + x * scale), Math.floor(top + y * scale)];
      c.fillRect(x0, y0, Math.ceil(left + (x + width) * scale) - x0, Math.ceil(top + (y + height) * scale) - y0);
    }
  }
}

/**
 * What is pointed at: `hover` is what the brush would draw, `cursor` the
 * keyboard's cell. Both are [x, y, side] in cells.
 */
export class PointerLayer {
  /** @type {number[]|null} */
  hover = null;
  /** @type {number[]|null} */
  cursor = null;
  /** 0xRRGGBB to fill the hovered cells with; null: none */
  /** @type {number|null} */
  color = null;

  /** @param {CanvasRenderingContext2D} c @param {Viewport} viewport */
  draw(c, viewport) {
    if (this.hover) {
      const box = frame(viewport, this.hover);
      if (this.color !== null) {
        c.globalAlpha = 0.65;
        c.fillStyle = formatColor(this.color);
        c.fillRect(...box);
        c.globalAlpha = 1;
      }
      outline(c, box, viewport.ratio);
    }
    if (this.cursor) outline(c, frame(viewport, this.cursor), 2 * viewport.ratio);
  }
}

/**
 * @param {Viewport} viewport
 * @param {number[]} cells
 * @returns {[number, number, number, number]}
 */
function frame({ left, top, scale, ratio }, [x, y, side]) {
  const length = Math.max(side * scale, 5 * ratio);
  return [Math.round(left + x * scale), Math.round(top + y * scale), length, length];
}

/**
 * White within black: seen on every colour.
 * @param {CanvasRenderingContext2D} c
 * @param {[number, number, number, number]} box
 * @param {number} thickness
 */
function outline(c, [x, y, width, height], thickness) {
  const t = Math.max(1, Math.round(thickness));
  for (const [grow, color] of /** @type {[number, string][]} */ ([[1.5 * t, '#000000'], [0.5 * t, '#ffffff']])) {
    c.lineWidth = t;
    c.strokeStyle = color;
    c.strokeRect(x - grow, y - grow, width + 2 * grow, height + 2 * grow);
  }
}

/** A short flash of cells that were taken back. */
export class RefusedLayer {
  /** @type {number[]} */
  #pixels = [];
  #changed;

  /** @param {() => void} changed the layer looks different */
  constructor(changed) {
    this.#changed = changed;
  }

  /** @param {number[]} pixels flat: x, y, colour */
  show(pixels) {
    this.#pixels = pixels;
    this.#changed();
    setTimeout(() => {
      if (this.#pixels !== pixels) return;
      this.#pixels = [];
      this.#changed();
    }, 900);
  }

  /** @param {CanvasRenderingContext2D} c @param {Viewport} viewport */
  draw(c, { left, top, scale, ratio }) {
    c.strokeStyle = '#e11d48';
    c.lineWidth = Math.max(1, 1.5 * ratio);
    c.beginPath();
    for (let i = 0; i < Math.min(this.#pixels.length, 3 * MAX_MARKED); i += 3) {
      const [x, y] = [left + this.#pixels[i] * scale, top + this.#pixels[i + 1] * scale];
      c.moveTo(x, y);
      c.lineTo(x + scale, y + scale);
      c.moveTo(x + scale, y);
      c.lineTo(x, y + scale);
    }
    c.stroke();
  }
}
