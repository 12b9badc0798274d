// Bytes as pixel.v1 has them: numbers, texts, and the body of an operation,
// which the outbox keeps in the same form. protocol.js makes messages of them.

/** Greatest number of an operation and of a position. */
export const MAX_NUMBER = Number.MAX_SAFE_INTEGER;
/** Greatest number of pixels in one operation. */
export const MAX_PIXELS = 4096;

const PAINT = 1;
const RESET = 2;
const KIND = 0x03;
const SINGLE = 0x04;
const UNIFORM = 0x08;

/** Thrown for bytes that are not what the protocol says. */
export class ProtocolError extends Error {}

export const utf8 = new TextEncoder();
export const text = new TextDecoder();

/** Bytes that grow as they are written. */
export class Writer {
  #bytes = new Uint8Array(64);
  length = 0;

  /** @param {number} n */
  #room(n) {
    if (this.length + n <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.length + n));
    larger.set(this.#bytes.subarray(0, this.length));
    this.#bytes = larger;
  }

  /** @param {number} value */
  u8(value) {
    this.#room(1);
    this.#bytes[this.length++] = value;
    return this;
  }

  /** @param {number} value */
  u16(value) {
    return this.u8(value).u8(value >>> 8);
  }

  /** @param {number} value */
  u32(value) {
    return this.u16(value).u16(value >>> 16);
  }

  /** @param {number} value */
  uvarint(value) {
    while (value >= 0x80) {
      this.u8(0x80 | (value % 0x80));
      value = Math.floor(value / 0x80);
    }
    return this.u8(value);
  }

  /** @param {number} value */
  zigzag(value) {
    return this.uvarint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  /** @param {number} value */
  color(value) {
    return this.u8(value >>> 16).u8(value >>> 8).u8(value);
  }

  /** @param {Uint8Array} more */
  bytes(more) {
    this.#room(more.length);
    this.#bytes.set(more, this.length);
    this.length += more.length;
    return this;
  }

  /** @param {string} value */
  string(value) {
    const encoded = utf8.encode(value);
    return this.uvarint(encoded.length).bytes(encoded);
  }

  /** The bytes so far, as a copy. */
  finish() {
    return this.#bytes.slice(0, this.length);
  }
}

/** Takes values off the front of bytes; throws ProtocolError past the end. */
export class Reader {
  #bytes;
  #at = 0;

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
  }

  get left() {
    return this.#bytes.length - this.#at;
  }

  /** @param {number} n */
  bytes(n) {
    if (n > this.left) throw new ProtocolError('message is truncated');
    this.#at += n;
    return this.#bytes.subarray(this.#at - n, this.#at);
  }

  rest() {
    return this.bytes(this.left);
  }

  u8() {
    if (this.left === 0) throw new ProtocolError('message is truncated');
    return this.#bytes[this.#at++];
  }

  u16() {
    return this.u8() | (this.u8() << 8);
  }

  u32() {
    return (this.u16() | (this.u16() << 16)) >>> 0;
  }

  u64() {
    const low = BigInt(this.u32());
    return (BigInt(this.u32()) << 32n) | low;
  }

  uvarint() {
    let value = 0;
    for (let scale = 1, n = 0; n < 10; n++, scale *= 0x80) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > MAX_NUMBER) break;
        return value;
      }
    }
    throw new ProtocolError('number has more than 53 bits');
  }

  zigzag() {
    const value = this.uvarint();
    const signed = value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    if (Math.abs(signed) > 0xffff) throw new ProtocolError('coordinate out of range');
    return signed;
  }

  color() {
    return (this.u8() << 16) | (this.u8() << 8) | this.u8();
  }

  string() {
    return text.decode(this.bytes(this.uvarint()));
  }

  epoch() {
    return toHex(this.bytes(16));
  }
}

/** @param {Uint8Array} bytes */
export function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @param {string} hex */
export function fromHex(hex) {
  if (!/^([0-9a-f]{2})*$/.test(hex)) throw new ProtocolError('not hexadecimal');
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** Writes kind, colours and pixels of a painting operation. @param {Writer} w @param {number[]} pixels */
export function writeBody(w, pixels) {
  const count = pixels.length / 3;
  if (count < 1 || count > MAX_PIXELS) throw new ProtocolError(`${count} pixels in an operation`);
  if (count === 1) {
    return w.u8(PAINT | SINGLE).uvarint(pixels[0]).uvarint(pixels[1]).color(pixels[2]);
  }
  let uniform = true;
  for (let i = 5; i < pixels.length && uniform; i += 3) uniform = pixels[i] === pixels[2];
  w.u8(uniform ? PAINT | UNIFORM : PAINT).uvarint(count);
  if (uniform) w.color(pixels[2]);
  for (let i = 0, x = 0, y = 0; i < pixels.length; i += 3) {
    w.zigzag(pixels[i] - x).zigzag(pixels[i + 1] - y);
    if (!uniform) w.color(pixels[i + 2]);
    x = pixels[i];
    y = pixels[i + 1];
  }
  return w;
}

/**
 * @param {Reader} r
 * @returns {{kind: 'paint', pixels: number[]}|{kind: 'reset', color: number}}
 */
export function readBody(r) {
  const head = r.u8();
  if (head === RESET) return { kind: 'reset', color: r.color() };
  if ((head & KIND) !== PAINT || (head & ~(KIND | SINGLE | UNIFORM)) !== 0 || head === (PAINT | SINGLE | UNIFORM)) {
    throw new ProtocolError(`unknown head 0x${head.toString(16)} of an operation`);
  }
  if (head & SINGLE) {
    const pixels = [r.uvarint(), r.uvarint(), r.color()];
    if (pixels[0] > 0xffff || pixels[1] > 0xffff) throw new ProtocolError('coordinate out of range');
    return { kind: 'paint', pixels };
  }
  const count = r.uvarint();
  if (count < 1 || count > MAX_PIXELS) throw new ProtocolError(`${count} pixels in an operation`);
  const uniform = (head & UNIFORM) !== 0 ? r.color() : null;
  return { kind: 'paint', pixels: readPoints(r, count, uniform) };
}

/** @param {Reader} r @param {number} count @param {number|null} uniform */
export function readPoints(r, count, uniform) {
  if (2 * count > r.left) throw new ProtocolError('message is truncated');
  const pixels = new Array(3 * count);
  for (let i = 0, x = 0, y = 0; i < pixels.length; i += 3) {
    x += r.zigzag();
    y += r.zigzag();
    if (x < 0 || x > 0xffff || y < 0 || y > 0xffff) throw new ProtocolError('coordinate out of range');
    pixels[i] = x;
    pixels[i + 1] = y;
    pixels[i + 2] = uniform ?? r.color();
  }
  return pixels;
}
