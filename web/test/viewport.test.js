import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Viewport } from '../js/display/viewport.js';

function viewport(columns, rows, width, height) {
  const v = new Viewport();
  v.resize(width, height);
  v.setCanvas(columns, rows);
  return v;
}

test('the canvas is fitted with whole pixels and centred', () => {
  const v = viewport(50, 50, 1000, 730);
  assert.equal(v.scale, 14);
  assert.deepEqual([v.left, v.top], [150, 15]);
  assert.deepEqual(v.cellAt(150, 15), [0, 0]);
  assert.deepEqual(v.cellAt(849, 714), [49, 49]);
  assert.deepEqual(v.cellAt(149, 715), [-1, 50]);
});

test('a canvas larger than the view is fitted, too', () => {
  const v = viewport(4096, 4096, 1024, 512);
  assert.equal(v.scale, 0.125);
  assert.deepEqual(v.cellAt(256 + 511.9, 511.9), [4095, 4095]);
});

test('a fitted canvas stays fitted when the view changes', () => {
  const v = viewport(50, 50, 1000, 730);
  v.resize(500, 500);
  assert.equal(v.scale, 10);
  v.zoom(1);
  v.resize(600, 500);
  assert.notEqual(v.scale, 10, 'but not one that was zoomed');
});

test('zooming keeps the point under the pointer', () => {
  const v = viewport(1000, 1000, 800, 800);
  v.zoomTo(8, 100, 200);
  const cell = v.cellAt(400, 300);
  v.zoom(1, 400, 300);
  assert.equal(v.scale, 12);
  assert.deepEqual(v.cellAt(400, 300), cell);
  v.zoom(-1, 400, 300);
  assert.deepEqual(v.cellAt(400, 300), cell);
});

test('scales have an end', () => {
  const v = viewport(50, 50, 500, 500);
  for (let i = 0; i < 50; i++) v.zoom(1);
  assert.equal(v.scale, 96);
  for (let i = 0; i < 50; i++) v.zoom(-1);
  assert.equal(v.scale, 1 / 16);
});

test('the canvas cannot be pushed out of sight', () => {
  const v = viewport(50, 50, 500, 500);
  v.pan(1e6, -1e6);
  assert.ok(v.left < 500 && v.top + 500 > 0);
});

test('a cell is brought into view with the least movement', () => {
  const v = viewport(1000, 1000, 400, 400);
  v.zoomTo(8, 0, 0);
  v.reveal(60, 10);
  assert.deepEqual(v.cellAt(399, 0)[0], 60);
  const { left, top } = v;
  v.reveal(60, 10);
  assert.deepEqual([v.left, v.top], [left, top]);
});
