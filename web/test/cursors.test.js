import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Cursors, cellsIn } from '../js/cursors.js';
import { decodeClient } from './encode.js';

/** A clock that moves when it is told to. */
function fakeClock() {
  let now = 0;
  let timers = [];
  return {
    now: () => now,
    elapsed: () => now,
    after(ms, run) {
      const timer = { at: now + ms, run };
      timers.push(timer);
      return () => (timers = timers.filter((t) => t !== timer));
    },
    pass(ms) {
      const end = now + ms;
      for (;;) {
        const [next] = timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at);
        if (!next) break;
        timers = timers.filter((t) => t !== next);
        now = next.at;
        next.run();
      }
      now = end;
    },
  };
}

function start(options) {
  const clock = fakeClock();
  const sent = [];
  let changes = 0;
  const cursors = new Cursors({ clock, send: (messages) => sent.push(...messages.flatMap(decodeClient)), changed: () => changes++, ...options });
  return { clock, cursors, sent, changes: () => changes };
}

const viewport = (left, top, scale, width = 100, height = 100, columns = 50, rows = 40) => ({ left, top, scale, width, height, columns, rows, ratio: 1 });

/** A context that notes where arrows and which texts are drawn. */
function canvas() {
  const drawn = { arrows: [], texts: [] };
  const nothing = () => {};
  return {
    drawn,
    save: nothing, restore: nothing, scale: nothing, beginPath: nothing, moveTo: nothing, lineTo: nothing, closePath: nothing, stroke: nothing, fill: nothing, roundRect: nothing,
    translate: (x, y) => drawn.arrows.push([x, y]),
    measureText: (text) => ({ width: 6 * text.length }),
    fillText: (text) => drawn.texts.push(text),
  };
}

test('the latest own place is told, at most ten times a second', () => {
  const { clock, cursors, sent } = start();
  cursors.connection(true);
  for (let i = 0; i < 100; i++) {
    cursors.point([i % 50, 1]);
    clock.pass(10);
  }
  assert.ok(sent.length >= 10 && sent.length <= 11, `${sent.length} in a second`);
  clock.pass(100);
  assert.deepEqual(sent.at(-1), { type: 'cursor', x: 49, y: 1 });
  const told = sent.length;
  cursors.point([49, 1]);
  clock.pass(1000);
  assert.equal(sent.length, told, 'the same place is not told again');
  cursors.point(null);
  clock.pass(100);
  assert.deepEqual(sent.at(-1), { type: 'cursor' });
});

test('who never pointed does not say to be gone', () => {
  const { clock, cursors, sent } = start();
  cursors.connection(true);
  cursors.point([1, 1]);
  cursors.connection(false);
  cursors.point(null);
  cursors.connection(true);
  clock.pass(1000);
  assert.deepEqual(sent, [{ type: 'cursor', x: 1, y: 1 }]);
});

test('what is in view is told when it changes, and to each new gateway', () => {
  const { clock, cursors, sent } = start();
  cursors.look(viewport(0, 0, 2));
  assert.deepEqual(sent, [], 'not before there is a connection');
  cursors.connection(true);
  const first = { type: 'view', x: 0, y: 0, width: 50, height: 40 };
  assert.deepEqual(sent, [first]);
  for (let i = 1; i <= 20; i++) {
    cursors.look(viewport(-10 * i, 0, 10));
    clock.pass(20);
  }
  clock.pass(250);
  assert.ok(sent.length <= 4, `${sent.length} in 650 ms`);
  assert.deepEqual(sent.at(-1), { type: 'view', x: 20, y: 0, width: 10, height: 10 });
  const told = sent.length;
  cursors.look(viewport(-200, 0, 10));
  clock.pass(1000);
  assert.equal(sent.length, told);
  cursors.connection(false);
  cursors.connection(true);
  assert.deepEqual(sent.at(-1), { type: 'view', x: 20, y: 0, width: 10, height: 10 });
});

test('cells in view', () => {
  assert.deepEqual(cellsIn(viewport(0, 0, 1)), { x: 0, y: 0, width: 50, height: 40 });
  assert.deepEqual(cellsIn(viewport(25, 30, 1)), { x: 0, y: 0, width: 50, height: 40 }, 'room around the canvas');
  assert.deepEqual(cellsIn(viewport(-15, -5, 10)), { x: 1, y: 0, width: 11, height: 11 }, 'cells that are cut off count');
  assert.deepEqual(cellsIn(viewport(90, 0, 10)), { x: 0, y: 0, width: 1, height: 10 });
  assert.equal(cellsIn(viewport(100, 0, 10)), null);
  assert.equal(cellsIn(viewport(-500, 0, 10)), null);
});

test('others are drawn where they point, by the names that they have', () => {
  const { clock, cursors, changes } = start({ still: () => true });
  cursors.presence({ isList: true, users: [{ author: 7, name: '<b>Ada</b>' }] });
  cursors.connection(true);
  cursors.receive({ here: [{ author: 7, x: 3, y: 4 }, { author: 8, x: 0, y: 0 }], gone: [] });
  assert.ok(changes() > 0);
  const c = canvas();
  cursors.draw(c, viewport(10, 20, 2));
  assert.deepEqual(c.drawn, { arrows: [[17, 29], [11, 21]], texts: ['<b>Ada</b>'] });
  cursors.presence({ isList: false, users: [] });
  assert.equal(cursors.shown.find((s) => s.author === 7).name, '<b>Ada</b>', 'a count takes no names away');
  cursors.receive({ here: [], gone: [7, 99] });
  assert.deepEqual(cursors.shown, [{ author: 8, x: 0, y: 0, name: '' }]);
  clock.pass(13_000);
  cursors.draw(canvas(), viewport(0, 0, 1));
  assert.deepEqual(cursors.shown, [], 'without news it goes');
  cursors.receive({ here: [{ author: 8, x: 0, y: 0 }], gone: [] });
  cursors.connection(false);
  assert.deepEqual(cursors.shown, [], 'a lost connection knows of nobody');
});

test('a cursor glides to its new place, and draws no more when it is there', async () => {
  const { clock, cursors, changes } = start();
  cursors.connection(true);
  cursors.receive({ here: [{ author: 1, x: 0, y: 0 }], gone: [] });
  clock.pass(1000);
  cursors.receive({ here: [{ author: 1, x: 10, y: 0 }], gone: [] });
  const xs = [];
  for (let i = 0; i < 5; i++) {
    const c = canvas();
    cursors.draw(c, viewport(0, 0, 10));
    xs.push(c.drawn.arrows[0][0]);
    clock.pass(30);
  }
  assert.deepEqual(xs, [5, 30, 55, 80, 105]);
  await Promise.resolve();
  const before = changes();
  cursors.draw(canvas(), viewport(0, 0, 10));
  await Promise.resolve();
  assert.equal(changes(), before);
});
