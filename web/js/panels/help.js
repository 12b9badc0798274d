// The help: how to draw, and every key.

import { texts } from '../texts.js';
import { byId, element } from './dom.js';

const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

/** A key as it is printed on keyboards. @param {string} key @returns {string} */
export function keyName(key) {
  if (key.startsWith('mod+')) return `${isMac ? texts.keyNames.modMac : texts.keyNames.mod} ${keyName(key.slice(4))}`;
  if (key.startsWith('shift+')) return `${texts.keyNames.shift} ${keyName(key.slice(6))}`;
  return texts.keyNames[key] ?? (key.length === 1 ? key.toUpperCase() : key);
}

/** @typedef {{group: string, id: string, keys: string[], name?: string}} Row */

/** Keys that belong to the canvas or to a drag, not to the list of shortcuts. @type {Row[]} */
const OTHERS = [
  { group: 'edit', id: 'constrain', keys: ['shift'] },
  { group: 'edit', id: 'pickHold', keys: ['alt'] },
  { group: 'edit', id: 'cancel', keys: ['Escape'] },
  { group: 'view', id: 'panHold', keys: [' '] },
  { group: 'view', id: 'pan', keys: ['w', 'a', 's', 'd'] },
  { group: 'canvas', id: 'move', keys: ['arrows'] },
  { group: 'canvas', id: 'draw', keys: [' ', 'Enter'] },
  { group: 'canvas', id: 'trace', keys: ['shift+arrows'] },
  { group: 'canvas', id: 'ends', keys: ['Home', 'End', 'PageUp', 'PageDown'] },
];

export class Help {
  #dialog = byId('help-dialog');

  /**
   * @param {Row[]} shortcuts
   * @param {{letters: boolean}} settings
   */
  constructor(shortcuts, settings) {
    for (const [group, title] of Object.entries(texts.keyGroups)) {
      const rows = [...shortcuts, ...OTHERS].filter((s) => s.group === group);
      const table = element('dl', { class: 'keys' });
      for (const { id, keys, name } of rows) {
        // A row of digits is told by its ends.
        const ends = keys.length > 4 ? [/** @type {string} */ (keys[0]), '–', /** @type {string} */ (keys.at(-1))] : keys;
        const shown = ends.map((k) => (k === '–' ? k : element('kbd', { textContent: keyName(k) })));
        table.append(element('div', {}, element('dt', {}, ...shown), element('dd', { textContent: name ?? texts.shortcuts[id] })));
      }
      byId('help-keys').append(element('section', {}, element('h3', { textContent: title }), table));
    }
    const letters = byId('letters');
    letters.checked = settings.letters;
    letters.addEventListener('change', () => (settings.letters = letters.checked));
    for (const button of document.querySelectorAll('.open-help')) button.addEventListener('click', () => this.toggle());
    byId('help-close').addEventListener('click', () => this.#dialog.close());
    // A click beside the dialog is one on its backdrop.
    this.#dialog.addEventListener('click', (/** @type {MouseEvent} */ e) => e.target === this.#dialog && this.#dialog.close());
  }

  toggle() {
    if (this.#dialog.open) this.#dialog.close();
    else this.#dialog.showModal();
  }
}
