import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Drawing } from '../js/input/drawing.js';
import { MAX_SHAPE, TOOLS } from '../js/input/tools.js';

const context = (o = {}) => ({ size: { width: 20, height: 20 }, color: 7, brush: 1, background: 1, colorAt: () => 0, ...o });
const cellsOf = (pixels) => new Set(Array.from({ length: pixels.length / 3 }, (_, i) => `${pixels[3 * i]},${pixels[3 * i + 1]}`));
const use = (tool, path, o, constrained = false) => {
  const g = TOOLS[tool].draws(context(o), path[0]);
  const shown = path.flatMap((c) => g.move(c, constrained));
  return { g, shown, result: g.end() };
};

test('freehand shows what it will draw, and no cell twice', () => {
  const { shown, result } = use('pencil', [[1, 1], [5, 1], [5, 1], [2, 1]]);
  assert.deepEqual(shown, result.pixels);
  assert.deepEqual([...cellsOf(shown)], ['1,1', '2,1', '3,1', '4,1', '5,1']);
});

test('the eraser paints the background', () => {
  assert.deepEqual(use('eraser', [[3, 3]]).result.pixels, [3, 3, 1]);
});

test('shapes draw what their preview shows, once a cell', () => {
  for (const tool of ['line', 'rectangle', 'filled']) {
    for (const brush of [1, 2, 3, 5]) {
      for (const path of [[[2, 2], [15, 9]], [[15, 9], [2, 2]], [[-4, 3], [8, 30]], [[6, 6], [6, 6]], [[6, 6], [8, 7]]]) {
        const { g, result } = use(tool, path, { brush });
        const previewed = new Set();
        for (const [x, y, w, h] of g.preview().boxes) for (let dy = 0; dy < h; dy++) for (let dx = 0; dx < w; dx++) previewed.add(`${x + dx},${y + dy}`);
        const drawn = cellsOf(result.pixels);
        assert.deepEqual([...drawn].sort(), [...previewed].sort(), `${tool} ${brush} ${path}`);
        assert.equal(drawn.size, result.pixels.length / 3);
      }
    }
  }
});

test('an outline is hollow and grows inwards', () => {
  const cells = cellsOf(use('rectangle', [[2, 2], [9, 9]], { brush: 2 }).result.pixels);
  assert.equal(cells.size, 64 - 16);
  assert.ok(cells.has('3,3') && !cells.has('4,4') && !cells.has('1,1'));
});

test('held straight a rectangle is a square', () => {
  assert.equal(use('filled', [[2, 2], [6, 3]], {}, true).result.pixels.length / 3, 25);
});

test('fill takes one area, and nothing where the colour is there already', () => {
  const at = (x) => (x < 5 ? 0 : 1);
  assert.equal(use('fill', [[0, 0]], { colorAt: at }).result.pixels.length / 3, 100);
  assert.deepEqual(use('fill', [[0, 0]], { colorAt: () => 7 }).result.pixels, []);
  assert.deepEqual(use('fill', [[-1, 0]]).result.pixels, []);
});

test('what is too large to send is not drawn', () => {
  const size = { width: 1000, height: 1000 };
  assert.ok(use('fill', [[0, 0]], { size }).result.tooLarge > MAX_SHAPE);
  assert.ok(use('filled', [[0, 0], [999, 999]], { size }).result.tooLarge > MAX_SHAPE);
  assert.ok(use('rectangle', [[0, 0], [999, 999]], { size }).result.pixels.length > 0);
});

function drawing(grid = { width: 8, height: 8, background: 0xffffff }) {
  const told = [];
  const d = new Drawing({
    grid: () => grid,
    color: () => 7,
    colorAt: (x) => x,
    draft: (p) => told.push(['draft', p.length / 3]),
    discard: () => told.push(['discard']),
    preview: (p) => told.push(['preview', p?.boxes.length ?? null]),
    commit: (p) => told.push(['commit', p.length / 3]),
    tooLarge: () => told.push(['large']),
    picked: (c) => told.push(['picked', c]),
  });
  return { d, told, take: () => told.splice(0).filter(([what]) => what !== 'preview') };
}

test('a drag is one stroke, and one commit', () => {
  const { d, take } = drawing();
  assert.ok(d.begin([1, 1]));
  d.move([[2, 1], [3, 1]], false);
  d.move([[4, 1]], false);
  d.end();
  assert.deepEqual(take(), [['draft', 1], ['draft', 2], ['draft', 1], ['commit', 4]]);
  d.end();
  assert.deepEqual(take(), [], 'once');
});

test('a cancelled gesture leaves nothing', () => {
  const { d, take } = drawing();
  d.begin([1, 1]);
  d.cancel();
  d.end();
  assert.deepEqual(take(), [['draft', 1], ['discard']]);
  d.begin([1, 1]);
  d.choose('line');
  assert.deepEqual(take(), [['draft', 1], ['discard']], 'another tool cancels');
});

test('the eyedropper picks, then gives the last tool back', () => {
  const { d, take } = drawing();
  d.choose('line');
  d.choose('eyedropper');
  d.begin([3, 0]);
  d.move([[4, 0]], false);
  d.move([[40, 0]], false);
  d.end();
  assert.deepEqual(take(), [['picked', 3], ['picked', 4]]);
  assert.equal(d.tool, 'line');
  d.begin([5, 5], 'eyedropper');
  d.end();
  assert.deepEqual(take(), [['picked', 5]], 'for one gesture');
  assert.equal(d.tool, 'line');
});

test('a stroke off the canvas is none', () => {
  const { d, take } = drawing();
  d.begin([-3, -3]);
  d.end();
  assert.deepEqual(take(), [['discard']]);
});

test('nothing begins without a picture, or with the hand', () => {
  assert.equal(drawing(null).d.begin([0, 0]), false);
  const { d } = drawing();
  d.choose('hand');
  assert.equal(d.begin([0, 0]), false);
});
