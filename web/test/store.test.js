import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDBFactory } from 'fake-indexeddb';

import { PATIENCE, openStore as open, packEntry, unpackEntry } from '../js/state/store.js';
import { Clock, MemoryStore } from './fakes.js';

const openStore = (factory, clock = new Clock()) => open(factory, clock);

const A = '00112233445566778899aabbccddeeff';
const B = 'ffeeddccbbaa99887766554433221100';
const entry = (number, sent = 0) => ({ number, pixels: [number % 9, 2, 0xff0000, 3, 4, 0x00ff00], created: 1_700_000_000_000, sent });

// One contract for the browser's store and the one that other tests use.
for (const [name, open] of [
  ['IndexedDB', () => openStore(new IDBFactory())],
  ['memory', async () => new MemoryStore()],
]) {
  test(`${name}: what was put is read, by session and canvas`, async () => {
    const s = await open();
    await s.reserve('main', A, 1000);
    await s.put('main', A, entry(7));
    await s.put('main', A, entry(12));
    await s.put('main', A, entry(100));
    await s.reserve('main', B, 5);
    await s.put('other', A, entry(1));
    const kept = await s.read('main', A);
    assert.equal(kept.next, 1000);
    assert.deepEqual(kept.entries.sort((x, y) => x.number - y.number), [entry(7), entry(12), entry(100)]);
    assert.deepEqual((await s.read('main', B)).entries, []);
    assert.deepEqual((await s.sessions('main')).sort(), [A, B].sort());
    assert.deepEqual(await s.sessions('other'), [], 'no next number, no session');
    assert.deepEqual(await s.sessions('mai'), []);
  });

  test(`${name}: a session without its number is none`, async () => {
    const s = await open();
    await s.put('main', A, entry(1));
    assert.equal(await s.read('main', A), null);
  });

  test(`${name}: a later state takes the place of an earlier one, in the order of the calls`, async () => {
    const s = await open();
    const all = [s.reserve('main', A, 1), s.put('main', A, entry(1)), s.put('main', A, entry(1, 5)), s.put('main', A, entry(2)), s.remove('main', A, 2), s.reserve('main', A, 9)];
    await Promise.all(all);
    assert.deepEqual(await s.read('main', A), { next: 9, entries: [entry(1, 5)] });
  });

  test(`${name}: forgetting takes all of one session`, async () => {
    const s = await open();
    for (const id of [A, B]) {
      await s.reserve('main', id, 1);
      await s.put('main', id, entry(1));
    }
    await s.forget('main', A);
    assert.equal(await s.read('main', A), null);
    assert.equal((await s.read('main', B)).entries.length, 1);
    await s.reserve('main', A, 1);
    assert.deepEqual((await s.read('main', A)).entries, [], 'its outbox is gone, too');
  });
}

test('what is in the store is there for the next page', async () => {
  const factory = new IDBFactory();
  const before = await openStore(factory);
  before.reserve('main', A, 1);
  const put = before.put('main', A, entry(1));
  const after = await openStore(factory);
  await put;
  assert.equal((await after.read('main', A)).entries.length, 1);
});

test('a browser without a store has none', async () => {
  assert.equal(await openStore(undefined), null);
  assert.equal(await openStore({ open: () => { throw new Error('SecurityError'); } }), null);
});

test('a store that does not answer is given up, and let go when it does', async () => {
  const clock = new Clock();
  const request = {};
  const opening = openStore({ open: () => request }, clock);
  let settled = false;
  opening.then(() => (settled = true));
  clock.pass(PATIENCE - 1);
  await new Promise(setImmediate);
  assert.equal(settled, false);
  clock.pass(1);
  assert.equal(await opening, null);
  let closed = false;
  request.result = { close: () => (closed = true) };
  request.onsuccess();
  await new Promise(setImmediate);
  assert.ok(closed);
});

test('a store that answers is kept, however long the page is open', async () => {
  const clock = new Clock();
  const s = await openStore(new IDBFactory(), clock);
  clock.pass(2 * PATIENCE);
  await s.reserve('main', A, 1);
  assert.deepEqual(await s.sessions('main'), [A]);
});

test('an entry comes back as it was stored; damage is noticed', () => {
  const e = entry(7, 1_700_000_000_001);
  assert.deepEqual(unpackEntry(7, packEntry(e)), e);
  const sound = packEntry(e);
  for (const bad of [null, undefined, 'x', {}, { ...sound, body: new Uint8Array([5, 3]) }, { ...sound, body: new Uint8Array([2, 255, 255, 255]) }, { ...sound, created: NaN }, { ...sound, sent: 'x' }, { ...sound, body: new Uint8Array([...sound.body, 0]) }]) assert.equal(unpackEntry(7, bad), null, JSON.stringify(bad));
  for (const number of [0, -1, NaN, 1.5]) assert.equal(unpackEntry(number, sound), null);
});
