// One's own strokes, from being drawn to being in the picture: outbox (what is
// to be sent), overlay (what is shown until the picture has it), history (what
// can be undone) and latency (how long it took) are about the same operations,
// and hear here of everything that happens to them.
//
// The session may still be on its way from the browser's store when the picture
// is there already. What is drawn before is shown like all else, and becomes
// operations when it comes, behind those that were kept from an earlier visit.

import { MAX_PIXELS } from '../transport/binary.js';
import { isTransient } from '../transport/protocol.js';
import { authorOf } from './author.js';
import { History } from './history.js';
import { Latency } from './latency.js';
import { MAX_ENTRIES, Outbox } from './outbox.js';
import { Overlay } from './overlay.js';

/** @typedef {import('./outbox.js').Entry} Entry */

/** Where the overlay has strokes without numbers: above operations, below the draft. */
const UNNUMBERED = 2 ** 52;

/** A stroke, and the colours that were visible where it is, by cell; null: there was no picture. @typedef {{pixels: number[], before: Map<number, number>|null}} Stroke */

const keyOf = (/** @type {number} */ x, /** @type {number} */ y) => y * 0x10000 + x;

export class Strokes {
  /** The tag by which others know this session; null until it is there. @type {number|null} */
  author = null;
  #clock;
  #on;
  /** @type {Outbox|null} */
  #outbox = null;
  #overlay;
  /** @type {History|null} */
  #history = null;
  /** Drawn before the session was there. @type {Stroke[]} */
  #early = [];
  #latency = new Latency();

  /**
   * @param {import('../transport/clock.js').Clock} clock
   * @param {object} on
   * @param {(x: number, y: number) => void} on.damage a cell may look different
   * @param {(echo: {number: number, ms: number}) => void} on.echoed
   * @param {() => void} on.history what can be undone changed
   * @param {(number: number, count: number) => void} on.added an operation of so many
   *   pixels went into the outbox; not told of what waited for the session: it was drawn before
   */
  constructor(clock, on) {
    this.#clock = clock;
    this.#on = on;
    this.#overlay = new Overlay(on.damage);
  }

  /**
   * The session is there: shows what it kept from an earlier visit, and gives
   * numbers to what was drawn meanwhile. May be called once.
   * @param {import('./session.js').Session} session
   * @returns {boolean} false: the outbox is full, and some of it was not drawn
   */
  open(session) {
    const early = this.#early;
    this.#early = [];
    this.author = authorOf(session.id);
    this.#outbox = new Outbox(session, session.kept);
    this.#history = new History(this.author);
    for (const e of this.#outbox.entries) this.#overlay.add(e.number, e.pixels, e.created);
    let all = true;
    for (const [i, stroke] of early.entries()) {
      this.#overlay.remove(UNNUMBERED + i);
      all = this.#record(stroke, false) && all;
    }
    return all;
  }

  /** Strokes and operations that are not acknowledged. */
  get waiting() {
    return (this.#outbox?.size ?? 0) + this.#early.length;
  }

  get canUndo() {
    return this.#history?.canUndo ?? false;
  }

  get canRedo() {
    return this.#history?.canRedo ?? false;
  }

  /** The own colour above a cell, or undefined. @param {number} x @param {number} y */
  at(x, y) {
    return this.#overlay.size > 0 ? this.#overlay.at(x, y) : undefined;
  }

  /** Own pixels that have waited for so many ms, one array an operation. @param {number} ms */
  pending(ms) {
    return this.#overlay.pending(this.#clock.now() - ms);
  }

  /** Samples, oldest first, and summary of the last minute. */
  latency() {
    const now = this.#clock.elapsed();
    return { now, samples: this.#latency.samples(now), summary: this.#latency.summary(now) };
  }

  // ---- drawing --------------------------------------------------------------

  /** @param {number[]} pixels */
  draft(pixels) {
    this.#overlay.draft(pixels);
  }

  discard() {
    this.#overlay.discard();
  }

  /**
   * Draws a stroke: one operation, or several where it has more pixels than
   * one may have.
   * @param {number[]} pixels flat: x, y, colour
   * @param {((x: number, y: number) => number)|null} visible null: there is no
   *   picture yet, and nothing to go back to
   * @returns {boolean} false: the outbox is full, and some of it was not drawn
   */
  commit(pixels, visible) {
    this.#overlay.discard();
    /** @type {Map<number, number>} */
    const before = new Map();
    for (let i = 0; visible && i < pixels.length; i += 3) before.set(keyOf(pixels[i], pixels[i + 1]), visible(pixels[i], pixels[i + 1]));
    const stroke = { pixels, before: visible && before };
    if (this.#outbox) return this.#record(stroke);
    if (this.#early.length >= MAX_ENTRIES) return false;
    this.#overlay.add(UNNUMBERED + this.#early.length, pixels, this.#clock.now());
    this.#early.push(stroke);
    return true;
  }

  /** @param {Stroke} stroke @param {boolean} [now] it was drawn just now @returns {boolean} whether there was room for all of it */
  #record({ pixels, before }, now = true) {
    const { numbers, drawn } = this.#draw(pixels, now);
    if (before) this.#history?.record(numbers, drawn, (x, y) => /** @type {number} */ (before.get(keyOf(x, y))));
    this.#on.history();
    return drawn.length === pixels.length;
  }

  /**
   * Takes the last stroke back, or draws again what was taken back.
   * @param {'undo'|'redo'} which
   * @param {(x: number, y: number) => number} visible
   * @returns {number|null} cells that others have painted since; null: there is nothing
   */
  restore(which, visible) {
    const change = this.#history?.[which](visible);
    if (!change) return null;
    this.#history?.sent(change.step, this.#draw(change.pixels).numbers);
    this.#on.history();
    return change.kept;
  }

  /** @param {number[]} pixels @param {boolean} [tell] */
  #draw(pixels, tell = true) {
    const numbers = [];
    let at = 0;
    for (; at < pixels.length; at += 3 * MAX_PIXELS) {
      const part = pixels.slice(at, at + 3 * MAX_PIXELS);
      const now = this.#clock.now();
      const entry = this.#outbox?.add(part, now);
      if (!entry) break;
      numbers.push(entry.number);
      if (tell) this.#on.added(entry.number, part.length / 3);
      this.#overlay.add(entry.number, part, now);
    }
    return { numbers, drawn: at < pixels.length ? pixels.slice(0, at) : pixels };
  }

  // ---- what happens to them -------------------------------------------------

  connected() {
    this.#outbox?.connected(this.#clock.now());
  }

  disconnected() {
    this.#outbox?.disconnected();
    this.#latency.forget();
  }

  /** What is too old to be sent again; it is no longer shown. */
  expire() {
    const old = this.#outbox?.expire(this.#clock.now()) ?? [];
    for (const e of old) this.#overlay.remove(e.number);
    return old;
  }

  /** What is to be sent now, in this order. */
  take() {
    const now = this.#clock.now();
    const due = this.#outbox?.take(now) ?? [];
    for (const e of due) {
      if (e.sent === now) this.#latency.sent(e.number, this.#clock.elapsed());
      else this.#latency.forget(e.number);
    }
    return due;
  }

  /** How many ms until take gives something, or null: only an event helps. */
  wait() {
    return this.#outbox?.wait(this.#clock.now()) ?? null;
  }

  /** Everything up to number is in the log at or before a position. @param {number} number @param {string|null} epoch @param {number} seq */
  acked(number, epoch, seq) {
    for (const e of this.#outbox?.ack(number) ?? []) this.#overlay.acked(e.number, epoch, seq);
  }

  /**
   * An operation was refused by name.
   * @param {number} number
   * @param {number} code
   * @param {number} retryAfter ms
   * @returns {number[]|null} the pixels that were taken back for good
   */
  refused(number, code, retryAfter) {
    const lost = this.#outbox?.refused(number, code, retryAfter, this.#clock.now());
    if (isTransient(code)) this.#latency.forget(number);
    if (!lost) return null;
    this.#history?.refused(number);
    this.#on.history();
    return this.#overlay.remove(number);
  }

  /** An operation of the log reached the picture. @param {import('../transport/protocol.js').Operation} op */
  applied(op) {
    if (op.kind === 'reset') {
      this.#history?.clear();
      this.#on.history();
      return;
    }
    this.#history?.applied(op.author, op.number, op.pixels);
    if (op.author === this.author) this.#echo(op.number);
  }

  /** The picture has reached a position. @param {string} epoch @param {number} seq */
  reached(epoch, seq) {
    for (const number of this.#overlay.applied(epoch, seq)) {
      this.#history?.reached(number);
      this.#echo(number);
    }
  }

  /** @param {number} number */
  #echo(number) {
    const ms = this.#latency.echoed(number, this.#clock.elapsed());
    if (ms !== null) this.#on.echoed({ number, ms });
  }
}
