import assert from 'node:assert/strict';
import { test } from 'node:test';

import { worst } from '../js/panels/status.js';
import { Latency } from '../js/state/latency.js';

test('percentiles are nearest ranks of the last minute', () => {
  const l = new Latency();
  assert.equal(l.summary(0), null);
  for (let i = 1; i <= 100; i++) {
    l.sent(i, 1000);
    assert.equal(l.echoed(i, 1000 + i), i);
  }
  assert.deepEqual(l.summary(2000), { count: 100, p50: 50, p95: 95 });
  assert.equal(l.summary(1050 + 60_000).count, 50);
  assert.equal(l.summary(200_000), null);
});

test('what went out twice, or over a lost connection, is not measured', () => {
  const l = new Latency();
  l.sent(1, 0);
  l.sent(2, 0);
  l.forget(1);
  assert.equal(l.echoed(1, 9), null);
  l.forget();
  assert.equal(l.echoed(2, 9), null);
  assert.equal(l.echoed(3, 9), null, 'nor what was never sent');
});

test('an echo counts once', () => {
  const l = new Latency();
  l.sent(1, 0);
  assert.equal(l.echoed(1, 5), 5);
  assert.equal(l.echoed(1, 7), null);
});

test('the sparkline has the worst of each slice, the latest at the right', () => {
  const bars = worst([{ at: 1000, ms: 9 }, { at: 59_500, ms: 5 }, { at: 60_000, ms: 20 }, { at: 60_500, ms: 7 }], 60_900);
  assert.equal(bars.length, 30);
  assert.equal(bars.at(-1), 20);
  assert.equal(bars[0], 9);
  assert.equal(bars[15], null);
});
