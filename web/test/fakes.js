// Time, sockets, storage and locks that tests hold in their hands.

import { decodeClient, encode } from './encode.js';
import { frame } from '../js/transport/protocol.js';

export class Clock {
  #now = 1_700_000_000_000;
  #timers = [];

  now = () => this.#now;
  elapsed = () => this.#now;

  after = (ms, run) => {
    const timer = { at: this.#now + ms, run };
    this.#timers.push(timer);
    return () => (this.#timers = this.#timers.filter((t) => t !== timer));
  };

  /** Lets time pass; timers run in their order. */
  pass(ms) {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#timers = this.#timers.filter((t) => t !== next);
      this.#now = Math.max(this.#now, next.at);
      next.run();
    }
    this.#now = end;
  }
}

/** A class of WebSockets whose other end is the test. */
export function sockets() {
  const all = [];
  class FakeWebSocket {
    readyState = 0;
    sent = [];
    constructor(url, protocols) {
      this.url = url;
      this.protocols = protocols;
      all.push(this);
    }
    send(bytes) {
      this.sent.push(...decodeClient(new Uint8Array(bytes)));
    }
    close() {
      this.readyState = 3;
    }
    // What the gateway does:
    accept() {
      this.readyState = 1;
      this.onopen?.();
    }
    say(...messages) {
      this.onmessage?.({ data: frame(messages.map(encode)).buffer });
    }
    end(code = 1006, reason = '') {
      this.readyState = 3;
      this.onclose?.({ code, reason });
    }
    /** What was sent since the last call. */
    take() {
      return this.sent.splice(0);
    }
  }
  return { WebSocket: FakeWebSocket, all, last: () => all.at(-1) };
}

export class Storage {
  #items = new Map();
  /** When it is full nothing is stored. */
  full = false;
  get length() {
    return this.#items.size;
  }
  key(i) {
    return [...this.#items.keys()][i] ?? null;
  }
  getItem(key) {
    return this.#items.get(key) ?? null;
  }
  setItem(key, value) {
    if (this.full) throw new Error('QuotaExceededError');
    this.#items.set(key, String(value));
  }
  removeItem(key) {
    this.#items.delete(key);
  }
  keys() {
    return [...this.#items.keys()];
  }
}

/** A store of sessions that all tabs of a browser share, in memory. */
export class MemoryStore {
  #sessions = new Map();
  /** When it is full nothing is stored. */
  full = false;

  #of(canvas, session) {
    const key = `${canvas} ${session}`;
    if (!this.#sessions.has(key)) this.#sessions.set(key, { next: null, entries: new Map() });
    return this.#sessions.get(key);
  }
  async sessions(canvas) {
    return [...this.#sessions].filter(([key, s]) => key.startsWith(`${canvas} `) && s.next !== null).map(([key]) => key.split(' ')[1]);
  }
  async read(canvas, session) {
    const { next, entries } = this.#of(canvas, session);
    return next === null ? null : { next, entries: [...entries.values()].map((e) => structuredClone(e)) };
  }
  async reserve(canvas, session, next) {
    if (this.full) throw new Error('QuotaExceededError');
    this.#of(canvas, session).next = next;
  }
  async put(canvas, session, entry) {
    if (this.full) throw new Error('QuotaExceededError');
    this.#of(canvas, session).entries.set(entry.number, structuredClone(entry));
  }
  async remove(canvas, session, number) {
    this.#of(canvas, session).entries.delete(number);
  }
  async forget(canvas, session) {
    this.#sessions.delete(`${canvas} ${session}`);
  }
}

/** Web Locks of one origin; tab gives the LockManager that one tab sees. */
export function lockOrigin() {
  const held = new Map();
  const waiting = [];
  const wake = () => {
    for (const w of [...waiting]) if (!held.has(w.name)) (waiting.splice(waiting.indexOf(w), 1), w.grant());
  };
  return {
    tab() {
      const mine = new Map();
      const request = (name, { ifAvailable, signal }, callback) =>
        new Promise((resolve, reject) => {
          const grant = () => {
            held.set(name, true);
            const free = () => {
              if (!mine.delete(name)) return;
              held.delete(name);
              wake();
            };
            mine.set(name, free);
            Promise.resolve(callback({ name })).then((v) => (free(), resolve(v)));
          };
          if (!held.has(name)) return grant();
          if (ifAvailable) return resolve(callback(null));
          const w = { name, grant };
          waiting.push(w);
          signal?.addEventListener('abort', () => {
            if (waiting.includes(w)) (waiting.splice(waiting.indexOf(w), 1), reject(new Error('AbortError')));
          });
        });
      return { request, close: () => [...mine.values()].forEach((free) => free()) };
    },
  };
}
