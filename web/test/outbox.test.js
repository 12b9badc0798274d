import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MAX_AGE, MAX_ENTRIES, Outbox, WINDOW } from '../js/state/outbox.js';
import { Code } from '../js/transport/protocol.js';

class Store {
  kept = new Map();
  upTo = 0;
  put(e) {
    this.kept.set(e.number, { ...e });
  }
  remove(number) {
    this.kept.delete(number);
  }
  next(number) {
    this.upTo = number;
  }
}

const numbers = (entries) => entries.map((e) => e.number);

function outbox(count = 0, kept = undefined) {
  const store = new Store();
  const box = new Outbox(store, kept);
  for (let i = 0; i < count; i++) box.add([i, 0, 0], 1000);
  return { store, box };
}

test('numbers count from 1 and everything is stored before it is sent', () => {
  const { store, box } = outbox(3);
  assert.deepEqual([...store.kept.keys()], [1, 2, 3]);
  assert.equal(store.upTo, 4);
  assert.deepEqual(box.take(1000), [], 'not connected');
  box.connected(0);
  assert.deepEqual(numbers(box.take(2000)), [1, 2, 3]);
  assert.equal(store.kept.get(3).sent, 2000);
  assert.deepEqual(box.take(2000), [], 'each once');
});

test('an acknowledgement is cumulative', () => {
  const { store, box } = outbox(4);
  box.connected(0);
  box.take(0);
  assert.deepEqual(numbers(box.ack(3)), [1, 2, 3]);
  assert.deepEqual([...store.kept.keys()], [4]);
  assert.deepEqual(box.ack(3), [], 'a repetition says nothing new');
});

test('after coming back everything is sent in order, before anything new', () => {
  const { box } = outbox(3);
  box.connected(0);
  box.take(0);
  box.ack(1);
  box.disconnected();
  box.add([9, 9, 9], 0);
  assert.deepEqual(box.take(0), []);
  box.connected(0);
  assert.deepEqual(numbers(box.take(0)), [2, 3, 4]);
});

test('a permanent refusal takes out the one that it names', () => {
  const { store, box } = outbox(3);
  box.connected(0);
  box.take(0);
  assert.equal(box.refused(2, Code.outOfBounds, 0, 0).number, 2);
  assert.deepEqual([...store.kept.keys()], [1, 3]);
  assert.equal(box.refused(2, Code.outOfBounds, 0, 0), null, 'a second time: nothing');
  assert.deepEqual(numbers(box.ack(3)), [1, 3]);
});

test('a transient refusal goes back to the refused one after the pause', () => {
  const { box } = outbox(5);
  box.connected(0);
  box.take(0);
  assert.equal(box.refused(3, Code.rateLimited, 250, 1000), null);
  box.refused(4, Code.rateLimited, 250, 1000);
  box.refused(5, Code.busy, 9999, 1000);
  box.ack(2);
  box.add([0, 0, 0], 1000);
  assert.deepEqual(box.take(1249), []);
  assert.equal(box.wait(1000), 250, 'refusals of what follows do not lengthen the pause');
  assert.deepEqual(numbers(box.take(1250)), [3, 4, 5, 6]);
  assert.equal(box.wait(1250), null);
});

test('a new connection does not wait for the pause of an old one', () => {
  const { box } = outbox(1);
  box.connected(0);
  box.take(0);
  box.refused(1, Code.draining, 60000, 0);
  box.disconnected();
  box.connected(0);
  assert.deepEqual(numbers(box.take(1)), [1]);
});

test('no more than a window is under way', () => {
  const { box } = outbox(WINDOW + 10);
  box.connected(0);
  const sent = [...box.take(0), ...box.take(5000), ...box.take(10000)];
  assert.equal(sent.length, WINDOW);
  assert.equal(box.wait(10000), null, 'until something is acknowledged');
  box.ack(4);
  assert.deepEqual(numbers(box.take(10000)), [WINDOW + 1, WINDOW + 2, WINDOW + 3, WINDOW + 4]);
});

test('what is kept goes at a bearable pace', () => {
  const { box } = outbox(60);
  box.connected(0);
  const first = box.take(0).length;
  assert.ok(first > 10 && first < 60, `${first}`);
  const pause = box.wait(0);
  assert.ok(pause > 0 && pause <= 100, `${pause}`);
  assert.deepEqual(numbers(box.take(pause)), [first + 1]);
});

test('it is bounded', () => {
  const { box } = outbox(MAX_ENTRIES);
  assert.equal(box.add([0, 0, 0], 0), null);
  box.ack(1);
  assert.equal(box.add([0, 0, 0], 0).number, MAX_ENTRIES + 1, 'a refused one has no number');
});

test('what was sent and is old is shown, not sent; the rest is', () => {
  const entry = (number, created, sent) => ({ number, pixels: [0, 0, 0], created, sent });
  const now = 10 * MAX_AGE;
  const old = now - MAX_AGE - 1;
  const { store, box } = outbox(0, { next: 7, entries: [entry(6, now, 0), entry(2, old, old), entry(3, old, 0), entry(5, now - 1, now - 1)] });
  assert.deepEqual(numbers(box.expire(now)), [2]);
  assert.ok(!store.kept.has(2));
  box.connected(0);
  assert.deepEqual(numbers(box.take(now)), [3, 5, 6], 'in the order of their numbers');
  assert.equal(box.add([0, 0, 0], now).number, 7);
});

test('numbers never go back, whatever was kept', () => {
  const { box } = outbox(0, { next: 1, entries: [{ number: 41, pixels: [0, 0, 0], created: 0, sent: 0 }] });
  assert.equal(box.add([0, 0, 0], 0).number, 42);
});
