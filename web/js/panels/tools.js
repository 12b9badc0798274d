// The bar of tools: what is in the hand, how thick it is, undo and redo.

import { BRUSHES, TOOLS } from '../input/tools.js';
import { texts } from '../texts.js';
import { attach, byId, element, icon } from './dom.js';

export class ToolBar {
  #drawing;
  /** @type {Map<string, HTMLInputElement>} */
  #tools = new Map();
  /** @type {Map<number, HTMLInputElement>} */
  #brushes = new Map();
  #size = element('span', { class: 'brush-number' });
  #brushButton = byId('brush');

  /**
   * @param {import('../input/drawing.js').Drawing} drawing
   * @param {{undo: () => void, redo: () => void}} on
   */
  constructor(drawing, { undo, redo }) {
    this.#drawing = drawing;
    for (const [name, { key }] of Object.entries(TOOLS)) {
      const input = element('input', { type: 'radio', name: 'tool', value: name, label: texts.tools[name] });
      input.addEventListener('change', () => drawing.choose(name));
      this.#tools.set(name, input);
      byId('tool-list').append(element('label', { class: 'tool', title: texts.withKey(texts.tools[name], key.toUpperCase()) }, input, icon(name)));
    }
    for (const brush of BRUSHES) {
      const input = element('input', { type: 'radio', name: 'brush', value: String(brush), label: texts.brushOf(brush) });
      input.addEventListener('change', () => drawing.setBrush(brush));
      this.#brushes.set(brush, input);
      const dot = element('span', { class: 'brush-dot' });
      dot.style.setProperty('--size', String(brush));
      byId('brush-list').append(element('label', { class: 'brush' }, input, dot, element('span', {}, String(brush))));
    }
    this.#brushButton.append(this.#size);
    attach(byId('brush-panel'), this.#brushButton);
    byId('undo').addEventListener('click', undo);
    byId('redo').addEventListener('click', redo);
    drawing.addEventListener('tool', () => this.#show());
    this.#show();
    this.history({ canUndo: false, canRedo: false });
  }

  /** @param {{canUndo: boolean, canRedo: boolean}} can */
  history({ canUndo, canRedo }) {
    // Not `disabled`: that would take the focus away from who undoes by keyboard.
    byId('undo').setAttribute('aria-disabled', String(!canUndo));
    byId('redo').setAttribute('aria-disabled', String(!canRedo));
  }

  #show() {
    const { tool, brush } = this.#drawing;
    for (const [name, input] of this.#tools) input.checked = name === tool;
    for (const [size, input] of this.#brushes) input.checked = size === brush;
    this.#size.textContent = String(brush);
    this.#brushButton.style.setProperty('--size', String(brush));
    this.#brushButton.setAttribute('aria-label', texts.brushButton(brush));
    this.#brushButton.title = texts.brushButton(brush);
    byId('canvas').dataset.tool = tool;
  }
}
