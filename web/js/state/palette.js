// The colours to draw with: presets, those used lately, and the user's own,
// which are kept for the next visit.

import { formatColor, parseColor } from '../transport/protocol.js';

/** Names are keys of texts.colors. */
export const PRESETS = Object.freeze([
  { name: 'black', color: 0x1a1a1a },
  { name: 'slate', color: 0x64748b },
  { name: 'silver', color: 0xcbd5e1 },
  { name: 'white', color: 0xffffff },
  { name: 'brown', color: 0x7c4a1e },
  { name: 'sand', color: 0xe0b585 },
  { name: 'red', color: 0xdc2626 },
  { name: 'orange', color: 0xf97316 },
  { name: 'yellow', color: 0xfacc15 },
  { name: 'lime', color: 0x84cc16 },
  { name: 'green', color: 0x15803d },
  { name: 'teal', color: 0x14b8a6 },
  { name: 'sky', color: 0x38bdf8 },
  { name: 'blue', color: 0x2563eb },
  { name: 'navy', color: 0x1e3a8a },
  { name: 'violet', color: 0x7c3aed },
  { name: 'magenta', color: 0xd946ef },
  { name: 'pink', color: 0xf9a8d4 },
]);

export const MAX_RECENT = 6;
export const MAX_OWN = 24;
const KEY = 'pixel-colors';

export class Palette extends EventTarget {
  #value = 0x2563eb;
  #previous = 0x1a1a1a;
  /** @type {number[]} latest first; no presets, none of the user's own */
  #recent = [];
  /** @type {number[]} */
  #own = [];
  #local;

  /** @param {Storage|null} local */
  constructor(local) {
    super();
    this.#local = local;
    this.#load();
  }

  get value() {
    return this.#value;
  }

  get recent() {
    return [...this.#recent];
  }

  get own() {
    return [...this.#own];
  }

  /** Draws with another colour from now on. */
  choose(/** @type {number} */ color) {
    if (color === this.#value) return;
    this.#previous = this.#value;
    this.#value = color;
    this.#changed();
  }

  /** Back to the colour before, as with two pens in one hand. */
  swap() {
    this.choose(this.#previous);
  }

  /** Something was drawn with it. */
  used(/** @type {number} */ color) {
    if (PRESETS.some((p) => p.color === color) || this.#own.includes(color) || this.#recent[0] === color) return;
    this.#recent = [color, ...this.#recent.filter((c) => c !== color)].slice(0, MAX_RECENT);
    this.#changed();
  }

  /** @returns {boolean} false: it is there already, or there are too many */
  add(/** @type {number} */ color) {
    if (this.#own.includes(color) || this.#own.length >= MAX_OWN) return false;
    this.#own.push(color);
    this.#recent = this.#recent.filter((c) => c !== color);
    this.#changed();
    return true;
  }

  /** Puts another colour in the place of one of the user's own. */
  replace(/** @type {number} */ old, /** @type {number} */ color) {
    const i = this.#own.indexOf(old);
    if (i < 0 || this.#own.includes(color)) return;
    this.#own[i] = color;
    this.#changed();
  }

  remove(/** @type {number} */ color) {
    this.#own = this.#own.filter((c) => c !== color);
    this.#changed();
  }

  #changed() {
    try {
      const [value, recent, own] = [formatColor(this.#value), this.#recent.map(formatColor), this.#own.map(formatColor)];
      this.#local?.setItem(KEY, JSON.stringify({ value, recent, own }));
    } catch {
      // It holds for this visit.
    }
    this.dispatchEvent(new Event('change'));
  }

  #load() {
    try {
      const kept = JSON.parse(this.#local?.getItem(KEY) ?? '{}');
      const colors = (/** @type {unknown} */ list, /** @type {number} */ most) =>
        Array.isArray(list) ? [...new Set(list.map((c) => parseColor(String(c))))].filter((c) => c !== null).slice(0, most) : [];
      this.#value = parseColor(String(kept?.value)) ?? this.#value;
      this.#recent = colors(kept?.recent, MAX_RECENT);
      this.#own = colors(kept?.own, MAX_OWN);
    } catch {
      // Whoever wrote it: it is no palette of ours.
    }
  }
}
