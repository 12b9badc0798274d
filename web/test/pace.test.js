import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Pace } from '../js/transport/pace.js';

/** How many operations of so many pixels go in some ms. */
function sent(pace, pixels, from, ms) {
  let n = 0;
  for (let now = from; now < from + ms; now++) {
    while (pace.wait(pixels, now) === 0) {
      pace.spend(pixels, now);
      n++;
    }
  }
  return n;
}

test('a burst goes at once, then so many a second', () => {
  const pace = new Pace();
  pace.restart(0);
  assert.equal(sent(pace, 1, 0, 1), 40);
  assert.equal(pace.wait(1, 0), 20);
  const n = sent(pace, 1, 1, 10000);
  assert.ok(n >= 495 && n <= 500, `${n}`);
});

test('pixels count, too, and the greatest operation gets its turn', () => {
  const pace = new Pace();
  pace.restart(0);
  assert.equal(sent(pace, 4096, 0, 1), 1);
  const n = sent(pace, 4096, 1, 60000);
  assert.ok(n >= 25 && n <= 28, `${n}`);
});

test('a refusal halves the pace for a while', () => {
  const pace = new Pace();
  pace.restart(0);
  pace.slowDown(0);
  assert.ok(sent(pace, 1, 0, 1000) <= 27);
  pace.slowDown(1000);
  assert.ok(sent(pace, 1, 1000, 1000) <= 14);
  sent(pace, 1, 2000, 60000);
  const n = sent(pace, 1, 62000, 1000);
  assert.ok(n >= 49 && n <= 51, `${n}`);
});

test('a new connection has its burst again, but no greater pace', () => {
  const pace = new Pace();
  pace.restart(0);
  sent(pace, 1, 0, 1);
  pace.slowDown(0);
  pace.restart(10);
  assert.equal(sent(pace, 1, 10, 1), 40);
  assert.ok(sent(pace, 1, 11, 1000) <= 26);
});
