// The page's replica of the canvas: a grid at a position of the log.
//
// Messages are taken in the order in which they came, by the position rule: a
// message covers (prev, seq]; with `last` as what is applied, it is applied
// when prev <= last < seq, ignored when seq <= last, and means a gap when
// prev > last. A snapshot replaces picture and position when all its bands are
// there, whatever they were before; that is also how a new epoch begins.

import { Grid } from './grid.js';
import { MAX_BAND, MAX_SIDE } from '../transport/protocol.js';

/**
 * Above this many cells a snapshot's hash is not checked: it would keep the
 * page from answering for longer than a frame or two.
 */
const MAX_HASHED = 1 << 20;

/** @typedef {import('../transport/protocol.js').SnapshotBand & {rgb: Promise<Uint8Array>}} Band its cells are being inflated */
/** @typedef {import('../transport/protocol.js').SnapshotBegin & {parts: Band[]}} Snapshot bands that have come so far */

/**
 * Inflates raw DEFLATE; rejects unless the result has just `size` bytes.
 * @typedef {(data: Uint8Array<ArrayBuffer>, size: number) => Promise<Uint8Array>} Inflate
 */

export class Replica {
  /** @type {Grid|null} null until the first snapshot */
  grid = null;
  /** @type {string|null} */
  epoch = null;
  seq = 0;

  #inflate;
  #on;
  /** @type {import('../transport/protocol.js').Message[]} */
  #queue = [];
  #busy = false;
  /** Grows with each connection: what an older one began is dropped. */
  #era = 0;
  /** @type {Snapshot|null} */
  #snapshot = null;

  /**
   * @param {object} o
   * @param {Inflate} o.inflate
   * @param {(grid: Grid) => void} o.onPicture another grid took the old one's place
   * @param {(pixels: number[]|null) => void} o.onPaint cells that changed; null: all
   * @param {(op: import('../transport/protocol.js').Operation) => void} [o.onOperation] a
   *   single operation changed the picture; ranges and snapshots do not tell theirs
   * @param {(epoch: string, seq: number) => void} o.onApplied the position moved
   * @param {(reason: string) => void} o.onBroken the rest cannot be applied: reconnect
   */
  constructor({ inflate, onPicture, onPaint, onOperation = () => {}, onApplied, onBroken }) {
    this.#inflate = inflate;
    this.#on = { picture: onPicture, paint: onPaint, operation: onOperation, applied: onApplied, broken: onBroken };
  }

  /** What to ask for on the next connection, or null: a snapshot. */
  get position() {
    return this.grid && this.epoch ? { epoch: this.epoch, seq: this.seq } : null;
  }

  /**
   * Shows a picture that was kept, until the snapshot comes with which the next
   * connection starts. Does nothing when there is a picture already.
   * @param {Grid} grid
   */
  show(grid) {
    if (this.grid) return;
    this.grid = grid;
    this.#on.picture(grid);
  }

  /** A new connection: forget what the last one left unfinished. */
  restart() {
    this.#era++;
    this.#queue = [];
    this.#snapshot = null;
    this.#busy = false;
  }

  /** The next connection starts with a snapshot; the picture stays till then. */
  distrust() {
    this.epoch = null;
  }

  /** Takes updates, range, snapshotBegin and snapshotBand; others are ignored. @param {import('../transport/protocol.js').Message} m */
  receive(m) {
    this.#queue.push(m);
    this.#drain();
  }

  #drain() {
    while (!this.#busy && this.#queue.length > 0) {
      const m = this.#queue.shift();
      switch (m?.type) {
        case 'updates':
          this.#updates(m);
          break;
        case 'range':
          this.#range(m);
          break;
        case 'snapshotBegin':
          this.#begin(m);
          break;
        case 'snapshotBand':
          this.#band(m);
          break;
      }
    }
  }

  /** @param {string} reason */
  #broken(reason) {
    this.restart();
    this.#on.broken(reason);
  }

  /** The picture, if what begins behind prev fits it; null: it does not. @param {number} prev */
  #fitting(prev) {
    if (!this.grid || this.epoch === null) this.#broken('update before any picture');
    else if (prev > this.seq) this.#broken('gap');
    else return this.grid;
    return null;
  }

  /** @param {number} seq */
  #reach(seq) {
    this.seq = seq;
    this.#on.applied(this.epoch ?? '', seq);
  }

  /** @param {import('../transport/protocol.js').Updates} m */
  #updates({ first, ops }) {
    const last = first + ops.length - 1;
    if (last <= this.seq && this.epoch !== null) return;
    const grid = this.#fitting(first - 1);
    if (!grid) return;
    for (const op of ops.slice(this.seq - first + 1)) {
      if (op.kind === 'reset') {
        grid.fill(op.color);
        this.#on.paint(null);
      } else if (grid.holds(op.pixels)) {
        grid.paint(op.pixels);
        this.#on.paint(op.pixels);
      }
      this.#on.operation(op);
    }
    this.#reach(last);
  }

  /** @param {import('../transport/protocol.js').Range} m */
  #range({ prev, seq, reset, pixels }) {
    if (seq <= this.seq && this.epoch !== null) return;
    const grid = this.#fitting(prev);
    if (!grid) return;
    if (!grid.holds(pixels)) return this.#broken('range with cells off the canvas');
    if (reset !== null) {
      grid.fill(reset);
      this.#on.paint(null);
    }
    grid.paint(pixels);
    this.#on.paint(pixels);
    this.#reach(seq);
  }

  /** @param {import('../transport/protocol.js').SnapshotBegin} m */
  #begin(m) {
    const valid = m.width >= 1 && m.width <= MAX_SIDE && m.height >= 1 && m.height <= MAX_SIDE && m.bands >= 1 && m.bands <= m.height;
    if (!valid) return this.#broken('snapshot of an impossible size');
    this.#snapshot = { ...m, parts: [] };
  }

  /** @param {import('../transport/protocol.js').SnapshotBand} m */
  #band(m) {
    const snapshot = this.#snapshot;
    if (!snapshot || m.index !== snapshot.parts.length || 3 * m.width * m.height > MAX_BAND) {
      return this.#broken('unexpected snapshot band');
    }
    const rgb = this.#inflate(m.data, 3 * m.width * m.height);
    rgb.catch(() => {}); // awaited below, with all others
    snapshot.parts.push({ ...m, rgb });
    if (snapshot.parts.length === snapshot.bands) this.#finish(snapshot);
  }

  /** Messages wait until all bands are inflated. @param {Snapshot} snapshot */
  async #finish(snapshot) {
    const era = this.#era;
    this.#busy = true;
    this.#snapshot = null;
    const grid = new Grid(snapshot);
    let cells = 0;
    try {
      for (const { x, y, width, height, rgb } of snapshot.parts) {
        if (!grid.loadRect(x, y, width, height, await rgb)) throw new Error('band off the canvas');
        cells += width * height;
      }
      if (cells !== grid.cells.length) throw new Error('bands do not cover the canvas');
      if (cells <= MAX_HASHED && grid.hash() !== snapshot.hash) throw new Error('hash differs');
    } catch (error) {
      if (era === this.#era) this.#broken(`bad snapshot: ${error.message}`);
      return;
    }
    if (era !== this.#era) return;
    this.#busy = false;
    this.grid = grid;
    this.epoch = snapshot.epoch;
    this.seq = snapshot.seq;
    this.#on.picture(grid);
    this.#reach(snapshot.seq);
    this.#drain();
  }
}

/** Inflates raw DEFLATE with the browser's own decompressor. @type {Inflate} */
export async function inflate(data, size) {
  const out = new Uint8Array(size);
  let length = 0;
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (length + value.length > size) {
      await reader.cancel();
      throw new Error('more bytes than announced');
    }
    out.set(value, length);
    length += value.length;
  }
  if (length !== size) throw new Error('fewer bytes than announced');
  return out;
}
