import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Cells, area, box, colored, constrain, line } from '../js/input/raster.js';

const SIZE = { width: 10, height: 10 };

test('a line has both its ends and no hole', () => {
  for (let i = 0; i < 500; i++) {
    const [x0, y0, x1, y1] = [i % 17, (i * 7) % 23, (i * 5) % 31, (i * 11) % 13];
    const points = line(x0, y0, x1, y1);
    assert.deepEqual(points.slice(0, 2), [x0, y0]);
    assert.deepEqual(points.slice(-2), [x1, y1]);
    for (let p = 2; p < points.length; p += 2) {
      const step = Math.max(Math.abs(points[p] - points[p - 2]), Math.abs(points[p + 1] - points[p - 1]));
      assert.equal(step, 1, `${[x0, y0, x1, y1]}`);
    }
  }
});

test('each cell comes once', () => {
  const cells = new Cells(SIZE);
  cells.stamp(1, 1);
  assert.deepEqual(cells.take(), [1, 1]);
  cells.line([1, 1], [4, 1]);
  cells.line([4, 1], [1, 1]);
  assert.deepEqual(cells.take(), [2, 1, 3, 1, 4, 1]);
  assert.deepEqual(cells.take(), []);
  assert.equal(cells.size, 4);
});

test('a line that leaves the canvas goes up to the border and on from it', () => {
  const cells = new Cells({ width: 4, height: 4 });
  cells.line([2, 2], [7, 2]);
  cells.line([7, 2], [7, 3]);
  cells.line([7, 3], [2, 3]);
  assert.deepEqual(cells.take(), [2, 2, 3, 2, 3, 3, 2, 3]);
});

test('a point far away makes no endless line', () => {
  const cells = new Cells({ width: 4, height: 4 });
  cells.line([0, 0], [1e9, 0]);
  assert.deepEqual(cells.take().filter((_, i) => i % 2 === 0), [0, 1, 2, 3]);
});

test('a brush is a square around its cell, cut at the border', () => {
  const cells = new Cells(SIZE, 3);
  cells.stamp(5, 5);
  assert.deepEqual(cells.take(), [4, 4, 5, 4, 6, 4, 4, 5, 5, 5, 6, 5, 4, 6, 5, 6, 6, 6]);
  const corner = new Cells(SIZE, 3);
  corner.stamp(0, 0);
  assert.deepEqual(corner.take(), [0, 0, 1, 0, 0, 1, 1, 1]);
});

test('a thick line has no hole at any slope', () => {
  for (const end of [[9, 3], [3, 9], [9, 9], [0, 9], [9, 0]]) {
    const cells = new Cells(SIZE, 2);
    cells.line([1, 1], end);
    const points = cells.take();
    const has = new Set();
    for (let i = 0; i < points.length; i += 2) has.add(`${points[i]},${points[i + 1]}`);
    for (const [x, y] of [[1, 1], end]) assert.ok(has.has(`${x},${y}`));
    assert.equal(has.size, points.length / 2, 'each once');
  }
});

test('a rectangle is cut to the canvas', () => {
  assert.deepEqual(box(SIZE, [3, 8], [-5, 2]), [0, 2, 3, 8]);
  assert.deepEqual(box(SIZE, [5, 5], [5, 5]), [5, 5, 5, 5]);
  assert.equal(box(SIZE, [-3, 0], [-1, 5]), null);
});

test('held straight: squares, and lines at eight directions', () => {
  assert.deepEqual(constrain([2, 2], [7, 4], 'square'), [7, 7]);
  assert.deepEqual(constrain([7, 7], [2, 6], 'square'), [2, 2]);
  assert.deepEqual(constrain([2, 2], [9, 3], 'line'), [9, 2]);
  assert.deepEqual(constrain([2, 2], [3, 9], 'line'), [2, 9]);
  assert.deepEqual(constrain([2, 2], [9, 7], 'line'), [9, 9]);
});

test('an area is connected by sides and ends at other colours', () => {
  const rows = ['..#..', '.#.#.', '..#..'];
  const at = (x, y) => (rows[y][x] === '#' ? 1 : 0);
  const size = { width: 5, height: 3 };
  const count = (points) => points.length / 2;
  assert.equal(count(area(size, at, [0, 0], 100)), 5, 'not through corners');
  assert.deepEqual(area(size, at, [2, 1], 100), [2, 1]);
  assert.equal(area(size, at, [0, 0], 4), null, 'more than may be');
  assert.equal(count(area(size, () => 0, [4, 2], 15)), 15);
});

test('cells get a colour', () => {
  assert.deepEqual(colored([1, 2, 3, 4], 9), [1, 2, 9, 3, 4, 9]);
  assert.deepEqual(colored([], 9), []);
});
