// Who is here: names in the colours by which they are known, how many without
// a name, and who is drawing just now.

import { personColor } from '../display/colors.js';
import { texts } from '../texts.js';
import { attach, byId, element } from './dom.js';

/** How many names are listed before the rest is only counted. */
const MAX_LISTED = 100;
const MAX_FACES = 4;
/** How long somebody counts as drawing after their last stroke. */
const ACTIVE = 2500;

/** @typedef {{author: number, name: string}} User */

export class People {
  #list = byId('people');
  #faces = byId('faces');
  /** @type {User[]} */
  #users = [];
  #own = -1;
  /** @type {Map<number, ReturnType<typeof setTimeout>>} */
  #drawing = new Map();

  constructor() {
    attach(byId('people-panel'), byId('people-button'));
  }

  /** The own tag. @param {number} author */
  own(author) {
    this.#own = author;
    document.documentElement.style.setProperty('--me', personColor(author));
  }

  /** @param {{active: number, users: User[], isList: boolean}} presence without a list: only how many */
  show({ active, users, isList }) {
    if (isList) this.#users = users;
    users = this.#users;
    byId('people-count').textContent = String(active);
    byId('people-here').textContent = texts.peopleHere(active);
    const listed = [...users].sort((a, b) => Number(b.author === this.#own) - Number(a.author === this.#own)).slice(0, MAX_LISTED);
    this.#list.replaceChildren(...listed.map((u) => this.#item(u)));
    this.#faces.replaceChildren(...listed.slice(0, MAX_FACES).map((u) => face(u)));
    const rest = Math.max(0, active - listed.length);
    byId('people-rest').hidden = rest === 0;
    byId('people-rest').textContent = texts.peopleUnnamed(rest, users.length === 0);
  }

  /** Somebody drew. @param {number} author */
  drew(author) {
    if (author === this.#own) return;
    clearTimeout(this.#drawing.get(author));
    if (!this.#drawing.has(author)) this.#mark(author, true);
    this.#drawing.set(
      author,
      setTimeout(() => {
        this.#drawing.delete(author);
        this.#mark(author, false);
      }, ACTIVE),
    );
  }

  /** @param {number} author @param {boolean} active */
  #mark(author, active) {
    for (const e of document.querySelectorAll(`[data-author="${author}"]`)) e.classList.toggle('active', active);
  }

  /** @param {User} user */
  #item(user) {
    const name = element('bdi', { textContent: user.name });
    const item = element('li', {}, face(user), name);
    if (user.author === this.#own) item.append(element('span', { class: 'you', textContent: texts.peopleYou }));
    item.append(element('span', { class: 'drawing', textContent: texts.peopleDrawing }));
    item.dataset.author = String(user.author);
    item.classList.toggle('active', this.#drawing.has(user.author));
    return item;
  }
}

/** The first letter in the person's colour. @param {User} user */
function face({ author, name }) {
  const [letter = '?'] = [...new Intl.Segmenter(texts.lang).segment(name)].map((s) => s.segment);
  const e = element('span', { class: 'face', textContent: letter.toUpperCase() });
  e.style.setProperty('--person', personColor(author));
  e.setAttribute('aria-hidden', 'true');
  e.dataset.author = String(author);
  return e;
}
