// How long one's own operations took lately, from being sent to being in the
// picture. Only what went out once, on a connection that lasted until then, is
// measured: of what was sent twice nobody knows which one came back.

/** What counts as lately. */
export const WINDOW = 60_000;

export class Latency {
  /** @type {Map<number, number>} */
  #sent = new Map();
  /** @type {{at: number, ms: number}[]} oldest first */
  #samples = [];

  /**
   * @param {number} number of an operation that goes out for the first time
   * @param {number} now ms, of a clock that never steps back
   */
  sent(number, now) {
    this.#sent.set(number, now);
  }

  /** The connection is lost, or an operation goes out again. @param {number} [number] without it: all */
  forget(number) {
    if (number === undefined) this.#sent.clear();
    else this.#sent.delete(number);
  }

  /**
   * The picture has the operation.
   * @param {number} number
   * @param {number} now
   * @returns {number|null} how long it took, or null where that is not known
   */
  echoed(number, now) {
    const sent = this.#sent.get(number);
    if (sent === undefined) return null;
    this.#sent.delete(number);
    const ms = now - sent;
    this.#samples.push({ at: now, ms });
    return ms;
  }

  /** Samples of the last minute, oldest first. */
  samples(/** @type {number} */ now) {
    const first = this.#samples.findIndex((s) => now - s.at < WINDOW);
    this.#samples.splice(0, first < 0 ? this.#samples.length : first);
    return this.#samples;
  }

  /**
   * @param {number} now
   * @returns {{count: number, p50: number, p95: number}|null} nearest ranks, ms
   */
  summary(now) {
    const sorted = this.samples(now).map((s) => s.ms).sort((a, b) => a - b);
    if (sorted.length === 0) return null;
    const rank = (/** @type {number} */ q) => sorted[Math.ceil(q * sorted.length) - 1];
    return { count: sorted.length, p50: rank(0.5), p95: rank(0.95) };
  }
}
