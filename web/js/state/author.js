// The public tag of a session, by which a client recognises its own operations
// among those of others: the first bytes of SHA-256("pixel author" ‖ session).
//
// crypto.subtle has SHA-256 only in secure contexts, and only asynchronously;
// a playground in the local network over plain HTTP has neither.

import { fromHex } from '../transport/binary.js';

const ROUNDS = 64;

/** The first `count` primes' roots, as FIPS 180-4 makes its constants. */
function fractions(/** @type {number} */ count, /** @type {(n: number) => number} */ root) {
  const found = [];
  for (let n = 2; found.length < count; n++) {
    let prime = true;
    for (let d = 2; d * d <= n && prime; d++) prime = n % d !== 0;
    if (prime) found.push(((root(n) % 1) * 2 ** 32) | 0);
  }
  return found;
}

const K = fractions(ROUNDS, Math.cbrt);
const H = fractions(8, Math.sqrt);

const rotate = (/** @type {number} */ x, /** @type {number} */ n) => (x >>> n) | (x << (32 - n));

/**
 * SHA-256 (FIPS 180-4).
 * @param {Uint8Array} message
 * @returns {Uint8Array} 32 bytes
 */
export function sha256(message) {
  const length = Math.ceil((message.length + 9) / 64) * 64;
  const padded = new Uint8Array(length);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(length - 8, BigInt(message.length) * 8n);
  const hash = Int32Array.from(H);
  const w = new Int32Array(ROUNDS);
  for (let block = 0; block < length; block += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(block + 4 * i);
    for (let i = 16; i < ROUNDS; i++) {
      const s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >>> 3);
      const s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = hash;
    for (let i = 0; i < ROUNDS; i++) {
      const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((v, i) => (hash[i] += v));
  }
  const out = new DataView(new ArrayBuffer(32));
  hash.forEach((v, i) => out.setInt32(4 * i, v));
  return new Uint8Array(out.buffer);
}

/**
 * @param {string} session 32 hexadecimal digits
 * @returns {number} the lower 32 bits of the tag, as messages carry it
 */
export function authorOf(session) {
  const prefix = new TextEncoder().encode('pixel author');
  const message = new Uint8Array(prefix.length + 16);
  message.set(prefix);
  message.set(fromHex(session), prefix.length);
  return new DataView(sha256(message).buffer).getUint32(0, true);
}
