// What the page does when the picture is there and one can draw: loaded then, so
// that nothing of it stands in the way.

import { installWorker } from './browser/offline.js';
import { byId } from './panels/dom.js';
import { inflate } from './state/replica.js';

/** How often to look for strokes that a closed tab left behind, in ms. */
const ORPHANS = 30_000;

/**
 * @param {object} o
 * @param {import('./display/display.js').Display} o.display
 * @param {import('./state/session.js').Sessions} o.sessions
 * @param {(position: import('./playground.js').Position|null) => string} o.url of the gateway
 * @param {(entries: import('./state/outbox.js').Entry[]) => void} o.expired
 * @param {() => void} o.released there is another release of the page
 */
export function settle({ display, sessions, url, expired, released }) {
  installWorker({ onRelease: released });
  showMinimap(display);
  deliverOrphans(sessions, url, expired);
}

/** The overview, once it has something to show. @param {import('./display/display.js').Display} display */
function showMinimap(display) {
  const look = async () => {
    if (display.viewport.seesAll) return;
    display.removeEventListener('view', look);
    const { Minimap } = await import('./display/minimap.js');
    new Minimap(byId('minimap'), display);
  };
  display.addEventListener('view', look);
  look();
}

/**
 * Sends what closed tabs left behind, now and from time to time.
 * @param {import('./state/session.js').Sessions} sessions
 * @param {(position: import('./playground.js').Position|null) => string} url
 * @param {(entries: import('./state/outbox.js').Entry[]) => void} onExpired
 */
async function deliverOrphans(sessions, url, onExpired) {
  for (;;) {
    for (let orphan = await sessions.adoptOrphan(); orphan; orphan = await sessions.adoptOrphan()) {
      const { deliver } = await import('./courier.js');
      await deliver({ session: orphan, url, inflate, onExpired });
    }
    await new Promise((resolve) => setTimeout(resolve, ORPHANS));
  }
}
