import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { DEADLINE, cells, chooseColor, drawWithMouse, launchBrowser, startPlayground, waitLive, waitShown, watchConsole } from './playground.js';
import { startBalancer, startReleases } from './releases.js';

const RED = '#DC2626';
const GREEN = '#15803D';

let playground;
let releases;
let balancer;
let browser;
let context;
let complaints = [];

before(async () => {
  playground = await startPlayground(['shell', 'rollout', 'mixed', 'gone', 'open']);
  releases = await startReleases();
  assert.notEqual(releases.now.release, releases.next.release);
  balancer = await startBalancer(playground.port, () => releases.now.port);
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await balancer?.stop();
  await releases?.stop();
  await playground?.stop();
});

afterEach(async () => {
  await context?.close();
  context = null;
  balancer.mend();
  balancer.route = () => releases.now.port;
  balancer.seen.length = 0;
  // What the network did not give is reported by the browser itself.
  const own = complaints.splice(0).filter((text) => !/Failed to load resource|net::ERR_|Refused to apply style/.test(text));
  assert.deepEqual(own, [], 'the console stays empty');
});

async function open(canvas, options) {
  context ??= await browser.newContext({ viewport: { width: 1000, height: 700 }, ...options });
  const page = await context.newPage();
  complaints = watchConsole(page);
  await page.goto(`${balancer.url}/?canvas=${canvas}`);
  return page;
}

/** Waits until the worker of a release has taken over the page. */
async function waitWorker(page, release) {
  const end = Date.now() + DEADLINE;
  for (;;) {
    const [state, shells] = await page.evaluate(async () => [navigator.serviceWorker.controller?.state, await caches.keys()]);
    if (state === 'activated' && shells.join() === `shell-${release}`) return;
    if (Date.now() > end) throw new Error(`the worker is ${state} and keeps ${shells}`);
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 20)));
  }
}

const waitPicture = (page) => page.waitForFunction(() => document.getElementById('canvas')?.dataset.scale, null, { timeout: DEADLINE });

const releaseOf = (page) => page.evaluate(() => /\/a\/([0-9a-f]+)\//.exec(document.querySelector('script[type=module]').src)[1]);
/** How often a browser came for the page itself; the worker asks without the query. */
const visits = () => balancer.seen.filter((url) => url.startsWith('/?canvas=')).length;

test('without a network the page opens, shows the canvas and takes strokes', async () => {
  const page = await open('shell');
  await waitLive(page);
  await waitWorker(page, releases.now.release);
  await chooseColor(page, 'Red');
  await drawWithMouse(page, [[5, 5], [20, 5]]);
  const drawn = cells(RED, [5, 5, 20, 5]);
  await waitShown(page, drawn);
  await page.locator('#waiting').waitFor({ state: 'hidden', timeout: DEADLINE });

  balancer.cut();
  await page.reload();
  await waitPicture(page);
  await waitShown(page, drawn);
  await page.waitForSelector('#state[data-state=offline]', { timeout: DEADLINE });
  await chooseColor(page, 'Green');
  await drawWithMouse(page, [[5, 9], [20, 9]]);
  Object.assign(drawn, cells(GREEN, [5, 9, 20, 9]));
  await waitShown(page, drawn);
  await page.reload();
  await waitPicture(page);
  await waitShown(page, drawn);

  balancer.mend();
  await waitLive(page);
  const other = await open('shell');
  await waitLive(other);
  await waitShown(other, drawn);
  await waitShown(page, drawn);
});

test('after a release the next visit has it, and an open page says so', async () => {
  const page = await open('open');
  await waitLive(page);
  await waitWorker(page, releases.now.release);
  balancer.route = () => releases.next.port;
  const second = await open('open');
  await waitLive(second);
  assert.equal(await releaseOf(second), releases.next.release, 'what is kept does not answer while the network does');
  await waitWorker(second, releases.next.release);
  await page.getByText('A new version of this page is there.').waitFor({ timeout: DEADLINE });
  assert.equal(await releaseOf(page), releases.now.release, 'nothing is taken from a page that is open');
  await chooseColor(page, 'Red');
  await drawWithMouse(page, [[20, 25], [28, 25]]);
  await waitShown(second, cells(RED, [20, 25, 28, 25]));
  await page.getByRole('button', { name: 'Load it' }).click();
  await waitLive(page);
  assert.equal(await releaseOf(page), releases.next.release);
  // The new one is kept as the old one was.
  balancer.cut();
  await page.reload();
  await waitPicture(page);
  await waitShown(page, cells(RED, [20, 25, 28, 25]));
  assert.equal(await releaseOf(page), releases.next.release);
});

test('a page whose files are of another release loads itself again, once', async () => {
  // The page came from one frontend, its files are asked of another.
  balancer.route = (path) => (path === '/' && visits() === 1 ? releases.now.port : releases.next.port);
  const page = await open('rollout', { serviceWorkers: 'block' });
  await waitLive(page);
  assert.equal(visits(), 2, 'one reload');
  assert.equal(await releaseOf(page), releases.next.release);
  assert.ok(await page.locator('#stale').isHidden());
});

test('a page whose files stay away is not loaded for ever', async () => {
  balancer.route = (path) => (path.startsWith('/a/') ? releases.now.port : releases.next.port);
  const page = await open('gone', { serviceWorkers: 'block' });
  await page.getByText('The page could not be loaded whole').waitFor({ timeout: DEADLINE });
  assert.equal(visits(), 2, 'one reload');
  // By hand it can be tried again, and then it works.
  balancer.route = () => releases.next.port;
  await page.getByRole('link', { name: 'Load it again' }).click();
  await waitLive(page);
});

test('while a release is rolled out the worker asks until a frontend has the file', async () => {
  const page = await open('mixed');
  await waitLive(page);
  await waitWorker(page, releases.now.release);
  // Every other request for a file meets a frontend that does not have it.
  const asked = new Map();
  balancer.route = (path) => {
    if (!path.startsWith('/a/')) return releases.next.port;
    asked.set(path, (asked.get(path) ?? 0) + 1);
    return asked.get(path) % 2 === 1 ? releases.now.port : releases.next.port;
  };
  await page.reload();
  await waitLive(page);
  assert.equal(await releaseOf(page), releases.next.release);
  assert.equal(visits(), 2, 'the first visit and the reload: the page did not need to load itself again');
});
