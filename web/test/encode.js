// The other direction of the codec, which the page does not need: what
// gateways send and what clients are understood to say.

import { fromHex, readBody, Reader, toHex, Writer, writeBody } from '../js/transport/binary.js';
import { Type, SUBPROTOCOL } from '../js/transport/protocol.js';

export { SUBPROTOCOL };

function message(type, body) {
  return new Writer().u8(type).uvarint(body.length).bytes(body.finish()).finish();
}

const spec = (w, { width, height, background }) => w.u16(width).u16(height).color(background);

const SOURCES = { memory: 1, log: 2 };
const STATES = { live: 1, degraded: 2, draining: 3 };

function points(w, pixels) {
  for (let i = 0, x = 0, y = 0; i < pixels.length; i += 3) {
    w.zigzag(pixels[i] - x).zigzag(pixels[i + 1] - y);
    x = pixels[i];
    y = pixels[i + 1];
  }
}

function u64(w, value) {
  return w.u32(Number(value & 0xffffffffn)).u32(Number(value >> 32n));
}

/** A message of a gateway as bytes; m has the form that decode gives. */
export function encode(m) {
  const w = new Writer();
  switch (m.type) {
    case 'connected':
      w.u8(m.version ?? 1).bytes(fromHex(m.epoch)).uvarint(m.seq);
      spec(w, m).u32(m.author).string(m.canvas).string(m.pod).string(m.clientId);
      if (m.resumed) {
        const more = message(Type.resumed, new Writer().u8(SOURCES[m.resumed]));
        return new Writer().bytes(message(Type.connected, w)).bytes(more).finish();
      }
      break;
    case 'updates':
      w.uvarint(m.first).uvarint(m.time);
      for (const op of m.ops) {
        w.u32(op.author).uvarint(op.number);
        if (op.kind === 'reset') w.u8(2).color(op.color);
        else writeBody(w, op.pixels);
      }
      break;
    case 'range': {
      w.uvarint(m.prev).uvarint(m.seq).uvarint(m.time).u8(m.reset === null ? 0 : 1);
      if (m.reset !== null) w.color(m.reset);
      for (let i = 0; i < m.pixels.length; ) {
        let end = i;
        while (end < m.pixels.length && m.pixels[end + 2] === m.pixels[i + 2]) end += 3;
        w.color(m.pixels[i + 2]).uvarint((end - i) / 3);
        points(w, m.pixels.slice(i, end));
        i = end;
      }
      break;
    }
    case 'ack':
      w.uvarint(m.number).uvarint(m.seq);
      break;
    case 'error':
      w.u8(m.code).uvarint(m.number).uvarint(m.retryAfter).bytes(new TextEncoder().encode(m.message));
      break;
    case 'status':
      w.u8(STATES[m.state]);
      break;
    case 'snapshotBegin':
      w.bytes(fromHex(m.epoch)).uvarint(m.seq);
      u64(spec(w, m), m.hash).uvarint(m.bands);
      break;
    case 'snapshotBand':
      w.uvarint(m.index).uvarint(m.x).uvarint(m.y).uvarint(m.width).uvarint(m.height).bytes(m.data);
      break;
    case 'presence':
      if (!m.isList) return message(Type.count, w.uvarint(m.active).uvarint(m.time));
      w.uvarint(m.active).uvarint(m.time).uvarint(m.users.length);
      for (const u of m.users) w.u32(u.author).string(u.name);
      break;
    case 'cursors':
      w.uvarint(m.here.length);
      for (const c of m.here) w.u32(c.author).uvarint(c.x).uvarint(c.y);
      for (const author of m.gone) w.u32(author);
      break;
    case 'pong':
      w.uvarint(m.time);
      break;
    default:
      throw new Error(`no encoding of ${m.type}`);
  }
  return message(Type[m.type], w);
}

/** The messages of a client's frame. */
export function decodeClient(bytes) {
  const r = new Reader(bytes);
  const messages = [];
  while (r.left > 0) {
    const type = r.u8();
    const b = new Reader(r.bytes(r.uvarint()));
    switch (type) {
      case Type.hello:
        messages.push({ type: 'hello', version: b.u8(), session: toHex(b.bytes(16)) });
        break;
      case Type.draw: {
        const number = b.uvarint();
        const trace = b.u8() ? b.bytes(25) : null;
        messages.push({ type: 'draw', number, trace, ...readBody(b) });
        break;
      }
      case Type.setName:
        messages.push({ type: 'setName', name: new TextDecoder().decode(b.rest()) });
        break;
      case Type.cursor:
        messages.push(b.left === 0 ? { type: 'cursor' } : { type: 'cursor', x: b.uvarint(), y: b.uvarint() });
        break;
      case Type.view:
        messages.push({ type: 'view', x: b.uvarint(), y: b.uvarint(), width: b.uvarint(), height: b.uvarint() });
        break;
      case Type.telemetry:
        messages.push({ type: 'telemetry', kind: b.u8(), millis: b.u32() });
        break;
      case Type.ping:
        messages.push({ type: 'ping' });
        break;
      default:
        messages.push({ type: `0x${type.toString(16)}` });
    }
  }
  return messages;
}
