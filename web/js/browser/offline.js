// The service worker, which lets the page open without a network, and what a
// new release means for a page that is open.

/** The address of the worker: it keeps it over releases. */
const WORKER = '/sw.js';
/** How often a page that is looked at again asks for a new release, in ms. */
const ASK = 60000;

/** The release of this page, out of a module's own address; '' without one. @param {string} address */
export function releaseOf(address) {
  return /\/a\/([0-9a-f]+)\//.exec(address)?.[1] ?? '';
}

/** The release of this page. */
export const RELEASE = releaseOf(import.meta.url);

/**
 * Installs the worker. Without one (an old browser, no secure context, private
 * windows of some browsers) the page works as well, only not offline.
 * @param {object} o
 * @param {() => void} o.onRelease another release than this page's has taken
 *   over: what is open goes on, a reload brings the new one
 * @param {ServiceWorkerContainer} [o.container]
 * @returns {Promise<ServiceWorkerRegistration|null>}
 */
export async function installWorker({ onRelease, container = navigator.serviceWorker }) {
  if (!container || !RELEASE) return null;
  // The first worker takes over a page of its own release.
  let known = container.controller;
  container.addEventListener('controllerchange', () => {
    if (known) onRelease();
    known = container.controller;
  });
  let registration;
  try {
    registration = await container.register(workerAddress(), { scope: '/' });
  } catch (error) {
    console.info('no service worker, so the page needs a network to open:', error.message);
    return null;
  }
  if (!registration) return null; // a browser that was told to have none
  let asked = 0;
  const ask = () => {
    if (document.hidden || Date.now() - asked < ASK) return;
    asked = Date.now();
    registration.update().catch(() => {}); // offline: asked again next time
  };
  // The browser itself asks some time after a visit, or a day later.
  if (!registration.installing) ask();
  document.addEventListener('visibilitychange', ask);
  return registration;
}

/** Where Trusted Types are enforced, a script's address needs a policy. */
function workerAddress() {
  const { trustedTypes } = /** @type {any} */ (globalThis);
  if (!trustedTypes) return WORKER;
  return trustedTypes.createPolicy('pixel-worker', { createScriptURL: () => WORKER }).createScriptURL('');
}
