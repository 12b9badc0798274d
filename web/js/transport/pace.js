// How fast operations are sent.
//
// A gateway refuses what is over its limit, and a connection that keeps at it
// is closed. So the page stays a little below the limits that a gateway has
// unless told otherwise. Where it is refused all the same, it halves its pace
// and comes back to it slowly.

const OPS = { rate: 50, burst: 40 };
const PIXELS = { rate: 1800, burst: 7000 };
/** Time after which a halved pace is doubled again. */
const RECOVER = 30000;
const SLOWEST = 1 / 64;

export class Pace {
  #scale = 1;
  #slowedAt = 0;
  /** @type {number|null} */
  #refilledAt = null;
  #ops = OPS.burst;
  #pixels = PIXELS.burst;

  /** A new connection: the gateway starts to count anew. @param {number} now */
  restart(now) {
    this.#ops = OPS.burst;
    this.#pixels = PIXELS.burst;
    this.#refilledAt = now;
  }

  /** Was refused for being too fast. @param {number} now */
  slowDown(now) {
    this.#refill(now);
    this.#scale = Math.max(SLOWEST, this.#scale / 2);
    this.#slowedAt = now;
    this.#ops = Math.min(this.#ops, 1);
    this.#pixels = Math.min(this.#pixels, 0);
  }

  /** How many ms until an operation of so many pixels may go; 0: now. @param {number} pixels @param {number} now */
  wait(pixels, now) {
    this.#refill(now);
    const forOps = (1 - this.#ops) / (OPS.rate * this.#scale);
    // The greatest operation must not wait for more than there can ever be.
    const forPixels = (Math.min(pixels, PIXELS.burst) - this.#pixels) / (PIXELS.rate * this.#scale);
    return Math.ceil(1000 * Math.max(0, forOps, forPixels));
  }

  /** An operation goes. @param {number} pixels @param {number} now */
  spend(pixels, now) {
    this.#refill(now);
    this.#ops -= 1;
    this.#pixels -= pixels;
  }

  /** @param {number} now */
  #refill(now) {
    const seconds = Math.max(0, now - (this.#refilledAt ?? now)) / 1000;
    this.#refilledAt = now;
    while (this.#scale < 1 && now - this.#slowedAt >= RECOVER) {
      this.#scale = Math.min(1, this.#scale * 2);
      this.#slowedAt += RECOVER;
    }
    this.#ops = Math.min(OPS.burst, this.#ops + seconds * OPS.rate * this.#scale);
    this.#pixels = Math.min(PIXELS.burst, this.#pixels + seconds * PIXELS.rate * this.#scale);
  }
}
