import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Grid } from '../js/state/grid.js';
import { deliver } from '../js/courier.js';
import { Playground } from '../js/playground.js';
import { Code, cursor } from '../js/transport/protocol.js';
import { inflate } from '../js/state/replica.js';
import { Clock, sockets } from './fakes.js';
import { EPOCH, OTHER_EPOCH, snapshot } from './picture.js';

const ID = '00112233445566778899aabbccddeeff';
const RED = 0xff0000;
const BLUE = 0x0000ff;
const WHITE = 0xffffff;

const connected = (epoch, seq) => ({ type: 'connected', epoch, seq, width: 4, height: 3, background: WHITE, author: 0, canvas: 'main', pod: 'p', clientId: 'c' });
const updates = (first, ...pixels) => ({ type: 'updates', first, time: 0, ops: [{ kind: 'paint', author: 1, number: 1, pixels }] });
const blank = () => new Grid({ width: 4, height: 3, background: WHITE });
const draws = (messages) => messages.filter((m) => m.type === 'draw').map((m) => m.number);

function page(kept = { next: 1, entries: [] }) {
  const clock = new Clock();
  const net = sockets();
  const told = { states: [], notices: [], expired: [], final: [], waiting: [], refused: [], echoes: [], added: [], cursors: [], history: null, greeted: 0 };
  let pictured;
  const session = { id: ID, kept, put() {}, remove() {}, next() {}, forget: () => (session.forgotten = true) };
  const p = new Playground({
    inflate,
    clock,
    WebSocket: net.WebSocket,
    name: 'Ada',
    url: (position) => (position ? `ws://t/?since=${position.seq}` : 'ws://t/'),
    view: {
      picture: () => pictured?.(),
      damage() {},
      damageAll() {},
      state: (s) => told.states.push(s),
      greeted: () => (told.greeted += 1),
      presence() {},
      connected() {},
      waiting: (n) => told.waiting.push(n),
      notice: (key) => told.notices.push(key),
      refused: (pixels, code) => told.refused.push([pixels, code]),
      echoed: (echo) => told.echoes.push(echo),
      added: (number, count) => told.added.push([number, count]),
      cursors: (m) => told.cursors.push(m),
      history: (can) => (told.history = can),
      drawn() {},
      expired: (entries) => told.expired.push(...entries),
      final: (why) => told.final.push(why),
    },
  });
  if (kept) p.open(session);
  /** Accepts the last attempt and gives it a picture. */
  const live = async (grid, epoch, seq) => {
    const done = new Promise((resolve) => (pictured = resolve));
    net.last().accept();
    net.last().say(connected(epoch, seq), ...snapshot(grid, epoch, seq));
    await done;
  };
  return { p, clock, net, told, session, live };
}

test('hello, name and the outbox go first, in this order', async () => {
  const { p, net, told } = page({ next: 9, entries: [{ number: 4, pixels: [0, 0, RED], created: 1_700_000_000_000, sent: 0 }] });
  p.start();
  net.last().accept();
  const sent = net.last().take();
  assert.deepEqual(sent.map((m) => m.type), ['hello', 'setName', 'draw']);
  assert.equal(sent[0].session, ID);
  assert.equal(sent[2].number, 4);
  assert.equal(told.waiting.at(-1), 1);
});

test('the picture does not wait for the session; what is drawn before it comes is shown, and sent behind what was kept', async () => {
  const { p, net, told, session, live } = page(null);
  p.start();
  await live(blank(), EPOCH, 10);
  assert.equal(told.states.at(-1), 'live');
  p.draft([1, 1, RED]);
  p.commit([1, 1, RED]);
  p.commit([1, 1, BLUE, 2, 1, BLUE]);
  p.setName('Grace');
  assert.equal(p.colorAt(1, 1), BLUE);
  assert.equal(p.waiting, 2);
  assert.equal(p.undo(), null);
  p.send([cursor(1, 1)]);
  assert.deepEqual(net.last().take(), [], 'nobody is named yet');
  assert.equal(told.greeted, 0);
  p.draft([3, 1, RED]);

  p.open({ ...session, kept: { next: 9, entries: [{ number: 4, pixels: [1, 1, RED, 0, 0, RED], created: 1_700_000_000_000, sent: 0 }] } });
  const sent = net.last().take();
  assert.deepEqual(sent.map((m) => m.type), ['hello', 'setName', 'draw', 'draw', 'draw']);
  assert.deepEqual(draws(sent), [4, 9, 10]);
  assert.equal(told.greeted, 1);
  assert.deepEqual(told.added, [], 'when they were drawn nobody can tell any more');
  assert.deepEqual([p.colorAt(0, 0), p.colorAt(1, 1), p.colorAt(2, 1), p.colorAt(3, 1)], [RED, BLUE, BLUE, RED]);
  p.discard();
  assert.equal(p.waiting, 3);
  assert.equal(p.undo(), 0);
  assert.equal(p.colorAt(2, 1), WHITE, 'what was there when it was drawn');
  assert.deepEqual(draws(net.last().take()), [11]);
  net.last().say({ type: 'ack', number: 11, seq: 14 }, updates(11, 0, 0, RED), updates(12, 1, 1, RED), updates(13, 1, 1, BLUE), updates(14, 1, 1, RED));
  assert.equal(p.waiting, 0);
  assert.equal(p.colorAt(3, 1), WHITE);
});

test('a connection that comes and goes before the session is there is greeted once it is', async () => {
  const { p, clock, net, session, live } = page(null);
  p.start();
  await live(blank(), EPOCH, 10);
  p.commit([1, 1, RED]);
  net.last().end();
  p.open({ ...session, kept: { next: 1, entries: [] } });
  clock.pass(2000);
  net.last().accept();
  assert.deepEqual(net.last().take().map((m) => m.type), ['hello', 'setName', 'draw']);
});

test('own pixels show at once and stay through acknowledgement and echo', async () => {
  const { p, net, live } = page();
  p.start();
  await live(blank(), EPOCH, 10);
  p.draft([1, 1, RED]);
  assert.equal(p.colorAt(1, 1), RED);
  p.commit([1, 1, RED]);
  assert.equal(p.colorAt(1, 1), RED);
  assert.deepEqual(draws(net.last().take()), [1]);
  net.last().say({ type: 'ack', number: 1, seq: 12 });
  assert.equal(p.waiting, 0);
  net.last().say(updates(11, 1, 1, BLUE));
  assert.equal(p.colorAt(1, 1), RED, 'no flicker to what came before');
  net.last().say(updates(12, 1, 1, RED));
  net.last().say(updates(13, 1, 1, BLUE));
  assert.equal(p.colorAt(1, 1), BLUE, 'the overlay is gone');
});

test('a refused stroke is taken back, with a word', async () => {
  const { p, net, told, live } = page();
  p.start();
  await live(blank(), EPOCH, 10);
  p.commit([1, 1, RED]);
  net.last().say({ type: 'error', code: Code.invalidPixel, number: 1, retryAfter: 0, message: '' });
  assert.equal(p.colorAt(1, 1), WHITE);
  assert.deepEqual(told.refused, [[[1, 1, RED], Code.invalidPixel]]);
  assert.deepEqual(told.history, { canUndo: false, canRedo: false });
  assert.equal(p.waiting, 0);
});

test('a transient refusal sends again after the pause', async () => {
  const { p, clock, net, live } = page();
  p.start();
  await live(blank(), EPOCH, 10);
  p.commit([1, 1, RED]);
  p.commit([2, 1, RED]);
  net.last().take();
  net.last().say({ type: 'error', code: Code.busy, number: 1, retryAfter: 300, message: '' });
  p.commit([3, 1, RED]);
  clock.pass(299);
  assert.deepEqual(net.last().take(), []);
  clock.pass(1);
  assert.deepEqual(draws(net.last().take()), [1, 2, 3]);
});

test('drawing goes on without a connection and is sent after it', async () => {
  const { p, clock, net, told, live } = page();
  p.start();
  await live(blank(), EPOCH, 10);
  p.commit([0, 0, RED]);
  net.last().end();
  assert.equal(told.states.at(-1), 'offline');
  p.commit([1, 0, RED]);
  assert.equal(p.colorAt(1, 0), RED);
  clock.pass(2000);
  assert.equal(net.last().url, 'ws://t/?since=10');
  net.last().accept();
  assert.deepEqual(draws(net.last().take()), [1, 2]);
  net.last().say(connected(EPOCH, 10), updates(11, 0, 0, RED), { type: 'ack', number: 2, seq: 12 });
  assert.equal(p.waiting, 0);
  assert.equal(told.states.at(-1), 'live');
});

test('a gap comes back with the position; a second one with none', async () => {
  const warn = console.warn;
  console.warn = () => {};
  const { p, clock, net, live } = page();
  p.start();
  await live(blank(), EPOCH, 10);
  net.last().say(updates(12, 0, 0, RED), updates(13, 0, 0, RED));
  clock.pass(2000);
  assert.equal(net.last().url, 'ws://t/?since=10');
  net.last().accept();
  net.last().say(connected(EPOCH, 10), updates(12, 0, 0, RED));
  clock.pass(2000);
  assert.equal(net.last().url, 'ws://t/');
  await live(blank(), EPOCH, 13);
  assert.deepEqual(p.position, { epoch: EPOCH, seq: 13 });
  console.warn = warn;
});

test('a new epoch keeps what is not acknowledged and forgets the rest', async () => {
  const { p, net, live } = page();
  p.start();
  await live(blank(), EPOCH, 10);
  p.commit([0, 0, RED]);
  p.commit([1, 0, RED]);
  net.last().say({ type: 'ack', number: 1, seq: 500 });
  await live(blank(), OTHER_EPOCH, 20);
  assert.equal(p.colorAt(0, 0), WHITE);
  assert.equal(p.colorAt(1, 0), RED);
});

test('what was sent long ago is shown, not sent', () => {
  const now = 1_700_000_000_000;
  const old = now - 13 * 3600 * 1000;
  const { p, net, told } = page({ next: 9, entries: [{ number: 4, pixels: [0, 0, RED], created: old, sent: old }, { number: 5, pixels: [0, 0, BLUE], created: now, sent: 0 }] });
  p.start();
  net.last().accept();
  assert.deepEqual(draws(net.last().take()), [5]);
  assert.deepEqual(told.expired.map((e) => e.number), [4]);
});

test('no such canvas, and a session that went to another tab, are final', () => {
  for (const [code, why] of [[4404, 'not-found'], [4409, 'replaced']]) {
    const { p, clock, net, told } = page();
    p.start();
    net.last().end(code);
    clock.pass(100000);
    assert.equal(net.all.length, 1);
    assert.deepEqual(told.final, [why]);
  }
});

test('the state follows the gateway', async () => {
  const { p, net, told, live } = page();
  p.start();
  await live(blank(), EPOCH, 10);
  net.last().say({ type: 'status', state: 'degraded' });
  net.last().say({ type: 'status', state: 'live' });
  net.last().say({ type: 'status', state: 'draining' });
  assert.deepEqual(told.states, ['connecting', 'live', 'degraded', 'live', 'draining']);
});

test('a stroke of very many pixels becomes several operations', async () => {
  const { p, clock, net, live } = page();
  p.start();
  await live(blank(), EPOCH, 10);
  p.commit(Array.from({ length: 3 * 5000 }, (_, i) => (i % 3 === 2 ? RED : i % 3)));
  clock.pass(3000);
  const sent = net.last().take().filter((m) => m.type === 'draw');
  assert.deepEqual(sent.map((m) => m.pixels.length / 3), [4096, 904]);
});

test('an orphaned outbox is delivered on a connection of its own', async () => {
  const clock = new Clock();
  const net = sockets();
  const session = { id: ID, kept: { next: 9, entries: [{ number: 4, pixels: [0, 0, RED], created: clock.now(), sent: 0 }] }, put() {}, remove() {}, next() {}, forget: () => (session.forgotten = true) };
  const delivered = deliver({ session, url: () => 'ws://t/', inflate, onExpired() {}, WebSocket: net.WebSocket, clock });
  net.last().accept();
  assert.deepEqual(net.last().take().map((m) => m.type), ['hello', 'draw']);
  net.last().say({ type: 'ack', number: 4, seq: 1 });
  assert.equal(await delivered, true);
  assert.ok(session.forgotten);
  assert.equal(net.last().readyState, 3);
});
