// What was drawn and is not yet known to be in the log. A state machine
// without timers, storage or network: callers give the time and do what the
// results say.
//
// Operations are numbered 1, 2, 3 … within a session and sent in this order.
// An acknowledgement is cumulative. A permanent refusal takes out the one that
// it names. A transient one is go-back-N: the gateway refuses everything after
// that operation until it comes again, so sending starts over from there.

import { Pace } from '../transport/pace.js';
import { Code, isTransient } from '../transport/protocol.js';

/** Entries that may wait for their acknowledgement on a connection at a time. */
export const WINDOW = 64;
/** Limits of what is kept while nothing can be sent. */
export const MAX_ENTRIES = 4096;
export const MAX_KEPT_PIXELS = 256 * 1024;
/**
 * An entry that was ever sent and is older than this may be in the log though
 * its session, by which a repetition would be noticed, is forgotten (after a
 * day). It is shown to its user instead of being sent again.
 */
export const MAX_AGE = 12 * 3600 * 1000;

/**
 * @typedef {object} Entry
 * @property {number} number
 * @property {number[]} pixels flat: x, y, colour
 * @property {number} created ms since the Unix epoch
 * @property {number} sent when it was first sent, or 0
 */

export class Outbox {
  /** @type {Entry[]} in order of their numbers */
  #entries = [];
  #next;
  #pixels = 0;
  #store;
  #online = false;
  /** The highest number sent on this connection, after going back. */
  #sentUpTo = 0;
  #blockedUntil = 0;
  #pace = new Pace();

  /**
   * @param {{put(entry: Entry): void, remove(number: number): void, next(number: number): void}} store
   *   told of each change before anything is sent
   * @param {{next?: number, entries?: Entry[]}} [kept] what the store held
   */
  constructor(store, { next = 1, entries = [] } = {}) {
    this.#store = store;
    this.#entries = [...entries].sort((a, b) => a.number - b.number);
    this.#next = Math.max(next, (this.#entries.at(-1)?.number ?? 0) + 1);
    for (const e of this.#entries) this.#pixels += e.pixels.length / 3;
  }

  get size() {
    return this.#entries.length;
  }

  get entries() {
    return this.#entries;
  }

  /** Takes out what is too old to be sent again, for its user to be told. @param {number} now */
  expire(now) {
    return this.#takeOut((e) => e.sent !== 0 && now - Math.min(e.created, e.sent) > MAX_AGE);
  }

  /** Keeps new pixels under the next number. Returns null when it is full. @param {number[]} pixels @param {number} now */
  add(pixels, now) {
    const count = pixels.length / 3;
    if (this.#entries.length >= MAX_ENTRIES || this.#pixels + count > MAX_KEPT_PIXELS) return null;
    const entry = { number: this.#next++, pixels, created: now, sent: 0 };
    this.#entries.push(entry);
    this.#pixels += count;
    this.#store.next(this.#next);
    this.#store.put(entry);
    return entry;
  }

  /** A connection is ready to take operations: all are sent (again). @param {number} now */
  connected(now) {
    this.#online = true;
    this.#pace.restart(now);
    this.#sentUpTo = 0;
    this.#blockedUntil = 0;
  }

  disconnected() {
    this.#online = false;
  }

  /** What is to be sent now, in this order. The caller sends it at once. @param {number} now */
  take(now) {
    if (!this.#online || now < this.#blockedUntil) return [];
    const due = [];
    for (const e of this.#unsent()) {
      if (this.#pace.wait(e.pixels.length / 3, now) > 0) break;
      this.#pace.spend(e.pixels.length / 3, now);
      if (e.sent === 0) {
        e.sent = now;
        this.#store.put(e);
      }
      this.#sentUpTo = e.number;
      due.push(e);
    }
    return due;
  }

  /** How many ms until take gives something, or null: only an event helps. @param {number} now */
  wait(now) {
    const [next] = this.#unsent();
    if (!this.#online || !next) return null;
    return Math.max(this.#blockedUntil - now, this.#pace.wait(next.pixels.length / 3, now));
  }

  /** Entries of the window that wait for being sent. */
  #unsent() {
    return this.#entries.slice(0, WINDOW).filter((e) => e.number > this.#sentUpTo);
  }

  /** Everything up to number is in the log. Returns the entries that left. @param {number} number */
  ack(number) {
    return this.#takeOut((e) => e.number <= number);
  }

  /**
   * The gateway refused an operation by name. Returns the entry that is lost
   * to a permanent refusal, else null.
   * @param {number} number
   * @param {number} code
   * @param {number} retryAfter ms
   * @param {number} now
   */
  refused(number, code, retryAfter, now) {
    if (!isTransient(code)) return this.#takeOut((e) => e.number === number)[0] ?? null;
    if (number <= this.#sentUpTo) {
      this.#sentUpTo = number - 1;
      this.#blockedUntil = Math.max(this.#blockedUntil, now + retryAfter);
      if (code === Code.rateLimited) this.#pace.slowDown(now);
    }
    return null;
  }

  /** @param {(e: Entry) => boolean} leaves */
  #takeOut(leaves) {
    const left = this.#entries.filter(leaves);
    if (left.length === 0) return left;
    this.#entries = this.#entries.filter((e) => !leaves(e));
    for (const e of left) {
      this.#pixels -= e.pixels.length / 3;
      this.#store.remove(e.number);
    }
    return left;
  }
}
