// Which pixel is pointed at, its colour, and who drew it when: asked for when
// pointer, finger or keyboard rests on it.

import { ago, texts } from '../texts.js';
import { formatColor } from '../transport/protocol.js';
import { byId } from './dom.js';

/** How long to rest on a pixel before it is asked for. */
const REST = 350;

export class PixelInfo {
  /** Whether the connection is: without, there is nobody who could answer. */
  live = false;
  #root = byId('info');
  #who = byId('info-who');
  #story;
  /** @type {number[]|null} */
  #cell = null;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;
  /** @type {AbortController|null} */
  #request = null;

  /** @param {(x: number, y: number, signal: AbortSignal) => Promise<import('../transport/api.js').Story>} story */
  constructor(story) {
    this.#story = story;
  }

  /**
   * @param {number[]|null} cell null: nothing is pointed at
   * @param {number} [color] what is visible there
   * @param {boolean} [now] do not wait until it rests
   */
  show(cell, color = 0, now = false) {
    const same = this.#cell && cell && this.#cell[0] === cell[0] && this.#cell[1] === cell[1];
    if (cell) {
      byId('info-place').textContent = texts.place(cell[0], cell[1]);
      byId('info-color').textContent = formatColor(color);
      this.#root.style.setProperty('--color', formatColor(color));
    }
    this.#root.hidden = cell === null;
    if (same && !now) return;
    this.#cell = cell;
    clearTimeout(this.#timer);
    this.#request?.abort();
    this.#who.textContent = '';
    if (cell) this.#timer = setTimeout(() => this.#ask(cell[0], cell[1]), now ? 0 : REST);
  }

  /** The pixel may have been painted: what was told of it no longer holds. @param {number[]} pixels @returns {boolean} whether it was */
  changed(pixels) {
    if (!this.#cell) return false;
    const [x, y] = this.#cell;
    for (let i = 0; i < pixels.length; i += 3) {
      if (pixels[i] !== x || pixels[i + 1] !== y) continue;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#ask(x, y), REST);
      return true;
    }
    return false;
  }

  /** @param {number} x @param {number} y */
  async #ask(x, y) {
    this.#request?.abort();
    const request = new AbortController();
    this.#request = request;
    if (!this.#who.textContent) this.#who.textContent = texts.whoAsking;
    let text;
    try {
      if (!this.live) throw new Error('nobody could answer');
      const { written } = await this.#story(x, y, request.signal);
      if (!written) text = texts.whoUnknown;
      else if (written.reset) text = texts.whoReset(ago(Date.now() - written.at));
      else text = texts.who(written.name, ago(Date.now() - written.at));
    } catch {
      text = texts.whoOffline;
    }
    if (!request.signal.aborted) this.#who.textContent = text;
  }
}
