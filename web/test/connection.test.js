import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Backoff, Connection, dial, gatewayUrl, retryPause } from '../js/transport/connection.js';
import { draw } from '../js/transport/protocol.js';
import { Clock, sockets } from './fakes.js';
import { EPOCH } from './picture.js';

const CONNECTED = { type: 'connected', epoch: EPOCH, seq: 1, width: 4, height: 3, background: 0, author: 0, canvas: 'main', pod: 'p', clientId: 'c' };

function connection(random = () => 1, net = sockets(), early = null) {
  const clock = new Clock();
  const events = [];
  const c = new Connection({
    url: () => `ws://test/${net.all.length}`,
    onOpen: () => events.push('open'),
    onMessage: (m) => events.push(m.type),
    onLost: (pause) => events.push(`lost ${pause}`),
    onAttempt: () => events.push('attempt'),
    onFinal: (code) => events.push(`final ${code}`),
    WebSocket: net.WebSocket,
    clock,
    random,
    early,
  });
  const take = () => events.splice(0);
  return { c, clock, net, take };
}

test('pauses double up to two seconds, with full jitter', () => {
  const highest = new Backoff(() => 0.9999999);
  assert.deepEqual(Array.from({ length: 7 }, () => highest.next()), [99, 199, 399, 799, 1599, 1999, 1999]);
  const lowest = new Backoff(() => 0);
  assert.deepEqual(Array.from({ length: 3 }, () => lowest.next()), [0, 0, 0]);
  highest.reset();
  assert.equal(highest.next(), 99);
});

test('the reason of a drain tells the pause', () => {
  assert.equal(retryPause(1012, 'retry=0'), 0);
  assert.equal(retryPause(1012, 'retry=1500'), 1500);
  assert.equal(retryPause(1012, 'retry=999999999'), 60000, 'bounded');
  for (const reason of ['', 'retry=', 'retry=-1', 'retry=1.5', 'retry=12 ', 'restart']) assert.equal(retryPause(1012, reason), null, reason);
  assert.equal(retryPause(1001, 'retry=5'), null);
});

test('the address', () => {
  const at = { epoch: EPOCH, seq: 12 };
  assert.equal(gatewayUrl('', 'https://example.org/?canvas=x', 'x', null), 'wss://example.org/ws?canvas=x');
  assert.equal(gatewayUrl(undefined, 'http://[::1]:3000/', 'main', at), `ws://[::1]:3000/ws?canvas=main&epoch=${EPOCH}&since=12`);
  assert.equal(gatewayUrl('ws://localhost:3002', 'http://localhost:3000/', 'main', null), 'ws://localhost:3002/ws?canvas=main');
  assert.equal(gatewayUrl('https://ws.example.org/live?k=v', 'http://x/', 'a&b', null), 'wss://ws.example.org/live?k=v&canvas=a%26b');
});

test('a lost connection comes back after a pause, and a stable one starts over', () => {
  const { c, clock, net, take } = connection(() => 0.5);
  c.connect();
  assert.deepEqual(net.last().protocols, ['pixel.v1']);
  net.last().end();
  assert.deepEqual(take(), ['attempt', 'lost 50']);
  clock.pass(49);
  assert.equal(net.all.length, 1);
  clock.pass(1);
  net.last().end();
  assert.deepEqual(take(), ['attempt', 'lost 100']);
  clock.pass(100);
  net.last().accept();
  net.last().say(CONNECTED);
  clock.pass(9999);
  net.last().end();
  assert.deepEqual(take(), ['attempt', 'open', 'connected', 'lost 200'], 'not stable yet');
  clock.pass(200);
  net.last().accept();
  net.last().say(CONNECTED);
  clock.pass(10000);
  net.last().end();
  assert.equal(take().at(-1), 'lost 50');
});

test('a drain is honoured and does not count as a failure', () => {
  const { c, clock, net, take } = connection();
  c.connect();
  net.last().end(1012, 'retry=777');
  assert.equal(take().at(-1), 'lost 777');
  clock.pass(777);
  assert.equal(net.all.length, 2);
  net.last().end();
  assert.equal(take().at(-1), 'lost 100', 'the first pause');
});

test('some closes are final, abuse means a long pause', () => {
  for (const code of [4404, 4409]) {
    const { c, clock, net, take } = connection();
    c.connect();
    net.last().end(code, '');
    clock.pass(100000);
    c.check();
    assert.deepEqual(take(), ['attempt', `final ${code}`]);
    assert.equal(net.all.length, 1);
  }
  const { c, net, take } = connection();
  c.connect();
  net.last().end(1008, '');
  assert.equal(take().at(-1), 'lost 30000');
});

test('an attempt that leads nowhere is given up, as is a silent gateway', () => {
  const { c, clock, net, take } = connection();
  c.connect();
  clock.pass(8000);
  assert.equal(take().at(-1), 'lost 100');
  assert.equal(net.all[0].readyState, 3);
  clock.pass(100);
  const socket = net.last();
  socket.accept();
  socket.say(CONNECTED);
  clock.pass(15000);
  assert.deepEqual(socket.take(), [{ type: 'ping' }]);
  socket.say({ type: 'pong', time: 1 });
  clock.pass(14000);
  assert.equal(socket.take().length, 0, 'it has just spoken');
  clock.pass(1000);
  assert.equal(socket.take().length, 1);
  take();
  clock.pass(5000);
  assert.match(take().at(0), /^lost/);
});

test('after a sleep the gateway is asked at once', () => {
  const { c, clock, net, take } = connection();
  c.connect();
  net.last().accept();
  net.last().say(CONNECTED);
  c.check();
  c.check();
  assert.equal(net.last().take().length, 1);
  clock.pass(5000);
  assert.match(take().at(-1), /^lost/);
  c.check();
  assert.equal(net.all.length, 2, 'no waiting when the network is back');
});

test('what cannot be read ends the connection', () => {
  const { c, net, take } = connection();
  const warn = console.warn;
  console.warn = () => {};
  c.connect();
  net.last().accept();
  net.last().onmessage({ data: 'text' });
  assert.match(take().at(-1), /^lost/);
  c.connect();
  net.last().onmessage({ data: new Uint8Array([1, 200]).buffer });
  assert.match(take().at(-1), /^lost/);
  console.warn = warn;
});

test('a message that ends the connection is the last one heard of it', () => {
  const { c, net, take } = connection();
  c.connect();
  net.last().accept();
  const socket = net.last();
  const heard = socket.onmessage;
  c.close();
  assert.equal(socket.onmessage, null);
  assert.ok(heard);
  assert.deepEqual(take(), ['attempt', 'open']);
});

test('frames stay small', () => {
  const { c, net } = connection();
  c.connect();
  net.last().accept();
  const sizes = [];
  net.last().send = (bytes) => sizes.push(bytes.length);
  const big = Array.from({ length: 3 * 4096 }, (_, i) => (i % 3 === 2 ? i : i % 4096));
  c.send([draw(1, big), draw(2, big), draw(3, [1, 2, 3]), draw(4, [1, 2, 3])]);
  assert.equal(sizes.length, 2);
  for (const size of sizes) assert.ok(size < 64 << 10, `${size}`);
});

test('a socket that was dialled early is the first attempt, whatever came on it meanwhile', async () => {
  for (const when of ['before it opens', 'after it opened', 'after it was told something']) {
    const net = sockets();
    const early = dial('ws://test/early', net.WebSocket);
    assert.deepEqual(net.last().protocols, ['pixel.v1']);
    if (when !== 'before it opens') net.last().accept();
    if (when === 'after it was told something') net.last().say(CONNECTED, { type: 'ack', number: 1, seq: 2 });
    const { c, clock, take } = connection(() => 1, net, early);
    c.connect();
    if (when === 'before it opens') net.last().accept();
    await Promise.resolve();
    if (when !== 'after it was told something') net.last().say(CONNECTED, { type: 'ack', number: 1, seq: 2 });
    assert.deepEqual(take(), ['attempt', 'open', 'connected', 'ack'], when);
    c.send([draw(7, [1, 2, 3])]);
    assert.equal(net.last().take()[0].number, 7);
    assert.equal(net.all.length, 1, when);
    net.last().end();
    clock.pass(100);
    assert.equal(net.last().url, 'ws://test/1', 'the next attempt is one of its own');
  }
});

test('a socket that was dialled early and has failed is not waited for', async () => {
  const net = sockets();
  const early = dial('ws://test/early', net.WebSocket);
  net.last().end();
  const { c, take } = connection(() => 1, net, early);
  c.connect();
  assert.equal(net.last().url, 'ws://test/1');
  net.last().accept();
  assert.deepEqual(take(), ['attempt', 'open']);
  assert.equal(dial('no address', class { constructor() { throw new SyntaxError('no address'); } }), null);
});

test('what came early is not taken by a connection that was given up', async () => {
  const net = sockets();
  const early = dial('ws://test/early', net.WebSocket);
  net.last().accept();
  net.last().say(CONNECTED);
  const { c, take } = connection(() => 1, net, early);
  c.connect();
  c.close();
  await Promise.resolve();
  assert.deepEqual(take(), ['attempt']);
});
