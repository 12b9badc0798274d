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
  assert.equal(v.scale, 10);
  assert.deepEqual(v.cellAt(400, 300), cell);
  v.zoom(-1, 400, 300);
  assert.deepEqual(v.cellAt(400, 300), cell);
});

test('from the whole canvas to 64 CSS pixels a cell', () => {
  for (const ratio of [1, 1.25, 2, 3]) {
    const v = viewport(1000, 1000, 500, 500);
    v.resize(500 * ratio, 500 * ratio, ratio);
    for (let i = 0; i < 50; i++) v.zoom(1);
    assert.equal(v.scale, 64 * ratio);
    for (let i = 0; i < 50; i++) v.zoom(-1);
    assert.equal(v.scale, Math.min(1, 0.5 * ratio), 'the whole canvas, or one pixel a cell');
    assert.ok(v.columns * v.scale <= v.width + 1);
  }
});

test('scales of one pixel and more are whole', () => {
  const v = viewport(1000, 1000, 640, 480);
  for (let i = 0; i < 400; i++) {
    v.zoomBy(1.013, 320, 240);
    assert.ok(v.scale < 1 || Number.isInteger(v.scale), `${v.scale}`);
  }
  assert.equal(v.scale, 64);
});

test('small steps add up, and a large one is always a step', () => {
  const v = viewport(50, 50, 500, 500);
  for (let i = 0; i < 5; i++) v.zoomBy(1.02, 0, 0);
  assert.equal(v.scale, 11);
  const w = viewport(4000, 4000, 4000, 4000);
  w.zoomBy(1.2, 0, 0);
  assert.equal(w.scale, 2);
  w.zoomBy(1 / 1.2, 0, 0);
  assert.equal(w.scale, 1);
});

test('the canvas is fitted between the panels', () => {
  const v = viewport(50, 50, 1000, 800);
  v.setInsets({ top: 100, right: 50, bottom: 150, left: 250 });
  assert.equal(v.scale, 11);
  assert.deepEqual([v.left, v.top], [250 + 75, 100]);
  assert.ok(v.seesAll);
  v.pan(-100, 0);
  assert.ok(!v.seesAll, 'a panel covers a part');
});

test('a place is found again, on another screen, too', () => {
  const v = viewport(1000, 1000, 800, 600);
  v.lookAt(123.5, 456.5, 16);
  assert.deepEqual(v.middle, [123.5, 456.5]);
  assert.equal(v.scale, 16);
  v.resize(1200, 900, 2);
  assert.equal(v.scale, 32, 'as many CSS pixels');
  assert.deepEqual(v.middle.map(Math.round), [124, 457]);
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
