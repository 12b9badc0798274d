// What stands around the canvas. Names and messages are text, never markup.

import { MAX_NAME, formatColor, parseColor } from './transport/protocol.js';

export const PALETTE = [
  ['Black', 0x1a1a1a],
  ['Slate', 0x64748b],
  ['Silver', 0xcbd5e1],
  ['White', 0xffffff],
  ['Brown', 0x7c4a1e],
  ['Sand', 0xe0b585],
  ['Red', 0xdc2626],
  ['Orange', 0xf97316],
  ['Yellow', 0xfacc15],
  ['Lime', 0x84cc16],
  ['Green', 0x15803d],
  ['Teal', 0x14b8a6],
  ['Sky', 0x38bdf8],
  ['Blue', 0x2563eb],
  ['Navy', 0x1e3a8a],
  ['Violet', 0x7c3aed],
  ['Magenta', 0xd946ef],
  ['Pink', 0xf9a8d4],
];

/** How many names are listed before the rest is only counted. */
const MAX_LISTED = 100;

const STATES = {
  connecting: ['Connecting…', 'Looking for the canvas.'],
  live: ['Live', 'Everybody sees what you draw.'],
  degraded: ['Paused', 'The storage is away. What you draw is kept and sent when it is back.'],
  draining: ['Moving', 'This server goes away; you move to another one in a moment.'],
  offline: ['Offline', 'Connection lost. Draw on: your strokes are sent when it is back.'],
  ended: ['Disconnected', 'This page is no longer connected.'],
};

const byId = (id) => document.getElementById(id);

/** The colour that is drawn with. */
export class Colors {
  #value = PALETTE.find(([name]) => name === 'Blue')[1];
  #custom = byId('custom-color');

  constructor() {
    const palette = byId('palette');
    for (const [name, color] of PALETTE) {
      const input = document.createElement('input');
      input.type = 'radio';
      input.name = 'color';
      input.value = formatColor(color);
      input.checked = color === this.#value;
      input.setAttribute('aria-label', name);
      const swatch = document.createElement('span');
      swatch.className = 'swatch';
      swatch.style.setProperty('--color', formatColor(color));
      const label = document.createElement('label');
      label.title = name;
      label.append(input, swatch);
      palette.append(label);
      input.addEventListener('change', () => this.#choose(color));
    }
    this.#custom.addEventListener('input', () => {
      const color = parseColor(this.#custom.value);
      if (color === null) return;
      this.#choose(color);
      for (const input of palette.querySelectorAll('input')) input.checked = input.value === formatColor(color);
    });
    this.#choose(this.#value);
  }

  get value() {
    return this.#value;
  }

  #choose(color) {
    this.#value = color;
    this.#custom.value = formatColor(color).toLowerCase();
    byId('color-name').textContent = PALETTE.find(([, c]) => c === color)?.[0] ?? formatColor(color);
    document.documentElement.style.setProperty('--chosen', formatColor(color));
  }
}

/** The user's name, remembered for the next visit. */
export class NameField {
  #input = byId('name');
  #local;
  #onChange;
  value = '';

  constructor(local, onChange) {
    this.#local = local;
    this.#onChange = onChange;
    this.value = clean(local?.getItem('pixel-name') ?? '');
    this.#input.value = this.value;
    byId('name-form').addEventListener('submit', (e) => {
      e.preventDefault();
      this.#input.blur();
    });
    this.#input.addEventListener('change', () => this.#changed());
  }

  #changed() {
    const name = clean(this.#input.value);
    this.#input.value = name;
    if (name === this.value) return;
    this.value = name;
    try {
      this.#local?.setItem('pixel-name', name);
    } catch {
      // It holds for this visit.
    }
    this.#onChange(name);
  }
}

function clean(name) {
  return [...name.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, '').trim()].slice(0, MAX_NAME).join('').trim();
}

/** State of the connection. */
export class Status {
  #badge = byId('state');
  #text = byId('state-text');
  #detail = byId('state-detail');
  #waiting = byId('waiting');
  #timer = null;
  #waitingTimer = null;
  #shown = null;

  /** Short interruptions are not worth a word: offline shows after a moment. */
  show(state) {
    clearTimeout(this.#timer);
    const interrupted = this.#shown === 'live' && (state === 'offline' || state === 'connecting');
    if (interrupted) this.#timer = setTimeout(() => this.#set('offline'), 700);
    else if (this.#shown === 'offline' && state === 'connecting') this.#set('offline');
    else this.#set(state);
  }

  #set(state) {
    this.#shown = state;
    const [text, detail] = STATES[state] ?? [state, ''];
    this.#badge.dataset.state = state;
    this.#text.textContent = text;
    this.#detail.textContent = detail;
  }

  /** Operations that are not acknowledged; told when it takes a while. */
  waiting(n) {
    this.#waiting.textContent = n === 1 ? '1 stroke waits to be sent' : `${n} strokes wait to be sent`;
    if (n === 0) {
      clearTimeout(this.#waitingTimer);
      this.#waitingTimer = null;
      this.#waiting.hidden = true;
    } else {
      this.#waitingTimer ??= setTimeout(() => (this.#waiting.hidden = false), 1000);
    }
  }
}

/** Who is here. */
export class People {
  #list = byId('people');
  #count = byId('people-count');
  #rest = byId('people-rest');

  #users = [];

  /** @param {{active: number, users: {name: string}[], isList: boolean}} presence without a list: only how many */
  show({ active, users, isList }) {
    if (isList) this.#users = users;
    users = this.#users;
    this.#count.textContent = active === 1 ? 'Just you' : `${active} here`;
    this.#list.replaceChildren(
      ...users.slice(0, MAX_LISTED).map(({ name }) => {
        const item = document.createElement('li');
        const text = document.createElement('bdi');
        text.textContent = name;
        item.append(text);
        return item;
      }),
    );
    const rest = Math.max(0, active - Math.min(users.length, MAX_LISTED));
    this.#rest.hidden = rest === 0;
    this.#rest.textContent = users.length === 0 ? `${rest} without a name` : `and ${rest} without a name`;
  }
}

/** Short messages; one of a key takes the place of the one before it. */
export class Messages {
  #area = byId('messages');

  /**
   * @param {string} text
   * @param {object} [o]
   * @param {string} [o.key]
   * @param {boolean} [o.sticky] stays until it is closed
   * @param {{label: string, run: () => void}} [o.action]
   */
  show(text, { key = text, sticky = false, action } = {}) {
    for (const old of this.#area.children) if (old.dataset.key === key) old.remove();
    const message = document.createElement('div');
    message.className = 'message';
    message.dataset.key = key;
    const words = document.createElement('p');
    words.textContent = text;
    message.append(words);
    if (action) message.append(this.#button(action.label, 'action', () => (message.remove(), action.run())));
    message.append(this.#button('Close', 'close', () => message.remove()));
    this.#area.append(message);
    if (!sticky) setTimeout(() => message.remove(), 7000);
  }

  #button(label, className, run) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = className;
    button.textContent = label;
    button.addEventListener('click', run);
    return button;
  }
}

/** In place of the canvas: there is none. */
export function showNotice(title, text, link) {
  byId('notice-title').textContent = title;
  byId('notice-text').textContent = text;
  const a = byId('notice-link');
  a.hidden = !link;
  if (link) {
    a.textContent = link.label;
    a.href = link.href;
  }
  byId('notice').hidden = false;
}

/** The clock: how old the oldest of some entries is, in words. */
export function ageInWords(ms) {
  const hours = Math.round(ms / 3600000);
  return hours < 48 ? `${hours} hours` : `${Math.round(hours / 24)} days`;
}
