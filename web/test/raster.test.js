import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Stroke, line } from '../js/input/raster.js';

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

test('a stroke gives each new cell once', () => {
  const stroke = new Stroke({ width: 10, height: 10, color: 5 });
  stroke.moveTo(1, 1);
  assert.deepEqual(stroke.take(), [1, 1, 5]);
  stroke.moveTo(4, 1);
  stroke.moveTo(1, 1);
  assert.deepEqual(stroke.take(), [2, 1, 5, 3, 1, 5, 4, 1, 5]);
  assert.deepEqual(stroke.take(), []);
});

test('a stroke that leaves the canvas goes up to the border and on from it', () => {
  const stroke = new Stroke({ width: 4, height: 4, color: 1 });
  stroke.moveTo(2, 2);
  stroke.moveTo(7, 2);
  stroke.moveTo(7, 3);
  stroke.moveTo(2, 3);
  assert.deepEqual(stroke.take(), [2, 2, 1, 3, 2, 1, 3, 3, 1, 2, 3, 1]);
});

test('a point far away makes no endless line', () => {
  const stroke = new Stroke({ width: 4, height: 4, color: 1 });
  stroke.moveTo(0, 0);
  stroke.moveTo(1e9, 0);
  assert.deepEqual(stroke.take().filter((_, i) => i % 3 === 0), [0, 1, 2, 3]);
});
