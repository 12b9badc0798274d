// A gateway in small with its log, and sockets to it that do everything to
// what they carry that no network should: cut frames into single bytes, bring
// them twice, late and out of order, and break.

import { inflateRawSync } from 'node:zlib';

import { Grid } from '../js/state/grid.js';
import { authorOf } from '../js/state/author.js';
import { Code, frame } from '../js/transport/protocol.js';
import { decodeClient, encode } from './encode.js';
import { EPOCH, snapshot } from './picture.js';

export const inflate = async (data, size) => {
  const out = new Uint8Array(inflateRawSync(data));
  if (out.length !== size) throw new Error('another size');
  return out;
};

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
export function randomFrom(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class Gateway {
  grid;
  /** @type {{author: number, number: number, kind: 'paint', pixels: number[]}[]} operation n is at seq n+1 */
  log = [];
  #last = new Map();
  #open = new Set();
  #clock;
  #random;
  /** Chance of each fault for one frame; 0: an honest network. */
  faults = 0;

  constructor({ width, height, clock, random }) {
    this.grid = new Grid({ width, height, background: 0xffffff });
    this.#clock = clock;
    this.#random = random;
    const gateway = this;
    /** What the page opens. */
    this.WebSocket = class {
      readyState = 0;
      constructor(url) {
        this.url = new URL(url);
        clock.after(1, () => gateway.#accept(this));
      }
      send(bytes) {
        const copy = Uint8Array.from(bytes);
        gateway.#carry(() => this.readyState === 1 && gateway.#hear(this, copy));
      }
      close() {
        this.readyState = 3;
        gateway.#open.delete(this);
      }
    };
  }

  /** Somebody else draws. */
  draw(author, pixels) {
    this.#append({ author, number: 0, kind: 'paint', pixels });
  }

  #happens(share = 1) {
    return this.#random() < this.faults * share;
  }

  /** Something crosses the network, once or twice, now or later than what follows. */
  #carry(arrive) {
    const times = this.#happens() ? 2 : 1;
    for (let i = 0; i < times; i++) {
      const late = this.#happens() ? Math.floor(this.#random() * 3000) : 0;
      if (late > 0 || i > 0) this.#clock.after(late, arrive);
      else arrive();
    }
  }

  #accept(socket) {
    if (socket.readyState !== 0) return;
    socket.readyState = 1;
    this.#open.add(socket);
    socket.onopen?.();
    const since = Number(socket.url.searchParams.get('since') ?? -1);
    const known = since >= 0 && since <= this.log.length;
    const from = known ? since : this.log.length;
    this.#say(socket, { type: 'connected', epoch: EPOCH, seq: from, width: this.grid.width, height: this.grid.height, background: 0xffffff, author: 0, canvas: 'main', pod: 'p', clientId: 'c' });
    if (!known) for (const m of snapshot(this.grid, EPOCH, this.log.length, 2)) this.#say(socket, m);
    else if (since < this.log.length) this.#say(socket, { type: 'updates', first: since + 1, time: 0, ops: this.log.slice(since) });
  }

  #hear(socket, bytes) {
    for (const m of decodeClient(bytes)) {
      if (m.type === 'hello') socket.session = m.session;
      if (m.type === 'ping') this.#say(socket, { type: 'pong', time: 0 });
      if (m.type === 'draw') this.#write(socket, m);
    }
  }

  #write(socket, { number, pixels }) {
    // The hello may come behind it on this network.
    if (!socket.session) return this.#say(socket, { type: 'error', code: Code.busy, number, retryAfter: 50, message: '' });
    // As the real one: a repetition is a success, and a number that is not the
    // next one waits until that has come.
    const last = this.#last.get(socket.session) ?? 0;
    if (number > last + 1) return this.#say(socket, { type: 'error', code: Code.busy, number: last + 1, retryAfter: 50, message: '' });
    if (number === last + 1) {
      if (this.#happens()) return this.#say(socket, { type: 'error', code: Code.busy, number, retryAfter: 100, message: '' });
      this.#last.set(socket.session, number);
      this.#append({ author: authorOf(socket.session), number, kind: 'paint', pixels });
    }
    this.#say(socket, { type: 'ack', number: Math.max(number, last), seq: this.log.length });
  }

  #append(op) {
    this.log.push(op);
    this.grid.paint(op.pixels);
    for (const socket of this.#open) this.#say(socket, { type: 'updates', first: this.log.length, time: 0, ops: [op] });
  }

  #say(socket, message) {
    const bytes = frame([encode(message)]);
    const pieces = this.#happens(0.3) ? Array.from(bytes, (b) => Uint8Array.of(b)) : [bytes];
    for (const piece of pieces) this.#carry(() => socket.readyState === 1 && socket.onmessage?.({ data: piece.slice().buffer }));
    if (this.#happens(0.2)) this.#clock.after(1, () => this.#break(socket));
  }

  #break(socket) {
    if (socket.readyState !== 1) return;
    socket.readyState = 3;
    this.#open.delete(socket);
    socket.onclose?.({ code: 1006, reason: '' });
  }
}
