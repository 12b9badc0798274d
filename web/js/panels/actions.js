// What can be done with the canvas as a whole: a link to a place on it, an
// image of it, another canvas instead of it.

import { scalesFor, toPNG } from '../display/export.js';
import { texts } from '../texts.js';
import { attach, announce, byId, element } from './dom.js';

/** Copies and shares the link to what is seen. */
export class ShareLink {
  #field = byId('share-link');
  #link;
  #messages;

  /** @param {() => string} link @param {import('./messages.js').Messages} messages */
  constructor(link, messages) {
    this.#link = link;
    this.#messages = messages;
    attach(byId('share-panel'), byId('share'), () => {
      this.#field.value = link();
      this.#field.select();
    });
    byId('share-copy').addEventListener('click', () => this.copy());
    byId('share-native').hidden = !navigator.share;
    byId('share-native').addEventListener('click', () => navigator.share({ title: document.title, url: link() }).catch(() => {}));
  }

  async copy() {
    this.#field.value = this.#link();
    try {
      await navigator.clipboard.writeText(this.#field.value);
    } catch {
      // No clipboard here: the link stands selected, to be copied by hand.
      byId('share-panel').showPopover();
      this.#field.select();
      return;
    }
    byId('share-panel').hidePopover();
    this.#messages.show(texts.shareCopied, { key: 'copied' });
    announce(texts.shareCopied);
  }
}

/** Saves the picture as a PNG file. */
export class SaveImage {
  #list = byId('save-scales');
  #display;
  #name;
  #messages;
  #scale = 8;

  /**
   * @param {import('../display/display.js').Display} display
   * @param {() => string} name of the file, without the ending
   * @param {import('./messages.js').Messages} messages
   */
  constructor(display, name, messages) {
    this.#display = display;
    this.#name = name;
    this.#messages = messages;
    attach(byId('save-panel'), byId('save'), () => this.#fill());
    byId('save-go').addEventListener('click', () => this.#save());
  }

  #fill() {
    const source = this.#display.source;
    if (!source) return;
    const scales = scalesFor(source);
    if (!scales.includes(this.#scale)) this.#scale = scales[scales.length - 1];
    const size = () => (byId('save-size').textContent = texts.saveSize(source.width * this.#scale, source.height * this.#scale));
    this.#list.replaceChildren(
      ...scales.map((scale) => {
        const input = element('input', { type: 'radio', name: 'save-scale', value: String(scale), checked: scale === this.#scale });
        input.addEventListener('change', () => ((this.#scale = scale), size()));
        return element('label', { class: 'choice' }, input, element('span', {}, `${scale}×`));
      }),
    );
    size();
  }

  async #save() {
    const source = this.#display.source;
    if (!source) return;
    try {
      const url = URL.createObjectURL(await toPNG(source, this.#scale));
      element('a', { href: url, download: `${this.#name()}.png` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
      byId('save-panel').hidePopover();
    } catch {
      this.#messages.show(texts.saveFailed, { key: 'save', bad: true });
    }
  }
}

/** The main canvas first. @param {{id: string}} a @param {{id: string}} b */
const byName = (a, b) => Number(b.id === 'main') - Number(a.id === 'main') || a.id.localeCompare(b.id);

/** The list of canvases, each a link. */
export class CanvasList {
  #list = byId('canvas-list');

  /** @param {string} current @param {() => Promise<import('../transport/api.js').CanvasInfo[]>} load */
  constructor(current, load) {
    const button = byId('canvas-button');
    attach(byId('canvas-panel'), button, async () => {
      if (!this.#list.hasChildNodes()) this.#say(texts.canvasesLoading);
      try {
        this.#list.replaceChildren(...(await load()).sort(byName).map((c) => this.#item(c, c.id === current)));
      } catch {
        this.#say(texts.canvasesFailed);
      }
    });
    // On a phone the other actions stand here as well.
    for (const opener of byId('canvas-panel').querySelectorAll('[data-opens]')) {
      opener.addEventListener('click', () => {
        byId('canvas-panel').hidePopover();
        byId(opener.dataset.opens).showPopover();
      });
    }
  }

  /** @param {string} text */
  #say(text) {
    this.#list.replaceChildren(element('li', { class: 'quiet', textContent: text }));
  }

  /** @param {import('../transport/api.js').CanvasInfo} canvas @param {boolean} isCurrent */
  #item({ id, width, height }, isCurrent) {
    const url = new URL(location.href);
    url.hash = '';
    url.search = '';
    if (id !== 'main') url.searchParams.set('canvas', id);
    const link = element('a', { href: url.href }, element('bdi', { textContent: id }), element('span', { class: 'quiet', textContent: texts.size(width, height) }));
    if (isCurrent) link.setAttribute('aria-current', 'page');
    return element('li', {}, link);
  }
}
