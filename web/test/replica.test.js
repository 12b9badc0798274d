import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Grid } from '../js/state/grid.js';
import { Replica, inflate } from '../js/state/replica.js';
import { EPOCH, OTHER_EPOCH, snapshot } from './picture.js';

const RED = 0xff0000;
const GREEN = 0x00ff00;
const BLUE = 0x0000ff;

const paint = (...pixels) => ({ kind: 'paint', author: 1, number: 1, pixels });
const reset = (color) => ({ kind: 'reset', author: 0, number: 0, color });
const updates = (first, ...ops) => ({ type: 'updates', first, time: 0, ops });
const range = (prev, seq, pixels, to = null) => ({ type: 'range', prev, seq, time: 0, reset: to, pixels });
const blank = () => new Grid({ width: 4, height: 3, background: 0xffffff });

/** A replica and what it told; settled resolves when it has a picture or broke. */
function replica() {
  const told = { broken: [], applied: [], painted: [] };
  let settle;
  const settled = () => new Promise((resolve) => (settle = resolve));
  const r = new Replica({
    inflate,
    onPicture: () => settle?.(),
    onPaint: (pixels) => told.painted.push(pixels),
    onApplied: (epoch, seq) => told.applied.push([epoch, seq]),
    onBroken: (reason) => (told.broken.push(reason), settle?.()),
  });
  return { r, told, settled };
}

/** A replica at position 100 of a blank canvas. */
async function at100() {
  const all = replica();
  const done = all.settled();
  for (const m of snapshot(blank(), EPOCH, 100)) all.r.receive(m);
  await done;
  assert.deepEqual(all.r.position, { epoch: EPOCH, seq: 100 });
  return all;
}

test('the next operation is applied', async () => {
  const { r, told } = await at100();
  r.receive(updates(101, paint(1, 2, RED), paint(0, 0, BLUE)));
  assert.equal(r.seq, 102);
  assert.equal(r.grid.at(1, 2), RED);
  assert.equal(r.grid.at(0, 0), BLUE);
  assert.deepEqual(told.applied.at(-1), [EPOCH, 102]);
});

test('a repetition is ignored', async () => {
  const { r, told } = await at100();
  r.receive(updates(100, paint(1, 1, RED)));
  r.receive(updates(99, paint(1, 1, RED), paint(1, 1, RED)));
  r.receive(range(90, 100, [1, 1, RED]));
  assert.equal(r.seq, 100);
  assert.equal(r.grid.at(1, 1), 0xffffff);
  assert.deepEqual(told.broken, []);
});

test('of an overlap only what is new is applied', async () => {
  const { r } = await at100();
  r.receive(updates(99, paint(0, 0, RED), paint(0, 1, RED), paint(0, 2, GREEN)));
  assert.equal(r.seq, 101);
  assert.equal(r.grid.at(0, 0), 0xffffff);
  assert.equal(r.grid.at(0, 1), 0xffffff);
  assert.equal(r.grid.at(0, 2), GREEN);
});

test('a range that overlaps is applied whole', async () => {
  const { r } = await at100();
  r.receive(updates(101, paint(0, 0, RED)));
  r.receive(range(95, 110, [0, 0, BLUE, 3, 2, GREEN]));
  assert.equal(r.seq, 110);
  assert.equal(r.grid.at(0, 0), BLUE);
  assert.equal(r.grid.at(3, 2), GREEN);
});

test('a range resets first, then paints; an empty one moves the position', async () => {
  const { r } = await at100();
  r.receive(updates(101, paint(0, 0, RED)));
  r.receive(range(101, 105, [1, 1, GREEN], BLUE));
  assert.equal(r.grid.at(0, 0), BLUE);
  assert.equal(r.grid.at(1, 1), GREEN);
  r.receive(range(105, 108, []));
  assert.equal(r.seq, 108);
});

test('a gap breaks, and nothing after it is applied', async () => {
  const { r, told } = await at100();
  r.receive(updates(102, paint(0, 0, RED)));
  assert.deepEqual(told.broken, ['gap']);
  assert.equal(r.grid.at(0, 0), 0xffffff);
  assert.deepEqual(r.position, { epoch: EPOCH, seq: 100 }, 'asks for the rest from here');
  r.receive(range(101, 105, []));
  assert.deepEqual(told.broken, ['gap', 'gap']);
});

test('an operation with a pixel off the canvas changes nothing, but counts', async () => {
  const { r, told } = await at100();
  r.receive(updates(101, paint(0, 0, RED, 4, 0, RED), reset(GREEN)));
  assert.equal(r.seq, 102);
  assert.deepEqual([...r.grid.cells], Array(12).fill(GREEN));
  assert.deepEqual(told.painted, [null]);
});

test('a snapshot replaces picture, epoch and position, also backwards', async () => {
  const { r, settled } = await at100();
  r.receive(updates(101, paint(0, 0, RED)));
  const other = new Grid({ width: 2, height: 2, background: 0 });
  other.paint([1, 1, BLUE]);
  const done = settled();
  for (const m of snapshot(other, OTHER_EPOCH, 7)) r.receive(m);
  await done;
  assert.deepEqual(r.position, { epoch: OTHER_EPOCH, seq: 7 });
  assert.equal(r.grid.width, 2);
  assert.equal(r.grid.at(1, 1), BLUE);
});

test('a snapshot is applied when complete; updates behind it wait for it', async () => {
  const { r, told, settled } = await at100();
  const picture = blank();
  picture.paint([2, 2, GREEN]);
  const done = settled();
  const messages = snapshot(picture, EPOCH, 200, 1);
  for (const m of messages.slice(0, -1)) r.receive(m);
  assert.equal(r.seq, 100);
  r.receive(messages.at(-1));
  r.receive(updates(201, paint(0, 0, RED)));
  assert.equal(r.seq, 100, 'not inflated yet');
  await done;
  assert.equal(r.seq, 201);
  assert.equal(r.grid.at(2, 2), GREEN);
  assert.equal(r.grid.at(0, 0), RED);
  assert.deepEqual(told.broken, []);
});

test('a new beginning discards an unfinished snapshot', async () => {
  const { r, settled } = replica();
  const done = settled();
  r.receive(snapshot(blank(), EPOCH, 5, 1)[0]);
  r.receive(snapshot(blank(), EPOCH, 5, 1)[1]);
  for (const m of snapshot(blank(), OTHER_EPOCH, 6, 2)) r.receive(m);
  await done;
  assert.deepEqual(r.position, { epoch: OTHER_EPOCH, seq: 6 });
});

test('a connection that ends takes its unfinished snapshot with it', async () => {
  const { r, settled } = await at100();
  for (const m of snapshot(blank(), OTHER_EPOCH, 7)) r.receive(m);
  r.restart();
  r.receive(updates(101, paint(0, 0, RED)));
  assert.deepEqual(r.position, { epoch: EPOCH, seq: 101 });
  const done = settled();
  for (const m of snapshot(blank(), EPOCH, 300)) r.receive(m);
  await done;
  assert.equal(r.seq, 300, 'the dropped one never came');
});

test('bad snapshots break and leave the picture alone', async (t) => {
  const picture = blank();
  picture.paint([0, 2, GREEN]);
  const good = () => snapshot(picture, EPOCH, 200, 2);
  const cases = {
    'wrong hash': (m) => (m[0].hash += 1n, m),
    'band off the canvas': (m) => (m[2].y = 2, m[2].height = 2, m),
    'bands that overlap': (m) => (m[2].y = 0, m),
    'a band too early': (m) => [m[0], m[2]],
    'a band without a beginning': (m) => [m[1]],
    'too few bytes': (m) => (m[1].data = m[1].data.slice(0, -3), m),
    'more bytes than its cells': (m) => (m[2].width = 3, m),
    'not DEFLATE': (m) => (m[1].data = new Uint8Array([7, 7, 7]), m),
    'no bands': (m) => (m[0].bands = 0, [m[0]]),
    'greater than any canvas': (m) => (m[0].width = 5000, [m[0]]),
  };
  for (const [name, spoil] of Object.entries(cases)) {
    await t.test(name, async () => {
      const { r, told, settled } = await at100();
      const done = settled();
      for (const m of spoil(good())) r.receive(m);
      await done;
      assert.equal(told.broken.length, 1, `${told.broken}`);
      assert.deepEqual(r.position, { epoch: EPOCH, seq: 100 });
    });
  }
});

test('before any picture an update breaks', () => {
  const { r, told } = replica();
  assert.equal(r.position, null);
  r.receive(updates(1, paint(0, 0, RED)));
  assert.equal(told.broken.length, 1);
});

test('a position that is not trusted is not asked for', async () => {
  const { r } = await at100();
  r.distrust();
  assert.equal(r.position, null);
  assert.ok(r.grid, 'but the picture stays');
});
