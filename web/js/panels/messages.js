// What the page says by itself: short messages, and the one that stands in the
// place of the canvas when there is none.

import { texts } from '../texts.js';
import { byId, element, icon } from './dom.js';

const STAY = 7000;

export class Messages {
  #area = byId('messages');

  /**
   * @param {string} text
   * @param {object} [o]
   * @param {string} [o.key] a later message of the same key takes the place of this one
   * @param {boolean} [o.sticky] stays until it is closed
   * @param {boolean} [o.bad] something was lost
   * @param {{label: string, run: () => void}} [o.action]
   */
  show(text, { key = text, sticky = false, bad = false, action } = {}) {
    for (const old of [...this.#area.children]) if (old.dataset.key === key) old.remove();
    const message = element('div', { class: bad ? 'message bad' : 'message' }, element('p', { textContent: text }));
    message.dataset.key = key;
    if (action) {
      const button = element('button', { type: 'button', class: 'text-button', textContent: action.label });
      button.addEventListener('click', () => (message.remove(), action.run()));
      message.append(button);
    }
    const close = element('button', { type: 'button', class: 'icon-button', label: texts.close }, icon('close'));
    close.addEventListener('click', () => message.remove());
    message.append(close);
    this.#area.append(message);
    if (!sticky) setTimeout(() => message.remove(), STAY);
  }
}

/**
 * In place of the canvas: there is none.
 * @param {string} title
 * @param {string} text
 * @param {{label: string, href: string}} link
 */
export function showNotice(title, text, link) {
  byId('notice-title').textContent = title;
  byId('notice-text').textContent = text;
  byId('notice-link').textContent = link.label;
  byId('notice-link').href = link.href;
  byId('notice').hidden = false;
}
