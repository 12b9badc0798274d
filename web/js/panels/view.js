// Buttons for the view, the room that panels leave to the canvas, and the
// place in the page's address: #x,y,zoom with the point in the middle in cells
// and CSS pixels per cell.

import { texts } from '../texts.js';
import { byId } from './dom.js';

/** How long the view must rest before the address follows. */
const SETTLE = 300;

/**
 * @param {string} hash
 * @returns {{x: number, y: number, zoom: number}|null} null: it names no place
 */
export function parsePlace(hash) {
  const match = /^#(-?\d{1,5}(?:\.\d{1,3})?),(-?\d{1,5}(?:\.\d{1,3})?),(\d{1,3}(?:\.\d{1,4})?)$/.exec(hash);
  if (!match) return null;
  const [x, y, zoom] = match.slice(1).map(Number);
  return zoom > 0 ? { x, y, zoom } : null;
}

/** @param {import('../display/viewport.js').Viewport} viewport */
export function placeOf(viewport) {
  const [x, y] = viewport.middle;
  const short = (/** @type {number} */ v, /** @type {number} */ digits) => String(Number(v.toFixed(digits)));
  return `#${short(x, 1)},${short(y, 1)},${short(viewport.scale / viewport.ratio, 4)}`;
}

export class ViewBar {
  #display;
  #covered = '';
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;

  /** @param {import('../display/display.js').Display} display */
  constructor(display) {
    this.#display = display;
    byId('zoom-in').addEventListener('click', () => this.zoom(1));
    byId('zoom-out').addEventListener('click', () => this.zoom(-1));
    for (const button of document.querySelectorAll('.fit')) button.addEventListener('click', () => this.fit());
    display.addEventListener('view', () => this.#changed());
    display.addEventListener('resize', () => {
      this.#covered = '';
      this.cover();
    });
    window.addEventListener('hashchange', () => this.goTo(location.hash));
    // Panels are filled after this, and change with the window.
    const observer = new ResizeObserver(() => this.cover());
    for (const dock of document.querySelectorAll('.dock')) observer.observe(dock);
  }

  /** @param {1|-1} direction */
  zoom(direction) {
    this.#display.viewport.zoom(direction);
    this.#display.viewChanged();
  }

  fit() {
    this.#display.viewport.fit();
    this.#display.viewChanged();
  }

  /** @param {string} hash @returns {boolean} whether it named a place */
  goTo(hash) {
    const place = parsePlace(hash);
    if (!place) return false;
    const { viewport } = this.#display;
    viewport.lookAt(place.x, place.y, place.zoom * viewport.ratio);
    this.#display.viewChanged();
    return true;
  }

  /** The page's address with the place that is seen now. */
  link() {
    const url = new URL(location.href);
    url.hash = placeOf(this.#display.viewport);
    return url.href;
  }

  /** Tells the display what the panels cover; CSS says on which side each one is. */
  cover() {
    const gap = 12;
    const covered = { top: gap, right: gap, bottom: gap, left: gap };
    for (const dock of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('.dock'))) {
      const side = getComputedStyle(dock).getPropertyValue('--side').trim();
      const box = dock.getBoundingClientRect();
      if (box.width === 0) continue;
      if (side === 'top') covered.top = Math.max(covered.top, box.bottom + gap);
      if (side === 'bottom') covered.bottom = Math.max(covered.bottom, innerHeight - box.top + gap);
      if (side === 'left') covered.left = Math.max(covered.left, box.right + gap);
      if (side === 'right') covered.right = Math.max(covered.right, innerWidth - box.left + gap);
    }
    const key = JSON.stringify(covered);
    if (key === this.#covered) return;
    this.#covered = key;
    this.#display.setInsets(covered);
  }

  #changed() {
    const { viewport } = this.#display;
    const zoom = viewport.scale / viewport.ratio;
    byId('zoom-value').textContent = texts.zoomOf(zoom >= 10 ? String(Math.round(zoom)) : String(Number(zoom.toFixed(zoom < 1 ? 2 : 1))));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const hash = viewport.fitted ? '' : placeOf(viewport);
      if (hash !== location.hash) history.replaceState(history.state, '', hash || location.pathname + location.search);
    }, SETTLE);
  }
}
