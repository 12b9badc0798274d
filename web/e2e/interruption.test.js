import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import {
  DEADLINE,
  cells,
  chooseColor,
  drawWithMouse,
  launchBrowser,
  startPlayground,
  startWire,
  waitLive,
  waitUntil,
  waitShown,
  watchConsole,
} from './playground.js';

const RED = '#DC2626';
const GREEN = '#15803D';
const BLUE = '#2563EB';

let playground;
let wire;
let browser;
let contexts = [];
let consoles = [];

before(async () => {
  playground = await startPlayground(['cut', 'reload', 'closed', 'offline', 'killed', 'redis', 'pending', 'mute'], { flags: ['-gateways', '2', '-apis', '1', '-frontends', '1'] });
  wire = await startWire(playground.port);
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await wire?.stop();
  await playground?.stop();
});

afterEach(async () => {
  wire.mend();
  for (const context of contexts.splice(0)) await context.close();
  assert.deepEqual(consoles.splice(0).flat(), [], 'the console stays empty');
});

async function newContext() {
  const context = await browser.newContext({ viewport: { width: 1000, height: 700 } });
  contexts.push(context);
  return context;
}

/** A page on the wire, and one beside it that is never cut off. */
async function open(canvas, context, base = wire.url) {
  const page = await (context ?? (await newContext())).newPage();
  consoles.push(watchConsole(page));
  await page.goto(`${base}/?canvas=${canvas}`);
  return page;
}

const waitOffline = (page) => page.waitForSelector('#state[data-state=offline]', { timeout: DEADLINE });

test('a connection that was cut comes back, and both sides catch up', async () => {
  const page = await open('cut');
  const other = await open('cut', null, playground.url);
  await waitLive(page);
  await waitLive(other);
  await chooseColor(page, 'Red');
  await drawWithMouse(page, [[0, 0], [9, 0]]);
  const drawn = cells(RED, [0, 0, 9, 0]);
  await waitShown(other, drawn);

  wire.cut();
  await waitOffline(page);
  await drawWithMouse(page, [[0, 5], [9, 5]]);
  await waitShown(page, { ...drawn, ...cells(RED, [0, 5, 9, 5]) });
  await page.locator('#waiting').waitFor({ timeout: DEADLINE });
  assert.equal(await page.locator('#waiting').textContent(), '1 stroke waits to be sent');
  await chooseColor(other, 'Blue');
  await drawWithMouse(other, [[20, 20], [29, 20]]);
  Object.assign(drawn, cells(BLUE, [20, 20, 29, 20]));
  await waitShown(other, drawn);

  wire.mend();
  await waitLive(page);
  Object.assign(drawn, cells(RED, [0, 5, 9, 5]));
  await waitShown(page, drawn);
  await waitShown(other, drawn);
  await page.locator('#banner').waitFor({ state: 'hidden', timeout: DEADLINE });
});

test('what was drawn without a connection survives a reload', async () => {
  const page = await open('reload');
  const other = await open('reload', null, playground.url);
  await waitLive(page);
  await waitLive(other);
  wire.cut();
  await waitOffline(page);
  await chooseColor(page, 'Green');
  await drawWithMouse(page, [[3, 3], [3, 12]]);
  await page.reload();
  wire.mend();
  await waitLive(page);
  await waitShown(page, cells(GREEN, [3, 3, 3, 12]));
  await waitShown(other, cells(GREEN, [3, 3, 3, 12]));
});

test('what a closed tab left is sent by another one', async () => {
  const context = await newContext();
  const page = await open('closed', context);
  await waitLive(page);
  wire.cut();
  await waitOffline(page);
  await chooseColor(page, 'Red');
  await drawWithMouse(page, [[1, 1], [8, 1]]);
  await page.close();
  const second = await open('closed', context);
  wire.mend();
  await waitLive(second);
  await waitShown(second, cells(RED, [1, 1, 8, 1]));
  const other = await open('closed', null, playground.url);
  await waitLive(other);
  await waitShown(other, cells(RED, [1, 1, 8, 1]));
});

test('a browser whose store does not answer shows the canvas, and loses no stroke', async () => {
  const other = await open('mute');
  await waitLive(other);
  const context = await newContext();
  await context.addInitScript(() => {
    IDBFactory.prototype.open = () => new EventTarget();
  });
  const page = await open('mute', context);
  await waitLive(page);
  await chooseColor(page, 'Red');
  await drawWithMouse(page, [[3, 3], [9, 3]]);
  const drawn = cells(RED, [3, 3, 9, 3]);
  await waitShown(page, drawn);
  await waitShown(other, drawn);
  await page.getByText('This browser cannot keep your unsent strokes').waitFor({ timeout: DEADLINE });
  await page.keyboard.press('Control+z');
  await waitShown(other, {});
});

test('the browser going offline and online again is noticed at once', async () => {
  const context = await newContext();
  const page = await open('offline', context);
  await waitLive(page);
  // Else the console tells of a worker that could not be had.
  await page.waitForFunction(() => navigator.serviceWorker.controller, null, { timeout: DEADLINE });
  await context.setOffline(true);
  await waitOffline(page);
  await context.setOffline(false);
  await waitLive(page);
  await chooseColor(page, 'Blue');
  await drawWithMouse(page, [[4, 4], [6, 4]]);
  const other = await open('offline', null, playground.url);
  await waitLive(other);
  await waitShown(other, cells(BLUE, [4, 4, 6, 4]));
});

test('a gateway is killed in the middle of a drawing, and no stroke is lost', async () => {
  const [page, other] = [await open('killed', null, playground.url), await open('killed', null, playground.url)];
  await waitLive(page);
  await waitLive(other);
  await chooseColor(page, 'Red');
  const lines = [];
  for (let y = 0; y < 12; y++) {
    if (y === 4) process.kill(playground.pid(await page.locator('#server').textContent()), 'SIGKILL');
    await drawWithMouse(page, [[0, 2 * y], [20, 2 * y]]);
    lines.push([0, 2 * y, 20, 2 * y]);
  }
  await waitLive(page);
  await waitLive(other);
  await waitShown(page, cells(RED, ...lines));
  await waitShown(other, cells(RED, ...lines));
  await page.waitForFunction(() => document.getElementById('unsent').textContent === '0', null, { timeout: DEADLINE });
});

test('Redis is away and comes back: the page says so, and all is drawn in the end', async () => {
  const [page, other] = [await open('redis', null, playground.url), await open('redis', null, playground.url)];
  await waitLive(page);
  await waitLive(other);
  await chooseColor(page, 'Green');
  const redis = playground.pid('redis');
  process.kill(redis, 'SIGSTOP');
  try {
    await drawWithMouse(page, [[2, 2], [12, 2]]);
    await page.waitForSelector('#state[data-state=degraded]', { timeout: DEADLINE });
    await page.locator('#banner-text', { hasText: 'The storage is away' }).waitFor({ timeout: DEADLINE });
    await drawWithMouse(page, [[2, 4], [12, 4]]);
    await waitShown(page, cells(GREEN, [2, 2, 12, 2], [2, 4, 12, 4]));
    await waitShown(other, {});
  } finally {
    process.kill(redis, 'SIGCONT');
  }
  await waitLive(page);
  await waitShown(other, cells(GREEN, [2, 2, 12, 2], [2, 4, 12, 4]));
  await waitShown(page, cells(GREEN, [2, 2, 12, 2], [2, 4, 12, 4]));
  await page.locator('#banner').waitFor({ state: 'hidden', timeout: DEADLINE });
  // Who drew a pixel may have been asked before the page knew that Redis is away.
  for (const complaints of consoles) complaints.splice(0, complaints.length, ...complaints.filter((text) => !/503 \(Service Unavailable\)/.test(text)));
});

test('own pixels are marked while they are not known to be stored', async () => {
  const page = await open('pending');
  await waitLive(page);
  await chooseColor(page, 'Red');
  const marked = () =>
    page.evaluate(() => {
      const canvas = document.getElementById('layers');
      const [left, top, scale] = ['left', 'top', 'scale'].map((name) => Number(document.getElementById('canvas').dataset[name]));
      return canvas.getContext('2d').getImageData(Math.floor(left + 5.5 * scale), Math.floor(top + 5.5 * scale), 1, 1).data[3];
    });
  wire.cut();
  await waitOffline(page);
  await drawWithMouse(page, [[5, 5], [8, 5]]);
  await page.mouse.move(5, 300);
  await waitUntil(async () => (await marked()) > 0);
  wire.mend();
  await waitLive(page);
  await waitUntil(async () => (await marked()) === 0);
  await page.waitForFunction(() => /ms$/.test(document.getElementById('latency-p50').textContent), null, { timeout: DEADLINE });
});
