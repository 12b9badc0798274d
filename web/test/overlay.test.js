import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Overlay } from '../js/state/overlay.js';

test('the newest own pixel is on top, and what is beneath comes back', () => {
  const overlay = new Overlay();
  overlay.add(1, [0, 0, 0x111111]);
  overlay.add(2, [0, 0, 0x222222]);
  assert.equal(overlay.at(0, 0), 0x222222);
  overlay.remove(2);
  assert.equal(overlay.at(0, 0), 0x111111);
  overlay.remove(1);
  assert.equal(overlay.at(0, 0), undefined);
  assert.equal(overlay.size, 0);
});

test('an acknowledged pixel stays until the picture has reached its position', () => {
  const damaged = [];
  const overlay = new Overlay((x, y) => damaged.push([x, y]));
  overlay.add(1, [3, 4, 0xff0000]);
  overlay.applied('e', 100);
  assert.equal(overlay.at(3, 4), 0xff0000, 'not acknowledged');
  overlay.acked(1, 'e', 102);
  overlay.applied('e', 101);
  assert.equal(overlay.at(3, 4), 0xff0000, 'not reached');
  damaged.length = 0;
  overlay.applied('e', 102);
  assert.equal(overlay.at(3, 4), undefined);
  assert.deepEqual(damaged, [[3, 4]]);
});

test('an acknowledgement of an epoch that is over does not hold', () => {
  const overlay = new Overlay();
  overlay.add(1, [0, 0, 1]);
  overlay.add(2, [1, 0, 1]);
  overlay.acked(1, 'old', 500);
  overlay.applied('new', 20);
  assert.equal(overlay.at(0, 0), undefined);
  assert.equal(overlay.at(1, 0), 1, 'not acknowledged: still in the outbox');
});

test('a draft is above all, also above what is added later', () => {
  const overlay = new Overlay();
  overlay.draft([0, 0, 1]);
  overlay.draft([1, 0, 1]);
  overlay.add(1, [0, 0, 2]);
  assert.equal(overlay.at(0, 0), 1);
  overlay.discard();
  assert.equal(overlay.at(0, 0), 2);
  assert.equal(overlay.at(1, 0), undefined);
});

test('an operation that paints a cell twice leaves no trace', () => {
  const overlay = new Overlay();
  overlay.add(1, [0, 0, 1, 0, 0, 2]);
  assert.equal(overlay.at(0, 0), 2);
  overlay.remove(1);
  assert.equal(overlay.at(0, 0), undefined);
});
