// What takes its time elsewhere, begun while the document is still being read:
// the connection, and the store with the session in it.

import { Sessions } from './state/session.js';
import { storage } from './state/settings.js';
import { openStore } from './state/store.js';
import { systemClock } from './transport/clock.js';
import { dial, gatewayUrl } from './transport/connection.js';

/** @type {{WS_URL?: string, API_URL?: string, TRACES_URL?: string, TRACES_RATIO?: number}} */
export const config = /** @type {any} */ (window).APP_CONFIG ?? {};
export const canvasId = new URLSearchParams(location.search).get('canvas') || 'main';

/** Of the gateway. @param {import('./playground.js').Position|null} position */
export const url = (position) => gatewayUrl(config.WS_URL, location.href, canvasId, position);
export const early = dial(url(null));

/** @type {() => void} */
let tellUnsaved = () => (unsaved = true);
let unsaved = false;

/** Something could not be stored, perhaps before anybody asked. @param {() => void} tell */
export function onUnsaved(tell) {
  tellUnsaved = tell;
  if (unsaved) tell();
}

/** Null until the store has answered. @type {Sessions|null} */
export let sessions = null;
export const opening = openSession();

async function openSession() {
  const store = await openStore(window.indexedDB, systemClock);
  if (!store) tellUnsaved();
  sessions = new Sessions({ canvas: canvasId, store, tab: storage('sessionStorage'), locks: navigator.locks ?? null, onUnsaved: () => tellUnsaved() });
  return sessions.open();
}
