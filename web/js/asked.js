// What opens when somebody asks for it, and is loaded then.

import { CanvasList, SaveImage, ShareLink } from './panels/actions.js';
import { Help } from './panels/help.js';
import { listCanvases } from './transport/api.js';

/**
 * @typedef {object} Asked
 * @property {ShareLink} share
 * @property {Help} help
 */

/**
 * @param {object} o
 * @param {string} o.canvasId
 * @param {string|undefined} o.apiUrl
 * @param {import('./display/display.js').Display} o.display
 * @param {import('./panels/view.js').ViewBar} o.view
 * @param {import('./panels/messages.js').Messages} o.messages
 * @param {import('./state/settings.js').Settings} o.settings
 * @param {ReturnType<typeof import('./commands.js').commands>} o.shortcuts
 * @param {() => number} o.seq of the picture
 * @returns {Asked}
 */
export function build({ canvasId, apiUrl, display, view, messages, settings, shortcuts, seq }) {
  new SaveImage(display, () => `${canvasId}-${seq()}`, messages);
  new CanvasList(canvasId, () => listCanvases(apiUrl));
  const share = new ShareLink(() => view.link(), messages);
  const help = new Help(shortcuts, settings);
  for (const button of document.querySelectorAll('[data-later]')) button.removeAttribute('data-later');
  return { share, help };
}
