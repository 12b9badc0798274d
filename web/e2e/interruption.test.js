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
  playground = await startPlayground(['cut', 'reload', 'closed', 'offline']);
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
  await page.getByText('to be sent').waitFor({ timeout: DEADLINE });
  await chooseColor(other, 'Blue');
  await drawWithMouse(other, [[20, 20], [29, 20]]);
  Object.assign(drawn, cells(BLUE, [20, 20, 29, 20]));
  await waitShown(other, drawn);

  wire.mend();
  await waitLive(page);
  Object.assign(drawn, cells(RED, [0, 5, 9, 5]));
  await waitShown(page, drawn);
  await waitShown(other, drawn);
  await page.getByText('to be sent').waitFor({ state: 'hidden', timeout: DEADLINE });
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

test('the browser going offline and online again is noticed at once', async () => {
  const context = await newContext();
  const page = await open('offline', context);
  await waitLive(page);
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
