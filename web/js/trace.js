// What one's own operations take, from the click to the paint of their echo:
// reported to the gateway as a sample, and as spans to a collector where the
// frontend names one. A small part of what OpenTelemetry's own libraries do,
// without a line of theirs.
//
// The trace begins here. Its context travels with the operation (the 25 bytes
// that the protocol has for it), so gateways, log and delivery become parts of
// the same trace, and the page's span is the root of it.

import { telemetry } from './transport/protocol.js';

/** Kinds of the protocol's telemetry. */
const LATENCY = 1;
const RECOVERY = 2;

/** At most one latency in so many ms is reported to the gateway. */
export const REPORT = 2000;
/** Operations that are followed at a time; the oldest is given up for a new one. */
export const MAX_FOLLOWED = 256;

/**
 * @typedef {object} Followed an operation; times are of the clock's `elapsed`
 * @property {number} begun the click, or key, that began the gesture
 * @property {number} count of its pixels
 * @property {number} sent when it was sent first, or -1
 * @property {number} times how often it was sent
 * @property {boolean} steady it was sent once, on a connection that lasts
 * @property {boolean} echoed its echo is in the picture and waits for the paint
 * @property {{trace: Uint8Array, events: {name: string, at: number}[]}|null} span
 */

export class Traces {
  #clock;
  #canvas;
  #ratio;
  #send;
  #painted;
  #random;
  #exporter;
  /** @type {Map<number, Followed>} by number */
  #followed = new Map();
  /** @type {number|null} */
  #begun = null;
  #reported = -Infinity;
  /** @type {number|null} when a connection that was live was lost */
  #lost = null;
  #live = false;

  /**
   * @param {object} o
   * @param {import('./transport/clock.js').Clock} o.clock
   * @param {string} o.canvas
   * @param {(messages: Uint8Array[]) => void} o.send to the gateway; may be lost
   * @param {(run: (seen: boolean) => void) => void} o.painted calls back when
   *   what changed until now is on the screen; not seen: the page is hidden
   * @param {{add: (span: import('./exporter.js').Span) => void}|null} [o.exporter] null: no operation is traced
   * @param {number} [o.ratio] share of the operations that are traced, 0 to 1
   * @param {() => number} [o.random]
   */
  constructor({ clock, canvas, send, painted, exporter = null, ratio = 0, random = Math.random }) {
    this.#clock = clock;
    this.#canvas = canvas;
    this.#send = send;
    this.#painted = painted;
    this.#exporter = exporter;
    this.#ratio = ratio;
    this.#random = random;
  }

  /** A gesture begins, or goes on: the first call counts. */
  begin() {
    this.#begun ??= this.#clock.elapsed();
  }

  /** The gesture came to nothing, or its operations were added. */
  end() {
    this.#begun = null;
  }

  /** An own operation goes into the outbox. @param {number} number @param {number} count of pixels */
  added(number, count) {
    const now = this.#clock.elapsed();
    const begun = this.#begun ?? now;
    const sampled = this.#exporter !== null && this.#random() < this.#ratio;
    const span = sampled ? { trace: newTrace(), events: [{ name: 'drawn', at: now }] } : null;
    this.#followed.set(number, { begun, count, sent: -1, times: 0, steady: true, echoed: false, span });
    if (this.#followed.size <= MAX_FOLLOWED) return;
    const [oldest] = this.#followed.keys();
    this.#finish(oldest, null, 'given up');
  }

  /**
   * An operation is sent (again).
   * @param {number} number
   * @returns {Uint8Array|undefined} its trace context, when it is traced
   */
  sent(number) {
    const op = this.#followed.get(number);
    if (!op) return undefined;
    const now = this.#clock.elapsed();
    if (op.times++ > 0) op.steady = false;
    if (op.sent < 0) op.sent = now;
    op.span?.events.push({ name: 'sent', at: now });
    return op.span?.trace;
  }

  /** The gateway refused an operation for good. @param {number} number */
  refused(number) {
    this.#finish(number, null, 'refused');
  }

  /** An own operation is in the picture. @param {number} number */
  echoed(number) {
    const op = this.#followed.get(number);
    if (!op || op.echoed) return;
    op.echoed = true;
    op.span?.events.push({ name: 'in the picture', at: this.#clock.elapsed() });
    this.#painted((seen) => this.#finish(number, seen ? this.#clock.elapsed() : null, ''));
  }

  /** @param {string} state see Playground's View */
  connection(state) {
    const live = state === 'live' || state === 'degraded';
    const now = this.#clock.elapsed();
    if (state === 'live' && this.#lost !== null) {
      this.#send([telemetry(RECOVERY, millis(now - this.#lost))]);
      this.#lost = null;
    }
    if (this.#live && (state === 'offline' || state === 'connecting')) {
      this.#lost = now;
      // Of what was under way nobody knows when it arrived.
      for (const op of this.#followed.values()) if (op.sent >= 0) op.steady = false;
    }
    if (state !== 'draining') this.#live = live;
  }

  /**
   * @param {number} number
   * @param {number|null} painted when it was seen, null: never
   * @param {string} failure '' for none
   */
  #finish(number, painted, failure) {
    const op = this.#followed.get(number);
    if (!op) return;
    this.#followed.delete(number);
    const now = this.#clock.elapsed();
    if (painted !== null && op.steady && op.sent >= 0) this.#report(painted - op.sent, painted);
    if (!op.span || !this.#exporter) return;
    if (painted !== null) op.span.events.push({ name: 'painted', at: painted });
    this.#exporter.add({
      trace: op.span.trace,
      name: 'draw',
      begun: op.begun,
      ended: painted ?? now,
      events: op.span.events,
      attributes: { 'pixel.canvas': this.#canvas, 'pixel.count': op.count, 'pixel.attempts': op.times },
      failure,
    });
  }

  /** @param {number} ms @param {number} now */
  #report(ms, now) {
    if (now - this.#reported < REPORT) return;
    this.#reported = now;
    this.#send([telemetry(LATENCY, millis(ms))]);
  }
}

const millis = (/** @type {number} */ ms) => Math.min(0xffffffff, Math.max(0, Math.round(ms)));

/** A W3C trace context as the protocol carries it: trace id, span id, flags (sampled). */
function newTrace() {
  const trace = crypto.getRandomValues(new Uint8Array(25));
  trace[0] ||= 1; // neither id may be all zeros
  trace[16] ||= 1;
  trace[24] = 1;
  return trace;
}

/**
 * Calls back after the frame that shows what has changed until now; at once,
 * unseen, when the page is hidden and has no frames.
 * @param {(seen: boolean) => void} run
 */
export function afterPaint(run) {
  if (document.hidden) return run(false);
  requestAnimationFrame(() => {
    // The first task after a frame's callbacks runs when it was painted.
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => run(!document.hidden);
    port2.postMessage(null);
  });
}
