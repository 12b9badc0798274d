// Spans on their way to a collector: OTLP over HTTP as JSON.

import { toHex } from './transport/binary.js';

/** Spans that wait for their export; what comes beyond is dropped. */
export const MAX_SPANS = 256;
/** Spans are exported so many ms after the first one has ended. */
export const EXPORT = 2000;

/** OTLP's SPAN_KIND_CLIENT: what the page waits for happens elsewhere. */
const CLIENT = 3;
const ERROR = 2;

/**
 * @typedef {object} Span
 * @property {Uint8Array} trace
 * @property {string} name
 * @property {number} begun of the clock's `elapsed`, as all times here
 * @property {number} ended
 * @property {{name: string, at: number}[]} events
 * @property {Record<string, string|number>} attributes
 * @property {string} failure
 */

/** Exports spans by OTLP over HTTP as JSON. Nothing of the page waits for it. */
export class Exporter {
  #url;
  #clock;
  #fetch;
  #version;
  #origin;
  /** @type {object[]} */
  #spans = [];
  /** @type {(() => void)|null} */
  #stop = null;

  /**
   * @param {object} o
   * @param {string} o.url of the collector, with its path (/v1/traces)
   * @param {string} o.version of the page
   * @param {import('./transport/clock.js').Clock} o.clock
   * @param {number} [o.origin] ms since the Unix epoch at which `elapsed` was 0
   * @param {typeof globalThis.fetch} [o.fetch]
   */
  constructor({ url, version, clock, origin = performance.timeOrigin, fetch = (...args) => globalThis.fetch(...args) }) {
    this.#url = url;
    this.#version = version;
    this.#clock = clock;
    this.#origin = origin;
    this.#fetch = fetch;
  }

  /** @param {Span} span */
  add({ trace, name, begun, ended, events, attributes, failure }) {
    if (this.#spans.length >= MAX_SPANS) return;
    this.#spans.push({
      traceId: toHex(trace.subarray(0, 16)),
      spanId: toHex(trace.subarray(16, 24)),
      name,
      kind: CLIENT,
      startTimeUnixNano: this.#nanos(begun),
      endTimeUnixNano: this.#nanos(ended),
      attributes: pairs(attributes),
      events: events.map((e) => ({ timeUnixNano: this.#nanos(e.at), name: e.name })),
      status: failure ? { code: ERROR, message: failure } : {},
    });
    this.#stop ??= this.#clock.after(EXPORT, () => this.flush());
  }

  /** Sends what there is, also when the page is being left. What fails is gone. */
  flush() {
    this.#stop?.();
    this.#stop = null;
    if (this.#spans.length === 0) return;
    const body = JSON.stringify({
      resourceSpans: [
        {
          resource: { attributes: pairs({ 'service.name': 'page', 'service.version': this.#version }) },
          scopeSpans: [{ scope: { name: 'trace.js' }, spans: this.#spans }],
        },
      ],
    });
    this.#spans = [];
    this.#fetch(this.#url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
      // The body of a request that outlives its page is bounded by browsers.
      keepalive: body.length < 60_000,
      credentials: 'omit',
    }).catch(() => {});
  }

  /** Nanoseconds since the Unix epoch, which are more than a number holds. @param {number} elapsed */
  #nanos(elapsed) {
    return `${BigInt(Math.round((this.#origin + elapsed) * 1000))}000`;
  }
}

/** @param {Record<string, string|number>} attributes */
function pairs(attributes) {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: typeof value === 'number' ? { intValue: String(value) } : { stringValue: value } }));
}
