// What the page needs neither to show the picture nor to draw on it: loaded when
// the picture is there, or when somebody asks for a part of it.

import { installWorker } from './browser/offline.js';
import { deliver } from './courier.js';
import { Minimap } from './display/minimap.js';
import { CanvasList, SaveImage, ShareLink } from './panels/actions.js';
import { byId } from './panels/dom.js';
import { Help } from './panels/help.js';
import { inflate } from './state/replica.js';
import { texts } from './texts.js';
import { listCanvases } from './transport/api.js';

/** How often to look for strokes that a closed tab left behind. */
const ORPHANS = 30_000;

/**
 * @typedef {object} Rest
 * @property {ShareLink} share
 * @property {Help} help
 * @property {(sessions: import('./state/session.js').Sessions) => void} adoptOrphans
 *   sends what closed tabs left behind, now and from time to time; the first call counts
 */

/**
 * @param {object} o
 * @param {string} o.canvasId
 * @param {string|undefined} o.apiUrl
 * @param {(position: import('./playground.js').Position|null) => string} o.url of the gateway
 * @param {import('./display/display.js').Display} o.display
 * @param {import('./panels/view.js').ViewBar} o.view
 * @param {import('./panels/messages.js').Messages} o.messages
 * @param {import('./state/settings.js').Settings} o.settings
 * @param {ReturnType<typeof import('./commands.js').commands>} o.shortcuts
 * @param {(entries: import('./state/outbox.js').Entry[]) => void} o.expired
 * @param {() => number} o.seq of the picture
 * @returns {Rest}
 */
export function loadRest({ canvasId, apiUrl, url, display, view, messages, settings, shortcuts, expired, seq }) {
  new Minimap(byId('minimap'), display);
  new SaveImage(display, () => `${canvasId}-${seq()}`, messages);
  new CanvasList(canvasId, () => listCanvases(apiUrl));
  const share = new ShareLink(() => view.link(), messages);
  const help = new Help(shortcuts, settings);
  for (const button of document.querySelectorAll('[data-later]')) button.removeAttribute('data-later');

  // A new release takes nothing from a page that is open, so it only says so.
  installWorker({
    onRelease: () => messages.show(texts.released, { key: 'release', sticky: true, action: { label: texts.releasedGo, run: () => location.reload() } }),
  });

  let adopting = false;
  /** @param {import('./state/session.js').Sessions} sessions */
  async function adoptOrphans(sessions) {
    if (adopting) return;
    adopting = true;
    for (;;) {
      for (let orphan = await sessions.adoptOrphan(); orphan; orphan = await sessions.adoptOrphan()) {
        await deliver({ session: orphan, url, inflate, onExpired: expired });
      }
      await new Promise((resolve) => setTimeout(resolve, ORPHANS));
    }
  }
  return { share, help, adoptOrphans };
}
