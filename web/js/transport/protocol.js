// The binary codec (subprotocol pixel.v1), as docs/PROTOCOL.md gives it.
//
// A frame holds one or more messages; a message is its type (1 byte), the
// length of its body (uvarint) and the body. Messages of unknown types are
// skipped by their length. Colours are numbers 0xRRGGBB. Pixels are flat
// arrays [x, y, colour, x, y, colour, …]: a canvas changes by thousands of
// them at once. Epochs are 32 lower-case hexadecimal digits.

import { ProtocolError, Reader, Writer, fromHex, readBody, readPoints, text, utf8, writeBody } from './binary.js';

export const SUBPROTOCOL = 'pixel.v1';
export const VERSION = 1;

/** Greatest length of a name in characters (Unicode code points). */
export const MAX_NAME = 20;
/** Greatest number of bytes of a snapshot band's cells. */
export const MAX_BAND = 60 << 10;
/** Greatest width and height of a canvas. */
export const MAX_SIDE = 4096;

/**
 * One change of the canvas, as `updates` carries it.
 * @typedef {{author: number, number: number} & ({kind: 'paint', pixels: number[]}|{kind: 'reset', color: number})} Operation
 */

/** @typedef {{type: 'presence', active: number, time: number, users: {author: number, name: string}[], isList: boolean}} Presence */
/** @typedef {{width: number, height: number, background: number}} Spec */
/** @typedef {{type: 'connected', epoch: string, seq: number, author: number, canvas: string, pod: string, clientId: string, resumed?: string} & Spec} Connected */
/** @typedef {{type: 'updates', first: number, time: number, ops: Operation[]}} Updates */
/** @typedef {{type: 'range', prev: number, seq: number, time: number, reset: number|null, pixels: number[]}} Range */
/** @typedef {{type: 'snapshotBegin', epoch: string, seq: number, hash: bigint, bands: number} & Spec} SnapshotBegin */
/** @typedef {{type: 'snapshotBand', index: number, x: number, y: number, width: number, height: number, data: Uint8Array<ArrayBuffer>}} SnapshotBand */
/** @typedef {{type: 'ack', number: number, seq: number}} Ack */
/** @typedef {{type: 'error', code: number, number: number, retryAfter: number, message: string}} Refusal */
/** @typedef {{type: 'status', state: string}} StatusMessage */
/** @typedef {{type: 'pong', time: number}} Pong */
/** @typedef {{type: 'cursors', here: {author: number, x: number, y: number}[], gone: number[]}} CursorsMessage */

/**
 * What a gateway says.
 * @typedef {Connected|Updates|Range|SnapshotBegin|SnapshotBand|Ack|Refusal|StatusMessage|Presence|Pong|CursorsMessage} Message
 */

export const Type = Object.freeze({
  connected: 0x01,
  updates: 0x02,
  range: 0x03,
  ack: 0x04,
  error: 0x05,
  status: 0x06,
  snapshotBegin: 0x07,
  snapshotBand: 0x08,
  presence: 0x09,
  pong: 0x0a,
  cursors: 0x0b,
  count: 0x0c,
  resumed: 0x0d,
  hello: 0x41,
  draw: 0x42,
  setName: 0x43,
  ping: 0x44,
  telemetry: 0x45,
  cursor: 0x46,
  view: 0x47,
});

export const Close = Object.freeze({
  normal: 1000,
  policy: 1008,
  restart: 1012,
  notFound: 4404,
  slow: 4408,
  replaced: 4409,
  unavailable: 4503,
});

export const Code = Object.freeze({
  invalidFormat: 1,
  unknownType: 2,
  invalidPixel: 3,
  outOfBounds: 4,
  invalidName: 5,
  invalidHello: 6,
  unsupported: 7,
  rateLimited: 16,
  busy: 17,
  degraded: 18,
  draining: 19,
  logFull: 20,
});

/** Tells whether the same operation may succeed later. @param {number} code */
export const isTransient = (code) => code >= 16;

/** @type {Record<number, string>} */
const STATES = { 1: 'live', 2: 'degraded', 3: 'draining' };

/**
 * Where a gateway has what a returning page missed.
 * @type {Record<number, string>}
 */
const SOURCES = { 1: 'memory', 2: 'log' };

/** "#RRGGBB" of a colour. @param {number} color */
export function formatColor(color) {
  return '#' + color.toString(16).toUpperCase().padStart(6, '0');
}

/** The colour of "#RRGGBB", or null. @param {string} value */
export function parseColor(value) {
  return /^#[0-9a-f]{6}$/i.test(value) ? parseInt(value.slice(1), 16) : null;
}

// ---- what the page sends ----------------------------------------------------

/** @param {number} type @param {(body: Writer) => void} [write] */
function message(type, write) {
  const body = new Writer();
  write?.(body);
  return new Writer().u8(type).uvarint(body.length).bytes(body.finish()).finish();
}

/** @param {string} session 32 hexadecimal digits */
export const hello = (session) => message(Type.hello, (w) => w.u8(VERSION).bytes(fromHex(session)));

/**
 * @param {number} number of the operation within its session
 * @param {number[]} pixels flat: x, y, colour
 * @param {Uint8Array} [trace] 25 bytes: W3C trace context
 */
export const draw = (number, pixels, trace) =>
  message(Type.draw, (w) => {
    w.uvarint(number).u8(trace ? 1 : 0);
    if (trace) w.bytes(trace);
    writeBody(w, pixels);
  });

/** @param {string} name */
export const setName = (name) => message(Type.setName, (w) => w.bytes(utf8.encode(name)));
export const ping = () => message(Type.ping);
/**
 * kind: what was measured (1 latency, 2 recovery) + 16 × who measured it (0: a page).
 *
 * @param {number} kind @param {number} millis
 */
export const telemetry = (kind, millis) => message(Type.telemetry, (w) => w.u8(kind).u32(millis));
/** Where the user points; without a place: nowhere. @param {number} [x] @param {number} [y] */
export const cursor = (x, y) => message(Type.cursor, x === undefined || y === undefined ? undefined : (w) => w.uvarint(x).uvarint(y));
/** The cells that are seen. @param {number} x @param {number} y @param {number} width @param {number} height */
export const view = (x, y, width, height) => message(Type.view, (w) => w.uvarint(x).uvarint(y).uvarint(width).uvarint(height));

/** Several messages as one frame. @param {Uint8Array[]} messages */
export function frame(messages) {
  const w = new Writer();
  for (const m of messages) w.bytes(m);
  return w.finish();
}

// ---- what the gateway sends -------------------------------------------------

/**
 * Reads the messages of a frame, in order.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Message[]} each with its type's name as `type`
 */
export function decode(bytes) {
  const r = new Reader(bytes);
  /** @type {Message[]} */
  const messages = [];
  /** @type {Connected|null} the message before, where it is connected */
  let greeting = null;
  while (r.left > 0) {
    const type = r.u8();
    const body = new Reader(r.bytes(r.uvarint()));
    if (type === Type.resumed && greeting) {
      const from = SOURCES[body.u8()];
      if (from) greeting.resumed = from;
      greeting = null;
    } else {
      const decoder = decoders[type];
      const m = decoder?.(body);
      greeting = m?.type === 'connected' ? m : null;
      if (!m) continue;
      messages.push(m);
    }
    if (body.left !== 0) throw new ProtocolError(`${body.left} bytes too many in a message`);
  }
  return messages;
}

/** @param {Reader} r @returns {Spec} */
const readSpec = (r) => ({ width: r.u16(), height: r.u16(), background: r.color() });

/** @type {Record<number, (r: Reader) => Message>} */
const decoders = {
  [Type.connected](r) {
    const version = r.u8();
    if (version !== VERSION) throw new ProtocolError(`version ${version} is not supported`);
    return {
      type: 'connected',
      epoch: r.epoch(),
      seq: r.uvarint(),
      ...readSpec(r),
      author: r.u32(),
      canvas: r.string(),
      pod: r.string(),
      clientId: r.string(),
    };
  },
  [Type.updates](r) {
    /** @type {Updates} */
    const m = { type: 'updates', first: r.uvarint(), time: r.uvarint(), ops: [] };
    while (r.left > 0) {
      const author = r.u32();
      const number = r.uvarint();
      m.ops.push({ author, number, ...readBody(r) });
    }
    return m;
  },
  [Type.range](r) {
    /** @type {Range} */
    const m = { type: 'range', prev: r.uvarint(), seq: r.uvarint(), time: r.uvarint(), reset: null, pixels: [] };
    const flags = r.u8();
    if (flags > 1) throw new ProtocolError(`unknown flags 0x${flags.toString(16)} of a range`);
    if (flags) m.reset = r.color();
    while (r.left > 0) {
      const color = r.color();
      for (const value of readPoints(r, r.uvarint(), color)) m.pixels.push(value);
    }
    return m;
  },
  [Type.ack]: (r) => ({ type: 'ack', number: r.uvarint(), seq: r.uvarint() }),
  [Type.error]: (r) => ({
    type: 'error',
    code: r.u8(),
    number: r.uvarint(),
    retryAfter: r.uvarint(),
    message: text.decode(r.rest()),
  }),
  [Type.status]: (r) => ({ type: 'status', state: STATES[r.u8()] ?? 'unknown' }),
  [Type.snapshotBegin]: (r) => ({
    type: 'snapshotBegin',
    epoch: r.epoch(),
    seq: r.uvarint(),
    ...readSpec(r),
    hash: r.u64(),
    bands: r.uvarint(),
  }),
  [Type.snapshotBand]: (r) => ({
    type: 'snapshotBand',
    index: r.uvarint(),
    x: r.uvarint(),
    y: r.uvarint(),
    width: r.uvarint(),
    height: r.uvarint(),
    data: r.rest(),
  }),
  [Type.presence](r) {
    /** @type {Presence} */
    const m = { type: 'presence', active: r.uvarint(), time: r.uvarint(), users: [], isList: true };
    for (let n = r.uvarint(); n > 0; n--) m.users.push({ author: r.u32(), name: r.string() });
    return m;
  },
  [Type.count]: (r) => ({ type: 'presence', active: r.uvarint(), time: r.uvarint(), users: [], isList: false }),
  [Type.cursors](r) {
    /** @type {CursorsMessage} */
    const m = { type: 'cursors', here: [], gone: [] };
    for (let n = r.uvarint(); n > 0; n--) m.here.push({ author: r.u32(), x: r.uvarint(), y: r.uvarint() });
    while (r.left > 0) m.gone.push(r.u32());
    return m;
  },
  [Type.pong]: (r) => ({ type: 'pong', time: r.uvarint() }),
};
