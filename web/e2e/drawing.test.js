import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import {
  DEADLINE,
  cellCentre,
  cells,
  chooseColor,
  drawWithMouse,
  launchBrowser,
  shown,
  startPlayground,
  waitLive,
  waitShown,
  watchConsole,
} from './playground.js';

const RED = '#DC2626';
const GREEN = '#15803D';
const BLUE = '#2563EB';

let playground;
let browser;
let contexts = [];
let consoles = [];

before(async () => {
  playground = await startPlayground(['two-windows', 'names', 'touch', 'keyboard', 'duplicate', 'large:300x200', 'narrow', 'custom']);
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await playground?.stop();
});

afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close();
  const complaints = consoles.splice(0).flat();
  assert.deepEqual(complaints, [], 'the console stays empty');
});

async function newContext(options) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 700 }, ...options });
  contexts.push(context);
  return context;
}

async function open(canvas, context) {
  const page = await (context ?? (await newContext())).newPage();
  consoles.push(watchConsole(page));
  await page.goto(`${playground.url}/?canvas=${canvas}`);
  await waitLive(page);
  return page;
}

test('two windows see each other draw, without holes', async () => {
  const [a, b] = [await open('two-windows'), await open('two-windows')];
  await chooseColor(a, 'Red');
  await drawWithMouse(a, [[5, 5], [40, 5], [40, 30]]);
  const drawn = cells(RED, [5, 5, 40, 5], [40, 5, 40, 30]);
  await waitShown(a, drawn);
  await waitShown(b, drawn);
  await chooseColor(b, 'Green');
  await drawWithMouse(b, [[20, 0], [20, 10]]);
  Object.assign(drawn, cells(GREEN, [20, 0, 20, 10]));
  await waitShown(a, drawn);
  await waitShown(b, drawn);
  const late = await open('two-windows');
  await waitShown(late, drawn);
});

test('a name is text, whatever is in it', async () => {
  const [a, b] = [await open('names'), await open('names')];
  const name = `"'><b>&lt;</b>`;
  await a.getByLabel('Your name').fill(name);
  await a.getByLabel('Your name').press('Enter');
  for (const page of [a, b]) {
    await page.waitForFunction((name) => [...document.querySelectorAll('#people li')].some((li) => li.textContent === name), name, { timeout: DEADLINE });
    assert.equal(await page.locator('#people li *:not(bdi)').count(), 0, 'no element came out of it');
    await page.waitForFunction(() => document.getElementById('people-count').textContent === '2 here', null, { timeout: DEADLINE });
  }
  await a.reload();
  await waitLive(a);
  assert.equal(await a.getByLabel('Your name').inputValue(), name, 'it is remembered');
});

test('a finger draws, two fingers do not', async () => {
  const phone = await newContext({ viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true });
  const page = await open('touch', phone);
  const other = await open('touch');
  const cdp = await phone.newCDPSession(page);
  const touch = async (type, ...points) => {
    const touchPoints = [];
    for (const [i, [x, y]] of points.entries()) {
      const [clientX, clientY] = await cellCentre(page, x, y);
      touchPoints.push({ x: clientX, y: clientY, id: i });
    }
    await cdp.send('Input.dispatchTouchEvent', { type, touchPoints });
  };
  await chooseColor(page, 'Blue');
  await touch('touchStart', [3, 3]);
  await touch('touchMove', [12, 3]);
  await touch('touchMove', [30, 3]);
  await touch('touchEnd');
  const drawn = cells(BLUE, [3, 3, 30, 3]);
  await waitShown(page, drawn);
  await waitShown(other, drawn);

  const before = await page.evaluate(() => document.getElementById('canvas').dataset.scale);
  // Both fingers in one event: no time passes in which the first is alone.
  await touch('touchStart', [20, 20], [26, 26]);
  await touch('touchMove', [12, 12], [34, 34]);
  await touch('touchMove', [4, 4], [42, 42]);
  await touch('touchEnd');
  await page.waitForFunction((before) => Number(document.getElementById('canvas').dataset.scale) > Number(before), before, { timeout: DEADLINE });
  await page.getByRole('button', { name: 'Fit the whole canvas' }).click();

  await page.touchscreen.tap(...(await cellCentre(page, 45, 45)));
  Object.assign(drawn, cells(BLUE, [45, 45, 45, 45]));
  await waitShown(page, drawn);
  await waitShown(other, drawn);
});

test('the keyboard draws', async () => {
  const [a, b] = [await open('keyboard'), await open('keyboard')];
  await chooseColor(a, 'Green');
  await a.locator('#canvas').focus();
  for (const key of ['ArrowRight', 'ArrowDown', 'Space', 'ArrowRight', 'ArrowRight', 'Enter', 'Shift+ArrowDown', 'Shift+ArrowDown', 'End', 'Space']) {
    await a.keyboard.press(key);
  }
  const drawn = cells(GREEN, [1, 1, 1, 1], [3, 1, 3, 3], [49, 3, 49, 3]);
  await waitShown(a, drawn);
  await waitShown(b, drawn);
  assert.equal(await a.locator('#cursor-text').textContent(), 'Column 50, row 4');
});

test('a duplicated tab draws under its own numbers', async () => {
  const context = await newContext();
  const a = await open('duplicate', context);
  await chooseColor(a, 'Red');
  await drawWithMouse(a, [[0, 0], [9, 0]]);
  await waitShown(a, cells(RED, [0, 0, 9, 0]));
  const opened = context.waitForEvent('page');
  // A window that is opened by the page gets a copy of its sessionStorage.
  await a.evaluate(() => void window.open(location.href));
  const b = await opened;
  consoles.push(watchConsole(b));
  await waitLive(b);
  await chooseColor(b, 'Blue');
  await drawWithMouse(b, [[0, 5], [9, 5]]);
  await drawWithMouse(a, [[0, 9], [9, 9]]);
  const drawn = { ...cells(RED, [0, 0, 9, 0], [0, 9, 9, 9]), ...cells(BLUE, [0, 5, 9, 5]) };
  await waitShown(a, drawn);
  await waitShown(b, drawn);
  await waitShown(await open('duplicate'), drawn);
});

test('a canvas that is larger than the window is fitted, zoomed and drawn on', async () => {
  const page = await open('large');
  await chooseColor(page, 'Red');
  await drawWithMouse(page, [[0, 100], [299, 100]]);
  await waitShown(page, cells(RED, [0, 100, 299, 100]));
  const [x, y] = await cellCentre(page, 150, 100);
  await page.mouse.move(x, y);
  for (let i = 0; i < 6; i++) await page.mouse.wheel(0, -100);
  await page.waitForFunction(() => Number(document.getElementById('canvas').dataset.scale) >= 8, null, { timeout: DEADLINE });
  const [zoomedX, zoomedY] = await cellCentre(page, 150, 100);
  assert.ok(Math.hypot(zoomedX - x, zoomedY - y) < 12, 'the cell stayed under the pointer');
  await page.getByRole('button', { name: 'Fit the whole canvas' }).click();
  await waitShown(page, cells(RED, [0, 100, 299, 100]));
});

test('any colour can be chosen', async () => {
  const page = await open('custom');
  await page.locator('#custom-color').fill('#0a0b0c');
  await drawWithMouse(page, [[7, 7]]);
  await waitShown(page, { '7,7': '#0A0B0C' });
  assert.equal(await page.locator('#color-name').textContent(), '#0A0B0C');
});

test('nothing is cut off or too small to hit at 320 pixels', async () => {
  const page = await open('narrow', await newContext({ viewport: { width: 320, height: 568 }, hasTouch: true, isMobile: true }));
  const problems = await page.evaluate(() => {
    const found = [];
    if (document.documentElement.scrollWidth > innerWidth) found.push('the page scrolls sideways');
    for (const e of document.querySelectorAll('button, input, a[href]')) {
      const target = e.closest('label') ?? e;
      const { width, height, left, right } = target.getBoundingClientRect();
      if (width === 0) continue; // not shown
      const name = e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent.trim() ?? e.textContent.trim();
      if (!name) found.push(`${e.outerHTML} has no name`);
      if (Math.round(width) < 44 || Math.round(height) < 44) found.push(`${name}: ${width}×${height}`);
      if (left < 0 || right > innerWidth) found.push(`${name}: off the page`);
    }
    return found;
  });
  assert.deepEqual(problems, []);
  assert.ok(Object.keys(await shown(page)).length === 0);
});

test('a canvas that does not exist is said to', async () => {
  const page = await (await newContext()).newPage();
  consoles.push(watchConsole(page));
  await page.goto(`${playground.url}/?canvas=no-such-canvas`);
  await page.getByRole('heading', { name: 'No such canvas' }).waitFor({ timeout: DEADLINE });
  await page.getByRole('link', { name: 'Go to the main canvas' }).click();
  await waitLive(page);
});
