import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Outbox } from '../js/state/outbox.js';
import { Sessions } from '../js/state/session.js';
import { MemoryStore, Storage, lockOrigin } from './fakes.js';

/** Until promises that are settled have been heard. */
const settled = () => new Promise(setImmediate);

/** One browser: what its tabs share. */
function browser() {
  const store = new MemoryStore();
  const origin = lockOrigin();
  return {
    store,
    ids: () => store.sessions('main'),
    /** A tab; from: another one that it duplicates or that it was before a reload. */
    tab(from) {
      const tab = new Storage();
      for (const key of from?.tab.keys() ?? []) tab.setItem(key, from.tab.getItem(key));
      const locks = origin.tab();
      const unsaved = [];
      const sessions = new Sessions({ canvas: 'main', store, tab, locks, onUnsaved: () => unsaved.push(1) });
      return { sessions, tab, unsaved, close: locks.close };
    },
  };
}

test('a reloaded tab keeps its session and goes on beyond its numbers', async () => {
  const b = browser();
  const before = b.tab();
  const first = await before.sessions.open();
  const outbox = new Outbox(first, first.kept);
  for (let i = 0; i < 3; i++) outbox.add([i, 0, 0], 5);
  outbox.ack(2);
  before.close();
  const after = await b.tab(before).sessions.open();
  assert.equal(after.id, first.id);
  assert.deepEqual(after.kept.entries.map((e) => e.number), [3]);
  assert.ok(new Outbox(after, after.kept).add([0, 0, 0], 6).number > 3);
});

test('numbers go on even when all was acknowledged', async () => {
  const b = browser();
  const before = b.tab();
  const first = await before.sessions.open();
  const outbox = new Outbox(first, first.kept);
  for (let i = 0; i < 2500; i++) {
    outbox.ack(outbox.add([0, 0, 0], 5).number);
    if (i % 100 === 0) await settled(); // nobody draws faster
  }
  before.close();
  const after = await b.tab(before).sessions.open();
  assert.equal(after.id, first.id);
  assert.ok(new Outbox(after, after.kept).add([0, 0, 0], 6).number > 2500);
});

test('a duplicated tab makes a session of its own', async () => {
  const b = browser();
  const one = b.tab();
  const first = await one.sessions.open();
  new Outbox(first, first.kept).add([0, 0, 0], 5);
  const second = await b.tab(one).sessions.open();
  assert.notEqual(second.id, first.id);
  assert.match(second.id, /^[0-9a-f]{32}$/);
  assert.deepEqual(second.kept.entries, []);
});

test('a reloaded page waits for its predecessor to let go', async () => {
  const b = browser();
  const before = b.tab();
  const first = await before.sessions.open();
  const opening = b.tab(before).sessions.open();
  before.close();
  assert.equal((await opening).id, first.id);
});

test('what the predecessor drew while the page was reloading is not lost', async () => {
  const b = browser();
  const before = b.tab();
  const first = await before.sessions.open();
  const outbox = new Outbox(first, first.kept);
  outbox.add([1, 2, 3], 5);
  const opening = b.tab(before).sessions.open();
  outbox.add([4, 5, 6], 6); // its last stroke, after the new page has begun to wait
  before.close();
  const after = await opening;
  assert.deepEqual(after.kept.entries.map((e) => e.number), [1, 2]);
  assert.equal(new Outbox(after, after.kept).entries.length, 2);
});

test('an orphaned outbox is adopted, once, and an empty one is tidied away', async () => {
  const b = browser();
  const gone = b.tab();
  const orphan = await gone.sessions.open();
  new Outbox(orphan, orphan.kept).add([1, 2, 3], 5);
  const idle = b.tab();
  const empty = await idle.sessions.open();
  assert.notEqual(empty.id, orphan.id);
  idle.close();
  const live = b.tab();
  const own = await live.sessions.open();
  assert.notEqual(own.id, orphan.id, 'its tab is still there');
  gone.close();
  const other = b.tab();
  const adopted = await other.sessions.open();
  assert.equal(adopted.id, orphan.id);
  assert.deepEqual(adopted.kept.entries.map((e) => e.pixels), [[1, 2, 3]]);
  assert.equal(await live.sessions.adoptOrphan(), null);
  assert.ok(!(await b.ids()).includes(empty.id));
});

test('a running tab takes over what another one left', async () => {
  const b = browser();
  const [one, two] = [b.tab(), b.tab()];
  const left = await one.sessions.open();
  await two.sessions.open();
  new Outbox(left, left.kept).add([1, 2, 3], 5);
  one.close();
  const orphan = await two.sessions.adoptOrphan();
  assert.equal(orphan.id, left.id);
  orphan.forget();
  assert.ok(!(await b.ids()).includes(left.id));
  assert.equal(await two.sessions.adoptOrphan(), null);
});

test('sessions of other canvases are left alone', async () => {
  const b = browser();
  const id = '00112233445566778899aabbccddeeff';
  await b.store.reserve('other', id, 5);
  await b.store.put('other', id, { number: 1, pixels: [0, 0, 0], created: 1, sent: 0 });
  const own = await b.tab().sessions.open();
  assert.notEqual(own.id, id);
  assert.equal((await b.store.read('other', id)).entries.length, 1);
});

test('a session whose numbers were lost is not used again', async () => {
  const b = browser();
  const before = b.tab();
  const first = await before.sessions.open();
  await b.store.forget('main', first.id);
  before.close();
  assert.notEqual((await b.tab(before).sessions.open()).id, first.id);
});

test('full storage: drawing goes on in memory and nothing stale is left', async () => {
  const b = browser();
  const tab = b.tab();
  const session = await tab.sessions.open();
  const outbox = new Outbox(session, session.kept);
  outbox.add([0, 0, 0], 5);
  b.store.full = true;
  outbox.add([0, 0, 0], 5);
  await settled();
  assert.ok(tab.unsaved.length > 0);
  assert.equal(outbox.size, 2);
  for (let i = 0; i < 2000; i++) outbox.add([0, 0, 0], 5);
  await settled();
  assert.ok(!(await b.ids()).includes(session.id), 'the reserved numbers ran out');
});

test('without locks nothing is kept', async () => {
  const [store, tab] = [new MemoryStore(), new Storage()];
  const sessions = new Sessions({ canvas: 'main', store, tab, locks: null });
  const session = await sessions.open();
  new Outbox(session, session.kept).add([0, 0, 0], 5);
  assert.equal((await store.sessions('main')).length + tab.length, 0);
  assert.equal(await sessions.adoptOrphan(), null);
});
