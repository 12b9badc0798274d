// The time, so that tests can hold it in their hands.

/**
 * `now` is ms since the Unix epoch, and may step; `elapsed` ms from anywhere,
 * and never does. `after` runs something later and returns how to prevent it.
 * @typedef {{now: () => number, elapsed: () => number, after: (ms: number, run: () => void) => () => void}} Clock
 */

/** @type {Clock} */
export const systemClock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
