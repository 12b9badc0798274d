import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EXPORT, Exporter, MAX_SPANS } from '../js/exporter.js';
import { MAX_FOLLOWED, REPORT, Traces } from '../js/trace.js';
import { decodeClient } from './encode.js';

function start({ ratio = 1, exporting = true } = {}) {
  let now = 1000;
  const timers = [];
  const clock = { now: () => now, elapsed: () => now, after: (ms, run) => (timers.push({ ms, run }), () => {}) };
  const sent = [];
  const posts = [];
  const frames = [];
  let answer = async () => ({ ok: true });
  const exporter = new Exporter({
    url: 'https://otel.example.org/v1/traces',
    version: 'abc',
    clock,
    origin: 1_700_000_000_000,
    fetch: (url, options) => (posts.push({ url, ...options }), answer()),
  });
  const traces = new Traces({
    clock,
    canvas: 'main',
    send: (messages) => sent.push(...messages.flatMap(decodeClient)),
    painted: (run) => frames.push(run),
    exporter: exporting ? exporter : null,
    ratio,
    random: () => 0.5,
  });
  return {
    traces, exporter, sent, posts, timers,
    pass: (ms) => (now += ms),
    frame: (seen = true) => frames.splice(0).forEach((run) => run(seen)),
    fail: () => (answer = async () => Promise.reject(new Error('no network'))),
    spans: () => posts.flatMap((p) => JSON.parse(p.body).resourceSpans[0].scopeSpans[0].spans),
  };
}

test('an operation is followed from the click to the paint', () => {
  const t = start();
  t.traces.begin();
  t.pass(30);
  t.traces.begin(); // more of the same gesture
  t.traces.added(1, 12);
  t.traces.end();
  t.pass(2);
  const trace = t.traces.sent(1);
  assert.equal(trace.length, 25);
  assert.equal(trace[24], 1, 'sampled');
  t.pass(40);
  t.traces.echoed(1);
  t.traces.echoed(1); // another hint at the same
  t.pass(8);
  t.frame();
  assert.deepEqual(t.sent, [{ type: 'telemetry', kind: 1, millis: 48 }]);
  assert.equal(t.posts.length, 0, 'spans are gathered');
  assert.equal(t.timers[0].ms, EXPORT);
  t.timers[0].run();
  const [post] = t.posts;
  assert.equal(post.url, 'https://otel.example.org/v1/traces');
  assert.equal(post.headers['Content-Type'], 'application/json');
  assert.equal(post.credentials, 'omit');
  const body = JSON.parse(post.body);
  assert.deepEqual(body.resourceSpans[0].resource.attributes, [
    { key: 'service.name', value: { stringValue: 'page' } },
    { key: 'service.version', value: { stringValue: 'abc' } },
  ]);
  const [span] = t.spans();
  const hex = Buffer.from(trace).toString('hex');
  const nanos = (ms) => `${1_700_000_000_000 + ms}000000`;
  assert.deepEqual(span, {
    traceId: hex.slice(0, 32),
    spanId: hex.slice(32, 48),
    name: 'draw',
    kind: 3,
    startTimeUnixNano: nanos(1000),
    endTimeUnixNano: nanos(1080),
    attributes: [
      { key: 'pixel.canvas', value: { stringValue: 'main' } },
      { key: 'pixel.count', value: { intValue: '12' } },
      { key: 'pixel.attempts', value: { intValue: '1' } },
    ],
    events: [
      { timeUnixNano: nanos(1030), name: 'drawn' },
      { timeUnixNano: nanos(1032), name: 'sent' },
      { timeUnixNano: nanos(1072), name: 'in the picture' },
      { timeUnixNano: nanos(1080), name: 'painted' },
    ],
    status: {},
  });
});

test('what is not sampled, or has no collector, carries no context and costs no request', () => {
  for (const o of [{ ratio: 0.5 }, { ratio: 0 }, { exporting: false }]) {
    const t = start(o); // random gives 0.5
    t.traces.added(1, 1);
    assert.equal(t.traces.sent(1), undefined);
    t.traces.echoed(1);
    t.frame();
    t.exporter.flush();
    assert.deepEqual(t.posts, []);
    assert.equal(t.sent.length, 1, 'the latency is reported all the same');
  }
});

test('only a sample of the latencies is reported', () => {
  const t = start({ ratio: 0 });
  for (let n = 1; n <= 100; n++) {
    t.traces.added(n, 1);
    t.traces.sent(n);
    t.pass(REPORT / 10);
    t.traces.echoed(n);
    t.frame();
  }
  assert.ok(t.sent.length === 10, `${t.sent.length} of 100`);
});

test('what was sent twice, or was never seen, is no latency', () => {
  const t = start();
  t.traces.connection('live');
  t.traces.added(1, 1);
  const trace = t.traces.sent(1);
  t.traces.connection('offline');
  t.traces.connection('connecting');
  t.pass(700);
  t.traces.connection('live');
  assert.deepEqual(t.sent, [{ type: 'telemetry', kind: 2, millis: 700 }], 'the recovery');
  assert.deepEqual(t.traces.sent(1), trace, 'it is still the same trace');
  t.traces.echoed(1);
  t.frame();
  t.traces.added(2, 1);
  t.traces.sent(2);
  t.traces.echoed(2);
  t.frame(false); // the page is hidden
  assert.equal(t.sent.length, 1);
  t.exporter.flush();
  const [again, hidden] = t.spans();
  assert.deepEqual(again.events.map((e) => e.name), ['drawn', 'sent', 'sent', 'in the picture', 'painted']);
  assert.equal(again.attributes.find((a) => a.key === 'pixel.attempts').value.intValue, '2');
  assert.ok(!hidden.events.some((e) => e.name === 'painted'));
});

test('a recovery is from the loss of a live connection to the next, once', () => {
  const t = start();
  for (const state of ['connecting', 'offline', 'connecting', 'live', 'degraded', 'live', 'draining', 'offline', 'connecting', 'offline', 'connecting']) {
    t.traces.connection(state);
    t.pass(100);
  }
  assert.deepEqual(t.sent, []);
  t.traces.connection('live');
  assert.deepEqual(t.sent, [{ type: 'telemetry', kind: 2, millis: 400 }]);
});

test('what is refused ends as an error', () => {
  const t = start();
  t.traces.added(1, 1);
  t.traces.sent(1);
  t.traces.refused(1);
  t.traces.echoed(1);
  t.frame();
  t.exporter.flush();
  assert.deepEqual(t.spans().map((s) => s.status), [{ code: 2, message: 'refused' }]);
  assert.deepEqual(t.sent, []);
});

test('everything is bounded, and a collector that is away harms nothing', async () => {
  const t = start();
  t.fail();
  for (let n = 1; n <= MAX_FOLLOWED + MAX_SPANS + 50; n++) t.traces.added(n, 1);
  t.exporter.flush();
  assert.equal(t.spans().length, MAX_SPANS);
  assert.equal(t.traces.sent(1), undefined, 'given up');
  assert.ok(t.traces.sent(MAX_FOLLOWED + MAX_SPANS + 50));
  await new Promise((resolve) => setImmediate(resolve)); // an unhandled rejection would end the test
});
