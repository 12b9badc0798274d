import assert from 'node:assert/strict';
import { test } from 'node:test';

import { History, MAX_STEPS } from '../js/state/history.js';

const ME = 7;
const OTHER = 9;

/** A picture that operations are applied to at once, with its history. */
function canvas() {
  const cells = new Map();
  const visible = (x, y) => cells.get(`${x},${y}`) ?? 0;
  const history = new History(ME);
  let number = 0;
  const paint = (pixels) => {
    for (let i = 0; i < pixels.length; i += 3) cells.set(`${pixels[i]},${pixels[i + 1]}`, pixels[i + 2]);
  };
  return {
    history,
    visible,
    /** Draws, and unless told otherwise it comes back at once. */
    draw(pixels, echo = true) {
      const before = new Map(cells);
      paint(pixels);
      history.record([++number], pixels, (x, y) => before.get(`${x},${y}`) ?? 0);
      if (echo) history.applied(ME, number, pixels);
      return number;
    },
    theirs(pixels, beneath = false) {
      if (!beneath) paint(pixels);
      history.applied(OTHER, 1, pixels);
    },
    move(which, echo = true) {
      const change = history[which](visible);
      if (!change) return null;
      paint(change.pixels);
      history.sent(change.step, [++number]);
      if (echo) history.applied(ME, number, change.pixels);
      return change;
    },
  };
}

test('undo puts back what was there, redo the stroke', () => {
  const c = canvas();
  c.draw([0, 0, 1, 1, 0, 1]);
  c.draw([1, 0, 2]);
  c.move('undo');
  assert.deepEqual([c.visible(0, 0), c.visible(1, 0)], [1, 1]);
  c.move('undo');
  assert.deepEqual([c.visible(0, 0), c.visible(1, 0)], [0, 0]);
  assert.equal(c.move('undo'), null);
  c.move('redo');
  c.move('redo');
  assert.deepEqual([c.visible(0, 0), c.visible(1, 0)], [1, 2]);
  assert.equal(c.move('redo'), null);
});

test('a new stroke ends what could be drawn again', () => {
  const c = canvas();
  c.draw([0, 0, 1]);
  c.move('undo');
  c.draw([0, 0, 2]);
  assert.ok(!c.history.canRedo && c.history.canUndo);
});

test('what others have painted since stays, also in the same colour', () => {
  const c = canvas();
  c.draw([0, 0, 1, 1, 0, 1, 2, 0, 1]);
  c.theirs([1, 0, 5]);
  c.theirs([2, 0, 1]);
  const change = c.move('undo');
  assert.deepEqual(change.pixels, [0, 0, 0]);
  assert.equal(change.kept, 2);
  assert.equal(c.visible(1, 0), 5);
  c.move('redo');
  assert.equal(c.visible(1, 0), 5, 'nor does redo take it');
});

test('what others painted before one drew over it comes back', () => {
  const c = canvas();
  c.draw([0, 0, 1]);
  c.theirs([0, 0, 5]);
  c.draw([0, 0, 2]);
  c.move('undo');
  assert.equal(c.visible(0, 0), 5);
  assert.equal(c.move('undo').kept, 1, 'the first stroke is under theirs');
  assert.equal(c.visible(0, 0), 5);
});

test('what came before ours in the log is beneath it, and is what undo puts back', () => {
  const c = canvas();
  const number = c.draw([0, 0, 1], false);
  c.theirs([0, 0, 5], true);
  c.history.applied(ME, number, [0, 0, 1]);
  c.move('undo');
  assert.equal(c.visible(0, 0), 5);
});

test('what changed unseen, as in a range, stays', () => {
  const c = canvas();
  c.draw([0, 0, 1, 1, 0, 1], false);
  c.history.reached(1);
  c.theirs([9, 9, 3]);
  const paintedUnseen = (x, y) => (x === 0 ? 4 : c.visible(x, y));
  assert.deepEqual(c.history.undo(paintedUnseen).pixels, [1, 0, 0]);
});

test('a stroke that changes nothing is no step', () => {
  const c = canvas();
  c.draw([0, 0, 0]);
  assert.ok(!c.history.canUndo);
});

test('a cell that a stroke paints twice has one before and one after', () => {
  const c = canvas();
  c.draw([0, 0, 1, 0, 0, 2]);
  assert.equal(c.visible(0, 0), 2);
  c.move('undo');
  assert.equal(c.visible(0, 0), 0);
});

test('a refused stroke, and a reset, leave nothing to undo', () => {
  const c = canvas();
  const number = c.draw([0, 0, 1], false);
  c.history.refused(number);
  assert.ok(!c.history.canUndo);
  c.draw([0, 0, 1]);
  c.move('undo');
  c.draw([1, 0, 1]);
  c.history.clear();
  assert.ok(!c.history.canUndo && !c.history.canRedo);
  assert.equal(c.move('undo'), null);
});

test('an undo that finds nothing of the stroke is told, and forgotten', () => {
  const c = canvas();
  c.draw([0, 0, 1]);
  c.theirs([0, 0, 5]);
  const change = c.move('undo');
  assert.deepEqual([change.pixels, change.kept], [[], 1]);
  assert.ok(!c.history.canUndo && !c.history.canRedo);
});

test('steps are bounded', () => {
  const c = canvas();
  for (let i = 0; i < MAX_STEPS + 50; i++) c.draw([0, 0, i + 1]);
  let steps = 0;
  while (c.move('undo')) steps++;
  assert.equal(steps, MAX_STEPS);
});
