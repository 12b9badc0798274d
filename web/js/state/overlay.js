// The user's own pixels, shown above the picture from the moment they are
// drawn until the picture itself has them. Without it a stroke would appear
// only after a round trip; taken away at the acknowledgement, which may come
// before the update, it would flicker.

/** The part of a stroke that is drawn but not yet an operation. */
export const DRAFT = Infinity;

const key = (/** @type {number} */ x, /** @type {number} */ y) => y * 0x10000 + x;

/**
 * The pixels of one operation. `seq` and `epoch` are where it was acknowledged
 * to be, or null.
 * @typedef {{pixels: number[], shown: number, seq: number|null, epoch: string|null}} Shown
 */

export class Overlay {
  /** @type {Map<number, {number: number, color: number}[]>} by cell, oldest first */
  #cells = new Map();
  /** @type {Map<number, Shown>} */
  #layers = new Map();
  #damage;

  /** @param {(x: number, y: number) => void} damage called for each cell that may look different */
  constructor(damage = () => {}) {
    this.#damage = damage;
  }

  get size() {
    return this.#layers.size;
  }

  /** The colour of the newest own pixel on a cell, or undefined. @param {number} x @param {number} y */
  at(x, y) {
    return this.#cells.get(key(x, y))?.at(-1)?.color;
  }

  /** Shows more pixels of the stroke that is being drawn. @param {number[]} pixels */
  draft(pixels) {
    const layer = this.#layers.get(DRAFT);
    if (layer) for (const value of pixels) layer.pixels.push(value);
    else this.#layers.set(DRAFT, { pixels: [...pixels], shown: 0, seq: null, epoch: null });
    this.#show(DRAFT, pixels);
  }

  /** Takes the draft back. */
  discard() {
    this.remove(DRAFT);
  }

  /**
   * Shows the pixels of an operation.
   * @param {number} number
   * @param {number[]} pixels
   * @param {number} [now] ms
   */
  add(number, pixels, now = 0) {
    this.#layers.set(number, { pixels, shown: now, seq: null, epoch: null });
    this.#show(number, pixels);
  }

  /** The operation is in the log at or before a position. @param {number} number @param {string|null} epoch @param {number} seq */
  acked(number, epoch, seq) {
    const layer = this.#layers.get(number);
    if (layer) Object.assign(layer, { epoch, seq });
  }

  /**
   * Operations that were not acknowledged, though shown since before a time.
   * @param {number} before ms
   * @returns {Generator<number[]>} the pixels of each
   */
  *pending(before) {
    for (const [number, { pixels, shown, seq }] of this.#layers) if (number !== DRAFT && seq === null && shown <= before) yield pixels;
  }

  /**
   * The picture has reached a position: what it must contain by now goes. An
   * acknowledgement of another epoch no longer says anything; what it spoke of
   * is in the picture or lost with that epoch.
   * @param {string} epoch
   * @param {number} seq
   * @returns {number[]} the operations that went
   */
  applied(epoch, seq) {
    const gone = [];
    for (const [number, layer] of this.#layers) {
      if (layer.seq !== null && (layer.epoch !== epoch || layer.seq <= seq)) {
        this.remove(number);
        gone.push(number);
      }
    }
    return gone;
  }

  /** Takes an operation's pixels away. @param {number} number @returns {number[]} them */
  remove(number) {
    const layer = this.#layers.get(number);
    if (!layer) return [];
    this.#layers.delete(number);
    for (let i = 0; i < layer.pixels.length; i += 3) {
      const x = layer.pixels[i];
      const y = layer.pixels[i + 1];
      const stack = this.#cells.get(key(x, y))?.filter((p) => p.number !== number) ?? [];
      if (stack.length === 0) this.#cells.delete(key(x, y));
      else this.#cells.set(key(x, y), stack);
      this.#damage(x, y);
    }
    return layer.pixels;
  }

  /** @param {number} number @param {number[]} pixels */
  #show(number, pixels) {
    for (let i = 0; i < pixels.length; i += 3) {
      const [x, y, color] = [pixels[i], pixels[i + 1], pixels[i + 2]];
      const stack = this.#cells.get(key(x, y));
      if (stack) {
        stack.push({ number, color });
        // A draft stays above operations that are added beneath it.
        stack.sort((a, b) => a.number - b.number);
      } else {
        this.#cells.set(key(x, y), [{ number, color }]);
      }
      this.#damage(x, y);
    }
  }
}
