// Small helpers to build elements. Text is always set as text, never parsed.

import { texts } from '../texts.js';

/**
 * @param {string} id
 * @returns {any} the element, which index.html has
 */
export const byId = (id) => document.getElementById(id);

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Partial<HTMLElementTagNameMap[K]> & {class?: string, label?: string}} [properties] `class`
 *   and `label` (the accessible name) besides what the element itself has
 * @param {...(Node|string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, { class: className, label, ...properties } = {}, ...children) {
  const e = document.createElement(tag);
  Object.assign(e, properties);
  if (className) e.className = className;
  if (label) e.setAttribute('aria-label', label);
  e.append(...children);
  return e;
}

const SVG = 'http://www.w3.org/2000/svg';

/** A symbol of index.html. @param {string} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  const use = document.createElementNS(SVG, 'use');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/** The text of a dotted path into texts. @param {string} path */
function textAt(path) {
  /** @type {any} */
  let at = texts;
  for (const part of path.split('.')) at = at?.[part];
  if (typeof at !== 'string') throw new Error(`no text ${path}`);
  return at;
}

/** Fills in what index.html leaves to texts.js: data-text, data-label and data-title. */
export function applyTexts() {
  document.documentElement.lang = texts.lang;
  for (const e of document.querySelectorAll('[data-text]')) e.textContent = textAt(e.getAttribute('data-text') ?? '');
  for (const e of document.querySelectorAll('[data-label]')) {
    const text = textAt(e.getAttribute('data-label') ?? '');
    e.setAttribute('aria-label', text);
    if (e.matches('button')) e.setAttribute('title', text);
  }
}

/**
 * A popover that stands beside its button, within the page; on narrow screens
 * CSS makes it a sheet at the lower edge.
 * @param {HTMLElement} popover
 * @param {HTMLElement} button
 * @param {() => void} [onOpen]
 */
export function attach(popover, button, onOpen) {
  button.setAttribute('popovertarget', popover.id);
  button.setAttribute('aria-expanded', 'false');
  button.setAttribute('aria-haspopup', 'dialog');
  const place = () => {
    const gap = 10;
    const from = button.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = popover;
    const clamp = (/** @type {number} */ v, /** @type {number} */ most) => Math.max(gap, Math.min(most - gap, v));
    const beside = button.closest('.tools') && innerWidth > 760;
    const below = from.top < innerHeight / 2;
    const x = beside ? from.right + gap + 8 : from.left + from.width / 2 - width / 2;
    const y = beside ? from.top + from.height / 2 - height / 2 : below ? from.bottom + gap : from.top - gap - height;
    popover.style.setProperty('--x', `${clamp(x, innerWidth - width)}px`);
    popover.style.setProperty('--y', `${clamp(y, innerHeight - height)}px`);
  };
  popover.addEventListener('toggle', (e) => {
    const open = /** @type {ToggleEvent} */ (e).newState === 'open';
    button.setAttribute('aria-expanded', String(open));
    if (!open) return;
    onOpen?.();
    place();
  });
  window.addEventListener('resize', () => popover.matches(':popover-open') && place());
}

/** Reads to who listens instead of looking; the same words again are read again. @param {string} text */
export function announce(text) {
  const region = byId('announcements');
  region.textContent = region.textContent === text ? `${text}\u00a0` : text;
}
