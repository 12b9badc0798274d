// What the page does, without saying how it looks: joins connection, replica
// and one's own strokes, and tells a view what changed.

import { Replica } from './state/replica.js';
import { Strokes } from './state/strokes.js';
import { systemClock } from './transport/clock.js';
import { Connection } from './transport/connection.js';
import { Close, Code, draw, hello, setName } from './transport/protocol.js';

/** Gaps in a row at which the position counts as wrong itself. */
const MAX_GAPS = 2;

/** @typedef {{epoch: string, seq: number}} Position */

export class Playground {
  #view;
  /** Null until it is there. @type {import('./state/session.js').Session|null} */
  #session = null;
  #strokes;
  #replica;
  #connection;
  #clock;
  #name = '';
  #trace;
  #gaps = 0;
  /** The epoch that acknowledgements speak of. @type {string|null} */
  #epoch = null;
  /** @type {(() => void)|null} */
  #stopRetry = null;
  /** The connection takes messages. */
  #open = false;

  /**
   * @param {object} o
   * @param {import('./view.js').View} o.view
   * @param {(position: Position|null) => string} o.url of the gateway
   * @param {import('./state/replica.js').Inflate} o.inflate
   * @param {string} [o.name]
   * @param {(number: number) => Uint8Array|undefined} [o.trace] asked when an
   *   operation is sent: its trace context, where it is traced
   * @param {import('./transport/connection.js').Early|null} [o.early] the first connection
   * @param {import('./transport/clock.js').Clock} [o.clock]
   * @param {typeof globalThis.WebSocket} [o.WebSocket]
   */
  constructor({ view, url, inflate, name = '', trace = () => undefined, early, clock = systemClock, WebSocket }) {
    this.#view = view;
    this.#clock = clock;
    this.#name = name;
    this.#trace = trace;
    this.#strokes = new Strokes(clock, {
      damage: (x, y) => view.damage(x, y),
      echoed: (echo) => view.echoed(echo),
      added: (number, count) => view.added(number, count),
      history: () => view.history({ canUndo: this.#strokes.canUndo, canRedo: this.#strokes.canRedo }),
    });
    this.#replica = new Replica({
      inflate,
      onPicture: (grid) => view.picture(grid),
      onPaint: (pixels) => {
        if (!pixels) return view.damageAll();
        for (let i = 0; i < pixels.length; i += 3) view.damage(pixels[i], pixels[i + 1]);
      },
      onOperation: (op) => {
        this.#strokes.applied(op);
        view.drawn(op);
      },
      onApplied: (epoch, seq) => {
        this.#gaps = 0;
        this.#epoch = epoch;
        this.#strokes.reached(epoch, seq);
      },
      onBroken: (reason) => this.#broken(reason),
    });
    this.#connection = new Connection({
      url: () => url(this.#replica.position),
      onAttempt: () => view.state('connecting'),
      onOpen: () => this.#opened(),
      onMessage: (m) => this.#receive(m),
      onLost: (pause) => this.#lost(pause),
      onFinal: (code) => this.#final(code),
      clock,
      early,
      ...(WebSocket && { WebSocket }),
    });
  }

  /** Connects. The picture needs no session; what is drawn waits for it. */
  start() {
    this.#connection.connect();
  }

  /** Draws in a session, from now on. May be called once, before or after start. @param {import('./state/session.js').Session} session */
  open(session) {
    this.#session = session;
    if (!this.#strokes.open(session)) this.#view.notice('full');
    this.#greet();
  }

  stop() {
    this.#connection.close();
    this.#disconnected();
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

  /** Shows a picture that was kept until there is a newer one. @param {import('./state/grid.js').Grid} grid */
  show(grid) {
    this.#replica.show(grid);
  }

  /** The position of the picture. */
  get position() {
    return this.#replica.position;
  }

  /** Operations that are not acknowledged. */
  get waiting() {
    return this.#strokes.waiting;
  }

  /** The tag by which others know this session; null until it is there. */
  get author() {
    return this.#strokes.author;
  }

  /** See Strokes. */
  latency() {
    return this.#strokes.latency();
  }

  /** See Strokes. @param {number} ms */
  pending(ms) {
    return this.#strokes.pending(ms);
  }

  /** The colour that the user sees, own pixels above the picture. @param {number} x @param {number} y */
  colorAt(x, y) {
    const grid = /** @type {import('./state/grid.js').Grid} */ (this.#replica.grid);
    return this.#strokes.at(x, y) ?? grid.at(x, y);
  }

  /** @param {string} name */
  setName(name) {
    this.#name = name;
    this.send([setName(name)]);
  }

  /** Sends what may be lost: nothing is kept for when there is no connection, or nobody to speak for. @param {Uint8Array[]} messages */
  send(messages) {
    if (this.#session) this.#connection.send(messages);
  }

  /** Shows pixels of a stroke that is not an operation yet. @param {number[]} pixels */
  draft(pixels) {
    this.#strokes.draft(pixels);
  }

  /** Takes the draft back: the gesture turned out not to be a stroke. */
  discard() {
    this.#strokes.discard();
  }

  /** Draws a stroke, in the place of the draft. @param {number[]} pixels flat: x, y, colour */
  commit(pixels) {
    if (!this.#strokes.commit(pixels, this.#replica.grid && ((x, y) => this.colorAt(x, y)))) this.#view.notice('full');
    this.#flush();
  }

  /** Takes one's own last stroke back. @returns {number|null} see Strokes.restore */
  undo() {
    return this.#restore('undo');
  }

  /** Draws again what was taken back last. @returns {number|null} see Strokes.restore */
  redo() {
    return this.#restore('redo');
  }

  /** @param {'undo'|'redo'} which */
  #restore(which) {
    const kept = this.#strokes.restore(which, (x, y) => this.colorAt(x, y));
    this.#flush();
    return kept;
  }

  #opened() {
    this.#open = true;
    this.#replica.restart();
    this.#greet();
  }

  /** Goes on where connection and session are both there. */
  #greet() {
    this.#expire();
    if (this.#session && this.#open) {
      this.#connection.send([hello(this.#session.id), ...(this.#name ? [setName(this.#name)] : [])]);
      this.#strokes.connected();
      this.#view.greeted();
    }
    this.#flush();
  }

  #flush() {
    this.#connection.send(this.#strokes.take().map((e) => draw(e.number, e.pixels, this.#trace(e.number))));
    this.#view.waiting(this.#strokes.waiting);
    this.#stopRetry?.();
    const wait = this.#strokes.wait();
    this.#stopRetry = wait === null ? null : this.#clock.after(wait, () => this.#flush());
  }

  #expire() {
    const old = this.#strokes.expire();
    if (old.length > 0) this.#view.expired(old);
  }

  /** @param {import('./transport/protocol.js').Message} m */
  #receive(m) {
    switch (m.type) {
      case 'connected':
        this.#epoch = m.epoch;
        this.#view.state('live');
        this.#view.connected(m);
        break;
      case 'ack':
        this.#strokes.acked(m.number, this.#epoch, m.seq);
        if (this.#replica.epoch) this.#strokes.reached(this.#replica.epoch, this.#replica.seq);
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
      case 'cursors':
        this.#view.cursors(m);
        break;
      default:
        this.#replica.receive(m);
    }
  }

  /** @param {{code: number, number: number, retryAfter: number, message: string}} m */
  #refused({ code, number, retryAfter, message }) {
    // A gateway of an earlier release does not know all that is told to it.
    if (code === Code.unsupported || (code === Code.unknownType && number === 0)) return;
    if (number === 0) {
      if (code === Code.invalidName) this.#view.notice('name');
      else this.#view.notice('other', message);
      return;
    }
    const pixels = this.#strokes.refused(number, code, retryAfter);
    if (pixels) this.#view.refused(pixels, code, number);
    else if (code === Code.logFull) this.#view.notice('logFull');
    this.#flush();
  }

  /** @param {string} reason */
  #broken(reason) {
    console.warn('coming back to catch up:', reason);
    if (++this.#gaps >= MAX_GAPS || reason !== 'gap') this.#replica.distrust();
    this.#connection.drop();
  }

  /** @param {number} pause */
  #lost(pause) {
    this.#replica.restart();
    this.#disconnected();
    this.#view.state('offline', pause);
  }

  /** @param {number} code */
  #final(code) {
    this.#disconnected();
    this.#view.state('ended');
    this.#view.final(code === Close.notFound ? 'not-found' : 'replaced');
  }

  #disconnected() {
    this.#open = false;
    this.#strokes.disconnected();
    this.#stopRetry?.();
  }
}
