// The user's name: asked for on the first visit, kept, and to be changed in the
// list of people.

import { texts } from '../texts.js';
import { MAX_NAME } from '../transport/protocol.js';
import { byId } from './dom.js';

const KEY = 'pixel-name';

/** A name as the gateways take it. @param {string} name */
export function cleanName(name) {
  return [...name.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, '').trim()].slice(0, MAX_NAME).join('').trim();
}

export class Name {
  #input = byId('name');
  #first = byId('welcome-name');
  #welcome = byId('welcome');
  #local;
  #onChange;
  value = '';

  /** @param {Storage|null} local @param {(name: string) => void} onChange */
  constructor(local, onChange) {
    this.#local = local;
    this.#onChange = onChange;
    const kept = local?.getItem(KEY) ?? null;
    this.value = cleanName(kept ?? '');
    this.#input.value = this.value;
    this.#welcome.hidden = kept !== null;
    this.#input.placeholder = this.#first.placeholder = texts.nameNobody;
    byId('name-form').addEventListener('submit', (/** @type {Event} */ e) => {
      e.preventDefault();
      this.#input.blur();
    });
    this.#input.addEventListener('change', () => this.#set(this.#input.value));
    byId('welcome-form').addEventListener('submit', (/** @type {Event} */ e) => {
      e.preventDefault();
      this.#set(this.#first.value);
      this.#hide();
      byId('canvas').focus({ focusVisible: false });
    });
    byId('welcome-close').addEventListener('click', () => {
      this.#keep('');
      this.#hide();
    });
  }

  /** Something was drawn: who draws has no time for questions. */
  drew() {
    if (this.#welcome.hidden || this.#welcome.contains(document.activeElement)) return;
    this.#hide();
  }

  #hide() {
    this.#welcome.hidden = true;
  }

  /** @param {string} text */
  #set(text) {
    const name = cleanName(text);
    this.#input.value = name;
    this.#keep(name);
    if (name === this.value) return;
    this.value = name;
    this.#onChange(name);
  }

  /** @param {string} name */
  #keep(name) {
    try {
      this.#local?.setItem(KEY, name);
    } catch {
      // It holds for this visit.
    }
  }
}
