import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MAX_OWN, MAX_RECENT, PRESETS, Palette } from '../js/state/palette.js';
import { Storage } from './fakes.js';

test('own and recent colours, and the one in the hand, are kept', () => {
  const local = new Storage();
  const before = new Palette(local);
  before.choose(0x123456);
  before.used(0x123456);
  before.add(0xabcdef);
  const after = new Palette(local);
  assert.equal(after.value, 0x123456);
  assert.deepEqual([after.recent, after.own], [[0x123456], [0xabcdef]]);
});

test('recent colours are few, each once, and no presets', () => {
  const p = new Palette(null);
  for (let i = 0; i < 20; i++) p.used(i);
  p.used(18);
  p.used(PRESETS[0].color);
  assert.deepEqual(p.recent, [18, 19, 17, 16, 15, 14]);
  assert.equal(p.recent.length, MAX_RECENT);
});

test('own colours can be added, changed and removed, up to a bound', () => {
  const p = new Palette(null);
  p.used(5);
  assert.ok(p.add(5));
  assert.deepEqual([p.own, p.recent], [[5], []], 'it is no longer only recent');
  assert.ok(!p.add(5));
  p.replace(5, 6);
  p.replace(99, 7);
  assert.deepEqual(p.own, [6]);
  p.remove(6);
  for (let i = 0; i < MAX_OWN; i++) assert.ok(p.add(i));
  assert.ok(!p.add(1000));
});

test('two colours in one hand', () => {
  const p = new Palette(null);
  p.choose(1);
  p.choose(2);
  p.swap();
  assert.equal(p.value, 1);
  p.swap();
  assert.equal(p.value, 2);
});

test('whatever is stored, there is a palette', () => {
  for (const stored of ['', 'x', 'null', '[]', '{"own":"x","recent":[null,"#12","#00FF00"],"value":7}']) {
    const local = new Storage();
    local.setItem('pixel-colors', stored);
    const p = new Palette(local);
    assert.equal(p.value, 0x2563eb);
    assert.ok(p.recent.every((c) => c === 0x00ff00));
  }
});

test('full storage does not stop anybody from choosing', () => {
  const local = new Storage();
  local.full = true;
  const p = new Palette(local);
  p.choose(3);
  assert.equal(p.value, 3);
});
