import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { Grid } from '../js/state/grid.js';

/** The definition of the hash, word for word, with numbers of any size. */
function slowHash(grid) {
  const mask = (1n << 64n) - 1n;
  let sum = 0n;
  grid.cells.forEach((color, index) => {
    let z = (((BigInt(index) << 24n) | BigInt(color)) + 0x9e3779b97f4a7c15n) & mask;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask;
    sum = (sum + (z ^ (z >> 31n))) & mask;
  });
  return sum;
}

test('a new grid has its background', () => {
  const grid = new Grid({ width: 3, height: 2, background: 0x123456 });
  assert.deepEqual([...grid.cells], Array(6).fill(0x123456));
});

test('painting is in order: the later pixel of a cell wins', () => {
  const grid = new Grid({ width: 3, height: 2, background: 0 });
  grid.paint([2, 1, 0x0000ff, 0, 0, 0xff0000, 2, 1, 0x00ff00]);
  assert.equal(grid.at(2, 1), 0x00ff00);
  assert.equal(grid.at(0, 0), 0xff0000);
  assert.ok(grid.holds([2, 1, 0]));
  for (const [x, y] of [[3, 0], [0, 2], [-1, 0]]) assert.ok(!grid.holds([0, 0, 0, x, y, 0]));
});

test('a rectangle is loaded whole or not at all', () => {
  const grid = new Grid({ width: 4, height: 3, background: 0 });
  assert.ok(grid.loadRect(1, 1, 2, 1, [1, 2, 3, 4, 5, 6]));
  assert.equal(grid.at(1, 1), 0x010203);
  assert.equal(grid.at(2, 1), 0x040506);
  for (const bad of [[3, 1, 2, 1], [0, 0, 0, 1], [0, 2, 1, 2], [1, 1, 1, 1]]) {
    assert.ok(!grid.loadRect(...bad, [9, 9, 9, 9, 9, 9]), `${bad}`);
  }
  assert.equal(grid.at(3, 1), 0);
});

test('the hash is the one that gateways keep', () => {
  const file = new URL('../../services/protocol/testdata/vectors.json', import.meta.url);
  const vector = JSON.parse(readFileSync(file, 'utf8')).find((v) => v.name === 'snapshot-begin');
  const grid = new Grid({ width: 4, height: 3, background: 0xffffff });
  grid.paint([0, 0, 0xff0000, 3, 2, 0x0000ff]);
  assert.equal(String(grid.hash()), vector.messages[0].hash);
});

test('the hash in halves agrees with its definition', () => {
  const grid = new Grid({ width: 61, height: 53, background: 0xffffff });
  let random = 7;
  for (let i = 0; i < grid.cells.length; i++) {
    random = (random * 48271) % 2147483647;
    grid.cells[i] = random & 0xffffff;
  }
  assert.equal(grid.hash(), slowHash(grid));
});
