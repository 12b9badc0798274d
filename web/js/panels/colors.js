// The palette: presets, the user's own colours, those used lately; and any
// other colour behind the button that shows the current one.

import { isLight } from '../display/marks.js';
import { MAX_OWN, PRESETS } from '../state/palette.js';
import { texts } from '../texts.js';
import { formatColor, parseColor } from '../transport/protocol.js';
import { attach, byId, element } from './dom.js';

/** What a colour is called. @param {number} color */
export function colorName(color) {
  const preset = PRESETS.find((p) => p.color === color);
  return preset ? texts.colors[preset.name] : formatColor(color);
}

export class ColorBar {
  #palette;
  #list = byId('palette');
  #current = byId('color');
  #picker = byId('custom-color');
  #hex = byId('custom-hex');
  #add = byId('custom-add');
  #remove = byId('custom-remove');
  #change = byId('custom-change');
  #shown = '';

  /** @param {import('../state/palette.js').Palette} palette */
  constructor(palette) {
    this.#palette = palette;
    attach(byId('color-panel'), this.#current, () => this.#hex.classList.remove('wrong'));
    this.#picker.addEventListener('input', () => this.#choose(this.#picker.value));
    this.#hex.addEventListener('input', () => {
      const value = this.#hex.value.trim().replace(/^#?/, '#');
      this.#hex.classList.toggle('wrong', parseColor(value) === null);
      this.#choose(value);
    });
    this.#add.addEventListener('click', () => palette.add(palette.value));
    this.#remove.addEventListener('click', () => palette.remove(palette.value));
    this.#change.addEventListener('change', () => {
      const color = parseColor(this.#change.value);
      const old = palette.value;
      if (color === null) return;
      palette.replace(old, color);
      palette.choose(color);
    });
    palette.addEventListener('change', () => this.#show());
    this.#show();
  }

  /** @param {string} value */
  #choose(value) {
    const color = parseColor(value);
    if (color !== null) this.#palette.choose(color);
  }

  #show() {
    const { value, own, recent } = this.#palette;
    const swatches = [
      ...PRESETS.map((p) => ({ color: p.color, label: texts.colors[p.name], group: 'preset' })),
      ...own.map((color) => ({ color, label: texts.ownColor(formatColor(color)), group: 'own' })),
      ...recent.map((color) => ({ color, label: texts.recentColor(formatColor(color)), group: 'recent' })),
    ];
    // Built anew only when the colours differ: who moves through them by
    // keyboard would lose the focus.
    const key = swatches.map((s) => s.label).join();
    if (key !== this.#shown) {
      this.#shown = key;
      this.#list.replaceChildren(...swatches.map((s) => this.#swatch(s)));
    }
    for (const input of this.#list.querySelectorAll('input')) input.checked = input.value === formatColor(value);
    const hex = formatColor(value);
    const name = colorName(value);
    document.documentElement.style.setProperty('--chosen', hex);
    this.#current.classList.toggle('light', isLight(value));
    this.#current.setAttribute('aria-label', texts.currentColor(name));
    this.#current.title = name;
    byId('color-name').textContent = name;
    if (document.activeElement !== this.#hex) this.#hex.value = hex;
    this.#picker.value = hex.toLowerCase();
    this.#change.value = hex.toLowerCase();
    const isOwn = own.includes(value);
    this.#add.hidden = isOwn;
    this.#remove.hidden = !isOwn;
    this.#change.closest('label').hidden = !isOwn;
    this.#add.disabled = own.length >= MAX_OWN;
    byId('custom-hint').textContent = own.length >= MAX_OWN ? texts.customFull : texts.customHint;
  }

  /** @param {{color: number, label: string, group: string}} swatch */
  #swatch({ color, label, group }) {
    const input = element('input', { type: 'radio', name: 'color', value: formatColor(color), label });
    input.addEventListener('change', () => this.#palette.choose(color));
    const chip = element('span', { class: isLight(color) ? 'chip light' : 'chip' });
    chip.style.setProperty('--color', formatColor(color));
    return element('label', { class: `swatch ${group}`, title: label }, input, chip);
  }
}
