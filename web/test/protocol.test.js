import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import * as protocol from '../js/transport/protocol.js';
import * as binary from '../js/transport/binary.js';
import { inflate } from '../js/state/replica.js';
import { decodeClient, encode } from './encode.js';

const file = new URL('../../services/protocol/testdata/vectors.json', import.meta.url);
const vectors = JSON.parse(readFileSync(file, 'utf8')).filter((v) => v.codec === 'binary');

const flat = (pixels) => pixels.flatMap(([x, y, color]) => [x, y, protocol.parseColor(color)]);
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

/** "00-<trace id>-<span id>-<flags>" as the codec's 25 bytes. */
const trace = (text) => text && binary.fromHex(text.split('-').slice(1).join(''));

/** A message of a gateway as decode gives it, from what the vector says. */
function expected(m) {
  switch (m.type) {
    case 'connected':
      return { ...m, background: protocol.parseColor(m.background) };
    case 'updates':
      return {
        ...m,
        ops: m.ops.map((op) =>
          op.kind === 'reset' ? { ...op, color: protocol.parseColor(op.color) } : { ...op, pixels: flat(op.pixels) },
        ),
      };
    case 'range': {
      const { cells, ...rest } = m;
      return { ...rest, reset: m.reset && protocol.parseColor(m.reset), pixels: flat(cells) };
    }
    case 'error':
      return { ...m, code: protocol.Code[camel(m.code)] };
    case 'snapshotBegin':
      return { ...m, background: protocol.parseColor(m.background), hash: BigInt(m.hash) };
    case 'snapshotBand': {
      const { w, h, data, rgb, ...rest } = m;
      return { ...rest, width: w, height: h, data: binary.fromHex(data) };
    }
  }
  return m;
}

/** Plain arrays compare by value whatever array type they were. */
const plain = (value) =>
  JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `${v}n` : v instanceof Uint8Array ? binary.toHex(v) : v && !Array.isArray(v) && typeof v === 'object' ? Object.fromEntries(Object.entries(v).sort()) : v));

test('the vectors are there', () => assert.ok(vectors.length > 30, `${vectors.length} binary vectors`));

for (const v of vectors.filter((v) => v.direction === 'server')) {
  test(`gateway vector ${v.name}`, async () => {
    const messages = protocol.decode(binary.fromHex(v.hex));
    assert.equal(plain(messages), plain(v.messages.map(expected)));
    for (const [i, m] of v.messages.entries()) {
      if (m.type === 'snapshotBand') {
        assert.equal(binary.toHex(await inflate(messages[i].data, m.rgb.length / 2)), m.rgb);
      }
    }
    if (!v.decodeOnly) assert.equal(binary.toHex(protocol.frame(messages.map(encode))), v.hex);
  });
}

for (const v of vectors.filter((v) => v.direction === 'client' && !v.decodeOnly)) {
  test(`page vector ${v.name}`, () => {
    const encoders = {
      hello: (m) => protocol.hello(m.session),
      draw: (m) => protocol.draw(m.number, flat(m.pixels), trace(m.traceparent)),
      setName: (m) => protocol.setName(m.name),
      ping: () => protocol.ping(),
      telemetry: (m) => protocol.telemetry(m.kind, m.millis),
      cursor: (m) => protocol.cursor(m.x, m.y),
      view: (m) => protocol.view(m.x, m.y, m.width, m.height),
    };
    assert.equal(binary.toHex(protocol.frame(v.messages.map((m) => encoders[m.type](m)))), v.hex);
  });
}

test('every prefix of every frame is refused or a shorter list, never a crash', () => {
  for (const v of vectors.filter((v) => v.direction === 'server')) {
    const bytes = binary.fromHex(v.hex);
    for (let n = 0; n < bytes.length; n++) {
      try {
        assert.ok(protocol.decode(bytes.subarray(0, n)).length <= v.messages.length);
      } catch (error) {
        assert.ok(error instanceof binary.ProtocolError, `${v.name} cut at ${n}: ${error}`);
      }
    }
  }
});

test('numbers', async (t) => {
  for (const n of [0, 1, 127, 128, 300, 2 ** 31, 2 ** 32, 2 ** 32 + 1, binary.MAX_NUMBER]) {
    await t.test(`${n}`, () => {
      const bytes = new binary.Writer().uvarint(n).finish();
      assert.equal(new binary.Reader(bytes).uvarint(), n);
    });
  }
  const read = (hex) => new binary.Reader(binary.fromHex(hex)).uvarint();
  assert.throws(() => read('80808080808080 10'.replaceAll(' ', '')), binary.ProtocolError, '2^53');
  assert.throws(() => read('ffffffffffffffffffffff01'), binary.ProtocolError, 'eleven bytes');
  for (const n of [0, -1, 1, -64, 64, 65535, -65535]) {
    assert.equal(new binary.Reader(new binary.Writer().zigzag(n).finish()).zigzag(), n);
  }
  assert.throws(() => new binary.Reader(new binary.Writer().zigzag(65536).finish()).zigzag(), binary.ProtocolError);
});

test('more about connected counts directly behind it only', () => {
  const of = (name) => binary.fromHex(vectors.find((v) => v.name === name).hex);
  const resumed = new Uint8Array([0x0d, 1, 2]);
  const read = (...parts) => protocol.decode(protocol.frame(parts)).map((m) => `${m.type} ${m.resumed ?? ''}`);
  assert.deepEqual(read(of('connected'), resumed, of('pong')), ['connected log', 'pong ']);
  assert.deepEqual(read(of('connected'), of('pong'), resumed), ['connected ', 'pong ']);
  assert.deepEqual(read(of('connected'), new Uint8Array([0x3f, 0]), resumed), ['connected ']);
  assert.deepEqual(read(of('connected'), resumed, new Uint8Array([0x0d, 1, 1])), ['connected log']);
  for (const bad of [[0x0d, 0], [0x0d, 2, 1, 1], [0x0d, 1]]) {
    assert.throws(() => read(of('connected'), new Uint8Array(bad)), binary.ProtocolError, `${bad}`);
  }
});

test('malformed messages are refused', async (t) => {
  const cases = {
    'ack: a byte too many': [0x04, '01 01 01', /too many/],
    'ack: cut short': [0x04, '01', /truncated/],
    'connected: another version': [0x01, '02', /version 2/],
    'updates: unknown head': [0x02, '01 00 00000000 00 0f', /unknown head 0xf/],
    'updates: one pixel of one colour for all': [0x02, '01 00 00000000 00 0d 01 01 ff0000', /unknown head 0xd/],
    'updates: no pixels': [0x02, '01 00 00000000 00 01 00', /0 pixels/],
    'updates: more pixels than an operation may have': [0x02, '01 00 00000000 00 01 8120', /4097 pixels/],
    'updates: left of the canvas': [0x02, '01 00 00000000 00 01 02 0101 000000 0000 000000', /out of range/],
    'range: unknown flag': [0x03, '00 01 00 02', /flags/],
    'range: more cells than it has bytes for': [0x03, '00 01 00 00 ff0000 7f 0000', /truncated/],
    'cursors: more than it has bytes for': [0x0b, '02 01000000 03 04', /truncated/],
    'cursors: half an author': [0x0b, '00 0102', /truncated/],
    'presence: more users than it has bytes for': [0x09, '01 00 ffffffff0f', /truncated/],
  };
  for (const [name, [type, hex, why]] of Object.entries(cases)) {
    await t.test(name, () => {
      const body = binary.fromHex(hex.replaceAll(' ', ''));
      const bytes = new binary.Writer().u8(type).uvarint(body.length).bytes(body).finish();
      assert.throws(() => protocol.decode(bytes), (e) => e instanceof binary.ProtocolError && why.test(e.message));
    });
  }
});

test('operations of every shape come back as they were', () => {
  let random = 1;
  const next = (n) => (random = (random * 48271) % 2147483647) % n;
  for (let round = 0; round < 200; round++) {
    const count = 1 + next(40);
    const uniform = next(2) === 0;
    const color = next(0x1000000);
    const pixels = Array.from({ length: count }, () => [next(4096), next(4096), uniform ? color : next(0x1000000)]).flat();
    const [m] = decodeClient(protocol.draw(round + 1, pixels));
    assert.deepEqual(m, { type: 'draw', number: round + 1, trace: null, kind: 'paint', pixels });
  }
});

test('colours', () => {
  assert.equal(protocol.formatColor(0x00ff0a), '#00FF0A');
  assert.equal(protocol.parseColor('#00ff0A'), 0x00ff0a);
  for (const bad of ['', '#fff', 'red', '#00FF0G', '#00FF0A0']) assert.equal(protocol.parseColor(bad), null);
});
