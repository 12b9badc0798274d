// The service worker: keeps the shell of the page, so that it opens without a
// network, and is never the reason for an old page.
//
// The frontend puts RELEASE, a hash of all files, and FILES in front of this
// script. The page itself is always asked of the network first; what is kept
// answers only where the network does not. Files of a release never change,
// so those come from what is kept. Everything else, the gateway and the api
// among them, is none of this worker's business.

/* global RELEASE, FILES */

const PREFIX = 'shell-';
const CACHE = PREFIX + RELEASE;
const PAGES = ['/', '/index.html'];
/** Files of the root that the page needs besides itself. */
const ROOT = ['/config.js', '/reload.js'];
/** How long the network may take before what is kept answers, in ms. */
const PATIENCE = 3000;
/** Pauses between attempts at a file that one frontend did not have, in ms. */
const PAUSES = [100, 200, 400, 800];

const address = (file) => `/a/${RELEASE}/${file}`;

self.addEventListener('install', (event) => event.waitUntil(install()));

/** Keeps a whole release or nothing: a part of one would not start. */
async function install() {
  const page = await fetch('/', { cache: 'no-store' });
  // Another frontend than the one that had this script may have answered.
  if (!page.ok || page.headers.get('Pixel-Release') !== RELEASE) throw new Error('the page is of another release');
  const kept = await Promise.all([
    ...FILES.map(async (file) => [address(file), await persistent(address(file))]),
    ...ROOT.map(async (path) => [path, await fetch(path, { cache: 'no-store' })]),
  ]);
  const missing = kept.find(([, response]) => !response.ok);
  if (missing) throw new Error(`${missing[0]}: ${missing[1].status}`);
  const cache = await caches.open(CACHE);
  await Promise.all([['/', page], ...kept].map(([path, response]) => cache.put(path, response)));
  await self.skipWaiting();
}

self.addEventListener('activate', (event) => event.waitUntil(activate()));

/** A page that runs has all of its modules: what was kept before may go. */
async function activate() {
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
  }
  await self.registration.navigationPreload?.enable();
  await self.clients.claim();
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== self.location.origin) return;
  if (request.mode === 'navigate') {
    if (PAGES.includes(pathname)) event.respondWith(page(event));
  } else if (pathname.startsWith('/a/')) {
    event.respondWith(asset(request, pathname));
  } else if (ROOT.includes(pathname)) {
    event.respondWith(fresh(event, pathname));
  }
});

const kept = (path) => caches.match(path, { cacheName: CACHE });

function page(event) {
  return inTime(Promise.resolve(event.preloadResponse).then((early) => early ?? fetch(event.request)), '/');
}

async function asset(request, pathname) {
  return (await kept(pathname)) ?? persistent(request);
}

/** A file of the root: from the network where that answers in time. */
async function fresh(event, path) {
  const network = fetch(event.request);
  event.waitUntil(
    network.then(
      async (response) => {
        if (!response.ok || response.redirected) return;
        const copy = response.clone();
        await (await caches.open(CACHE)).put(path, copy);
      },
      () => {},
    ),
  );
  return inTime(network, path);
}

/** What the network answers, or what is kept where it fails or takes long. */
async function inTime(network, path) {
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE, null));
  const response = await Promise.race([network.catch(() => null), late]);
  if (response && response.status < 500) return response;
  return (await kept(path)) ?? network;
}

/** A file of a release: during a rollout only some of the frontends have it. */
async function persistent(request) {
  for (const pause of PAUSES) {
    const response = await fetch(request.clone?.() ?? request).catch(() => null);
    if (response?.ok) return response;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  return fetch(request);
}
