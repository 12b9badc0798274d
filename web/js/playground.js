// What the page does, without saying how it looks: joins connection, session,
// outbox, replica and overlay, and tells a view what changed.

import { Connection } from './transport/connection.js';
import { Outbox } from './state/outbox.js';
import { Overlay } from './state/overlay.js';
import { Close, Code, MAX_PIXELS, draw, hello, setName } from './transport/protocol.js';
import { Replica } from './state/replica.js';

/** Gaps in a row at which the position counts as wrong itself. */
const MAX_GAPS = 2;

/**
 * What a Playground tells. All methods are called from event handlers, never
 * from a constructor.
 * @typedef {object} View
 * @property {(grid: import('./state/grid.js').Grid) => void} picture another picture
 * @property {(x: number, y: number) => void} damage a cell may look different
 * @property {() => void} damageAll
 * @property {(state: string, pause?: number) => void} state connecting, live,
 *   degraded, draining, offline (with the ms until the next attempt), ended
 * @property {(presence: object) => void} presence
 * @property {(about: {pod: string, canvas: string}) => void} connected
 * @property {(waiting: number) => void} waiting operations in the outbox
 * @property {(text: string, key?: string) => void} notice something for the
 *   user to read; a later one of the same key takes its place
 * @property {(entries: object[]) => void} expired drawn long ago, perhaps not in the log
 * @property {(why: 'not-found'|'replaced') => void} final there will be no other attempt
 */

export class Playground {
  #view;
  #session;
  #outbox;
  #overlay;
  #replica;
  #connection;
  #clock;
  #name = '';
  #gaps = 0;
  /** The epoch that acknowledgements speak of. */
  #epoch = null;
  #stopRetry = null;

  /**
   * @param {object} o
   * @param {View} o.view
   * @param {object} o.session from Sessions.open
   * @param {(position: object|null) => string} o.url of the gateway
   * @param {Function} o.inflate see Replica
   */
  constructor({ view, session, url, inflate, name = '', clock = systemClock, WebSocket }) {
    this.#view = view;
    this.#session = session;
    this.#clock = clock;
    this.#name = name;
    this.#outbox = new Outbox(session, session.kept);
    this.#overlay = new Overlay((x, y) => view.damage(x, y));
    this.#replica = new Replica({
      inflate,
      onPicture: (grid) => view.picture(grid),
      onPaint: (pixels) => {
        if (!pixels) return view.damageAll();
        for (let i = 0; i < pixels.length; i += 3) view.damage(pixels[i], pixels[i + 1]);
      },
      onApplied: (epoch, seq) => {
        this.#gaps = 0;
        this.#epoch = epoch;
        this.#overlay.applied(epoch, seq);
      },
      onBroken: (reason) => this.#broken(reason),
    });
    this.#connection = new Connection({
      url: () => url(this.#replica.position),
      onAttempt: () => view.state('connecting'),
      onOpen: () => this.#open(),
      onMessage: (m) => this.#receive(m),
      onLost: (pause) => this.#lost(pause),
      onFinal: (code) => this.#final(code),
      ...(WebSocket && { WebSocket }),
      ...(clock !== systemClock && { clock }),
    });
  }

  start() {
    this.#expire();
    for (const e of this.#outbox.entries) this.#overlay.add(e.number, e.pixels);
    this.#view.waiting(this.#outbox.size);
    this.#connection.connect();
  }

  stop() {
    this.#stopRetry?.();
    this.#connection.close();
    this.#outbox.disconnected();
  }

  /** The network came back, or the page was looked at again. */
  wake() {
    this.#connection.check();
  }

  /** The network is gone: don't wait until the connection notices. */
  sleep() {
    this.#connection.drop();
  }

  get grid() {
    return this.#replica.grid;
  }

  /** The position of the picture. */
  get position() {
    return this.#replica.position;
  }

  /** Operations that are not acknowledged. */
  get waiting() {
    return this.#outbox.size;
  }

  /** The colour that the user sees, own pixels above the picture. */
  colorAt(x, y) {
    return (this.#overlay.size > 0 ? this.#overlay.at(x, y) : undefined) ?? this.#replica.grid.at(x, y);
  }

  setName(name) {
    this.#name = name;
    this.#connection.send([setName(name)]);
  }

  /** Shows pixels of a stroke that is not an operation yet. */
  draft(pixels) {
    this.#overlay.draft(pixels);
  }

  /** Takes the draft back: the gesture turned out not to be a stroke. */
  discard() {
    this.#overlay.discard();
  }

  /** Draws pixels, those of the draft: now they count. */
  commit(pixels) {
    this.#overlay.discard();
    for (let i = 0; i < pixels.length; i += 3 * MAX_PIXELS) {
      const part = pixels.slice(i, i + 3 * MAX_PIXELS);
      const entry = this.#outbox.add(part, this.#clock.now());
      if (!entry) {
        this.#view.notice('Too much is waiting to be sent. Drawing goes on when the connection is back.', 'full');
        break;
      }
      this.#overlay.add(entry.number, part);
    }
    this.#flush();
  }

  #open() {
    this.#replica.restart();
    this.#connection.send([hello(this.#session.id), ...(this.#name ? [setName(this.#name)] : [])]);
    this.#expire();
    this.#outbox.connected(this.#clock.now());
    this.#flush();
  }

  #flush() {
    const now = this.#clock.now();
    this.#connection.send(this.#outbox.take(now).map((e) => draw(e.number, e.pixels)));
    this.#view.waiting(this.#outbox.size);
    this.#stopRetry?.();
    const wait = this.#outbox.wait(now);
    this.#stopRetry = wait === null ? null : this.#clock.after(wait, () => this.#flush());
  }

  #expire() {
    const old = this.#outbox.expire(this.#clock.now());
    if (old.length === 0) return;
    for (const e of old) this.#overlay.remove(e.number);
    this.#view.expired(old);
  }

  #receive(m) {
    switch (m.type) {
      case 'connected':
        this.#epoch = m.epoch;
        this.#view.state('live');
        this.#view.connected(m);
        break;
      case 'ack':
        for (const e of this.#outbox.ack(m.number)) this.#overlay.acked(e.number, this.#epoch, m.seq);
        if (this.#replica.position) this.#overlay.applied(this.#replica.epoch, this.#replica.seq);
        this.#flush();
        break;
      case 'error':
        this.#refused(m);
        break;
      case 'status':
        this.#view.state(m.state);
        break;
      case 'presence':
        this.#view.presence(m);
        break;
      default:
        this.#replica.receive(m);
    }
  }

  #refused({ code, number, retryAfter, message }) {
    if (code === Code.unsupported) return;
    if (number === 0) {
      this.#view.notice(code === Code.invalidName ? 'This name is not allowed.' : message, `code-${code}`);
      return;
    }
    const lost = this.#outbox.refused(number, code, retryAfter, this.#clock.now());
    if (lost) {
      this.#overlay.remove(number);
      this.#view.notice('The canvas did not accept a stroke; it was taken back.', 'refused');
    } else if (code === Code.logFull) {
      this.#view.notice('The canvas is full for the moment; your strokes wait.', 'rate');
    }
    this.#flush();
  }

  #broken(reason) {
    console.warn('coming back to catch up:', reason);
    if (++this.#gaps >= MAX_GAPS || reason !== 'gap') this.#replica.distrust();
    this.#connection.drop();
  }

  #lost(pause) {
    this.#replica.restart();
    this.#outbox.disconnected();
    this.#stopRetry?.();
    this.#view.state('offline', pause);
  }

  #final(code) {
    this.#outbox.disconnected();
    this.#stopRetry?.();
    this.#view.state('ended');
    this.#view.final(code === Close.notFound ? 'not-found' : 'replaced');
  }
}

/**
 * Sends what an orphaned session left, on a connection of its own, and resolves
 * when all of it is acknowledged or refused. Own strokes do not wait for it.
 */
export function deliver({ session, url, inflate, onExpired, WebSocket, clock }) {
  return new Promise((resolve) => {
    const nothing = () => {};
    const courier = new Playground({
      session,
      url,
      inflate,
      ...(WebSocket && { WebSocket }),
      ...(clock && { clock }),
      view: {
        picture: nothing,
        damage: nothing,
        damageAll: nothing,
        state: nothing,
        presence: nothing,
        connected: nothing,
        notice: nothing,
        expired: onExpired,
        final: (why) => finish(why === 'replaced'),
        waiting: (n) => n === 0 && finish(true),
      },
    });
    const finish = (done) => {
      courier.stop();
      if (done) session.forget();
      resolve(done);
    };
    courier.start();
  });
}

const systemClock = {
  now: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
