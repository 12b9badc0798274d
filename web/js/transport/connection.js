// The transport: one WebSocket at a time, opened again whenever it is lost.

import { systemClock } from './clock.js';
import { Close, SUBPROTOCOL, decode, frame, ping } from './protocol.js';

/** Time for a socket to open and to say connected. */
const CONNECT_TIMEOUT = 8000;
/** A connection that lasted this long starts over with short pauses. */
const STABLE = 10000;
/** Silence after which the gateway is asked whether it is still there. */
const IDLE = 15000;
/** Time for its answer; after it the connection counts as lost. */
const ANSWER = 5000;
/** The pause after the gateway closed for repeated abuse or a policy. */
const POLICY_PAUSE = 30000;
/** No reason to close may keep the page away for longer than this. */
const MAX_PAUSE = 60000;
/** Frames stay well below the 64 KiB that every gateway accepts. */
const MAX_FRAME = 40 << 10;

/**
 * Pauses between attempts: 100, 200, 400 … at most 2000 ms, each with full
 * jitter (a random part of it), so that the thousands whom one gateway lost do
 * not come back in step.
 */
export class Backoff {
  #attempt = 0;
  #random;

  constructor(random = Math.random) {
    this.#random = random;
  }

  next() {
    const limit = Math.min(2000, 100 * 2 ** Math.min(this.#attempt++, 10));
    return Math.floor(this.#random() * limit);
  }

  reset() {
    this.#attempt = 0;
  }
}

/** The ms in the reason of a close with 1012 ("retry=<ms>"), or null. @param {number} code @param {string} reason */
export function retryPause(code, reason) {
  const match = code === Close.restart ? /^retry=(\d{1,9})$/.exec(reason) : null;
  return match ? Math.min(Number(match[1]), MAX_PAUSE) : null;
}

/**
 * The address of the gateway. A session never stands in it: proxies log it.
 * @param {string|undefined} base
 * @param {string} location of the page
 * @param {string} canvas
 * @param {{epoch: string, seq: number}|null} position
 */
export function gatewayUrl(base, location, canvas, position) {
  const url = new URL(base || '/ws', location);
  if (url.protocol === 'http:') url.protocol = 'ws:';
  if (url.protocol === 'https:') url.protocol = 'wss:';
  if (url.pathname === '/') url.pathname = '/ws';
  url.hash = '';
  url.searchParams.set('canvas', canvas);
  if (position) {
    url.searchParams.set('epoch', position.epoch);
    url.searchParams.set('since', String(position.seq));
  }
  return url.href;
}

/**
 * A socket that was dialled before its Connection was there, with what it has
 * received since.
 * @typedef {{socket: WebSocket, frames: any[]}} Early
 */

/**
 * Dials while the rest of the page is still being built.
 * @param {string} url
 * @param {typeof globalThis.WebSocket} [WebSocket]
 * @returns {Early|null} null for an address that is none
 */
export function dial(url, WebSocket = globalThis.WebSocket) {
  let socket;
  try {
    socket = new WebSocket(url, [SUBPROTOCOL]);
  } catch {
    return null;
  }
  socket.binaryType = 'arraybuffer';
  /** @type {any[]} */
  const frames = [];
  socket.onmessage = ({ data }) => frames.push(data);
  return { socket, frames };
}

/** Closes after which coming back makes no sense. @param {number} code */
const isFinal = (code) => code === Close.notFound || code === Close.replaced;

export class Connection {
  #url;
  #on;
  #WebSocket;
  #clock;
  #backoff;
  /** @type {WebSocket|null} */
  #socket = null;
  #connected = false;
  /** @type {Map<string, () => void>} each stops its timer */
  #timers = new Map();
  #lastHeard = 0;
  /** @type {Early|null} */
  #early;
  #ended = false;

  /**
   * @param {object} o
   * @param {() => string} o.url asked at each attempt: the position moves on
   * @param {() => void} o.onOpen may send already; `connected` comes later
   * @param {(message: import('./protocol.js').Message) => void} o.onMessage
   * @param {(pause: number) => void} o.onLost an attempt or connection ended; the next is that many ms away
   * @param {() => void} o.onAttempt the next attempt begins
   * @param {(code: number) => void} o.onFinal closed for good
   * @param {typeof globalThis.WebSocket} [o.WebSocket]
   * @param {import('./clock.js').Clock} [o.clock]
   * @param {() => number} [o.random] in [0, 1)
   * @param {Early|null} [o.early] the first attempt, from `dial`
   */
  constructor({ url, onOpen, onMessage, onLost, onAttempt, onFinal, early = null, WebSocket = globalThis.WebSocket, clock = systemClock, random = Math.random }) {
    this.#url = url;
    this.#early = early;
    this.#on = { open: onOpen, message: onMessage, lost: onLost, attempt: onAttempt, final: onFinal };
    this.#WebSocket = WebSocket;
    this.#clock = clock;
    this.#backoff = new Backoff(random);
  }

  get isOpen() {
    return this.#socket?.readyState === 1;
  }

  /** Begins the first attempt, or the next one at once if it is waiting. */
  connect() {
    if (this.#ended || this.#socket) return;
    this.#stopTimers();
    this.#on.attempt();
    // One that has failed meanwhile does not count: nobody has waited for it.
    const early = this.#early && this.#early.socket.readyState <= 1 ? this.#early : null;
    this.#early = null;
    const dialled = early ?? dial(this.#url(), this.#WebSocket);
    if (!dialled) {
      this.#retry(this.#backoff.next());
      return;
    }
    const { socket, frames } = dialled;
    this.#socket = socket;
    this.#connected = false;
    socket.onopen = () => this.#on.open();
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(event.code, event.reason);
    if (this.isOpen) {
      queueMicrotask(() => {
        if (this.#socket !== socket) return;
        this.#on.open();
        for (const frame of frames) if (this.#socket === socket) this.#receive(frame);
      });
    }
    this.#after('connect', CONNECT_TIMEOUT, () => this.drop());
  }

  /** Sends messages as few frames. Does nothing unless the socket is open. @param {Uint8Array[]} messages */
  send(messages) {
    const socket = this.#socket;
    if (!socket || !this.isOpen) return;
    /** @type {Uint8Array[]} */
    let batch = [];
    let size = 0;
    for (const m of messages) {
      if (batch.length > 0 && size + m.length > MAX_FRAME) {
        socket.send(frame(batch));
        batch = [];
        size = 0;
      }
      batch.push(m);
      size += m.length;
    }
    if (batch.length > 0) socket.send(frame(batch));
  }

  /** Gives the connection up and comes back after a pause. */
  drop() {
    if (!this.#socket) return;
    this.#abandon();
    this.#retry(this.#backoff.next());
  }

  /** Asks whether the gateway is still there, as after a sleep. */
  check() {
    if (!this.#socket) this.connect();
    else if (this.#connected) this.#ask();
  }

  /** Ends it for good. */
  close() {
    this.#ended = true;
    this.#stopTimers();
    this.#abandon();
  }

  /** @param {unknown} data */
  #receive(data) {
    this.#lastHeard = this.#clock.now();
    this.#timers.get('answer')?.();
    let messages;
    try {
      if (!(data instanceof ArrayBuffer)) throw new Error('a text frame');
      messages = decode(new Uint8Array(data));
    } catch (error) {
      console.warn('a frame that cannot be read:', error.message);
      this.drop();
      return;
    }
    const socket = this.#socket;
    for (const m of messages) {
      if (m.type === 'connected' && !this.#connected) {
        this.#connected = true;
        this.#timers.get('connect')?.();
        this.#after('stable', STABLE, () => this.#backoff.reset());
        this.#watch();
      }
      this.#on.message(m);
      if (this.#socket !== socket) return; // a message led to a new connection
    }
  }

  #watch() {
    this.#after('watch', IDLE, () => {
      if (this.#clock.now() - this.#lastHeard >= IDLE) this.#ask();
      this.#watch();
    });
  }

  /** A browser does not tell a page of the gateway's own pings. */
  #ask() {
    if (this.#timers.has('answer')) return;
    this.send([ping()]);
    this.#after('answer', ANSWER, () => this.drop());
  }

  /** @param {number} code @param {string} reason */
  #closed(code, reason) {
    this.#abandon();
    if (isFinal(code)) {
      this.#ended = true;
      this.#on.final(code);
      return;
    }
    const pause = retryPause(code, reason) ?? (code === Close.policy ? POLICY_PAUSE : this.#backoff.next());
    this.#retry(pause);
  }

  /** @param {number} pause */
  #retry(pause) {
    this.#on.lost(pause);
    if (!this.#ended) this.#after('retry', pause, () => this.connect());
  }

  /** Lets go of the socket; what it still says no longer counts. */
  #abandon() {
    this.#stopTimers();
    const socket = this.#socket;
    this.#socket = null;
    this.#connected = false;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** @param {string} name @param {number} ms @param {() => void} run */
  #after(name, ms, run) {
    this.#timers.get(name)?.();
    const stop = this.#clock.after(ms, () => {
      this.#timers.delete(name);
      run();
    });
    this.#timers.set(name, () => {
      this.#timers.delete(name);
      stop();
    });
  }

  #stopTimers() {
    for (const stop of [...this.#timers.values()]) stop();
  }
}
