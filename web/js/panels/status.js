// The truth about the connection: its state, what waits to be sent, and how
// long one's own pixels take.

import { WINDOW } from '../state/latency.js';
import { texts } from '../texts.js';
import { announce, attach, byId } from './dom.js';

/** Shorter interruptions are not worth a word. */
const PATIENCE = 700;
/** Strokes that wait for less are just on their way. */
const WAITING = 1000;
/** How often latency is read out. */
const REFRESH = 1000;
const BARS = 30;

/** @typedef {ReturnType<import('../state/strokes.js').Strokes['latency']>} Measured */

export class Status {
  #badge = byId('state');
  #banner = byId('banner');
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout>|null} */
  #waitingTimer = null;
  #shown = 'connecting';
  #waits = 0;
  #late = false;
  /** When the next attempt begins, by the page's clock. */
  #retryAt = 0;
  #measure;

  /**
   * @param {{measure: () => Measured|null, position: () => number|null, retry: () => void}} o
   */
  constructor({ measure, position, retry }) {
    this.#measure = measure;
    attach(byId('connection-panel'), this.#badge, () => this.#refresh());
    byId('retry').addEventListener('click', retry);
    setInterval(() => {
      this.#refresh();
      byId('position').textContent = position()?.toLocaleString(texts.lang) ?? '–';
    }, REFRESH);
    this.#set('connecting');
  }

  /** @param {string} state @param {number} [pause] ms until the next attempt */
  show(state, pause = 0) {
    if (state === 'offline') this.#retryAt = performance.now() + pause;
    clearTimeout(this.#timer);
    const interrupted = this.#shown === 'live' && (state === 'offline' || state === 'connecting');
    if (interrupted) this.#timer = setTimeout(() => this.#set('offline'), PATIENCE);
    else if (this.#shown === 'offline' && state === 'connecting') this.#set('offline');
    else this.#set(state);
  }

  /** @param {string} state */
  #set(state) {
    const { name, detail } = texts.states[state] ?? { name: state, detail: '' };
    if (state !== this.#shown) announce(`${name}. ${detail}`);
    this.#shown = state;
    this.#badge.dataset.state = state;
    byId('state-text').textContent = name;
    byId('state-name').textContent = name;
    byId('state-detail').textContent = detail;
    this.#showBanner();
  }

  /** The gateway that serves this page. @param {string} pod */
  server(pod) {
    byId('server').textContent = pod;
  }

  /** Operations that are not acknowledged; told when it takes a while. @param {number} n */
  waiting(n) {
    this.#waits = n;
    if (n === 0) {
      if (this.#waitingTimer) clearTimeout(this.#waitingTimer);
      this.#waitingTimer = null;
      this.#late = false;
    } else {
      this.#waitingTimer ??= setTimeout(() => {
        this.#late = true;
        this.#showBanner();
      }, WAITING);
    }
    this.#showBanner();
  }

  #showBanner() {
    const { detail } = texts.states[this.#shown];
    const trouble = ['degraded', 'draining', 'offline'].includes(this.#shown);
    const waits = this.#waits > 0 && (this.#late || trouble);
    this.#banner.hidden = !trouble && !waits;
    this.#banner.dataset.state = this.#shown;
    byId('banner-text').textContent = trouble ? detail : '';
    byId('banner-text').hidden = !trouble;
    byId('waiting').hidden = !waits;
    byId('waiting').textContent = texts.waiting(this.#waits);
    byId('unsent').textContent = String(this.#waits);
    byId('retry').hidden = this.#shown !== 'offline';
  }

  #refresh() {
    const seconds = Math.max(0, this.#retryAt - performance.now()) / 1000;
    byId('retry-in').textContent = this.#shown === 'offline' && seconds > 0.05 ? texts.retryIn(seconds.toFixed(1)) : '';
    const measured = this.#measure();
    if (!measured) return;
    const { now, samples, summary } = measured;
    byId('latency').textContent = summary ? texts.ms(summary.p50) : '';
    byId('latency-p50').textContent = summary ? texts.ms(summary.p50) : '–';
    byId('latency-p95').textContent = summary ? texts.ms(summary.p95) : '–';
    byId('latency-note').textContent = summary ? texts.latencyNote(summary.count) : texts.latencyNone;
    const bars = worst(samples, now);
    drawBars(byId('spark').querySelector('path'), bars, 60, 20);
    drawBars(byId('spark-large').querySelector('path'), bars, 240, 56);
    byId('spark').toggleAttribute('hidden', !summary);
  }
}

/**
 * The slowest sample in each slice of the last minute; null: none.
 * @param {{at: number, ms: number}[]} samples
 * @param {number} now
 */
export function worst(samples, now) {
  /** @type {(number|null)[]} */
  const bars = new Array(BARS).fill(null);
  for (const { at, ms } of samples) {
    const i = BARS - 1 - Math.floor(((now - at) / WINDOW) * BARS);
    if (i >= 0 && i < BARS) bars[i] = Math.max(bars[i] ?? 0, ms);
  }
  return bars;
}

/**
 * @param {SVGPathElement} path
 * @param {(number|null)[]} bars
 * @param {number} width
 * @param {number} height
 */
function drawBars(path, bars, width, height) {
  const top = Math.max(50, ...bars.map((b) => b ?? 0));
  const step = width / BARS;
  path.setAttribute('d', bars.map((b, i) => (b === null ? `M${i * step} ${height - 1}h${step * 0.7}v1h${-step * 0.7}z` : `M${i * step} ${height}v${-Math.max(2, (b / top) * height)}h${step * 0.7}V${height}z`)).join(''));
}
