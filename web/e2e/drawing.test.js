import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';

import {
  DEADLINE,
  cellCentre,
  cells,
  chooseColor,
  chooseTool,
  drawWithMouse,
  launchBrowser,
  setName,
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
  playground = await startPlayground(['two-windows', 'names', 'touch', 'keyboard', 'duplicate', 'large:300x200', 'custom', 'tools', 'undo', 'who', 'save:20x10', 'place:200x200']);
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
  await setName(a, name);
  for (const page of [a, b]) {
    await page.waitForFunction((name) => [...document.querySelectorAll('#people li bdi')].some((e) => e.textContent === name), name, { timeout: DEADLINE });
    assert.equal(await page.locator('#people bdi *').count(), 0, 'no element came out of it');
    await page.waitForFunction(() => document.getElementById('people-here').textContent === '2 here', null, { timeout: DEADLINE });
  }
  await chooseColor(a, 'Red');
  await drawWithMouse(a, [[4, 4]]);
  await waitShown(b, { '4,4': RED });
  await b.mouse.move(...(await cellCentre(b, 4, 4)));
  await b.waitForFunction((name) => document.getElementById('info-who').textContent.startsWith(name), name, { timeout: DEADLINE });
  assert.equal(await b.locator('#info-who *').count(), 0);
  await a.reload();
  await waitLive(a);
  await a.locator('#people-button').click();
  assert.equal(await a.locator('#name').inputValue(), name, 'it is remembered');
});

test('the first visit asks for a name; drawing goes on without', async () => {
  const page = await (await newContext()).newPage();
  consoles.push(watchConsole(page));
  await page.goto(`${playground.url}/?canvas=names`);
  await page.getByRole('heading', { name: 'Draw with everybody' }).waitFor({ timeout: DEADLINE });
  await page.locator('#welcome-name').fill('  Grace  ');
  await page.getByRole('button', { name: 'Start drawing' }).click();
  await page.locator('#welcome').waitFor({ state: 'hidden', timeout: DEADLINE });
  await page.locator('#people-button').click();
  await page.locator('#people li', { hasText: 'Grace' }).waitFor({ timeout: DEADLINE });
  await page.reload();
  await page.waitForSelector('#state[data-state=live]', { timeout: DEADLINE });
  assert.ok(await page.locator('#welcome').isHidden(), 'only once');
});

test('each tool draws what it is for', async () => {
  const [a, b] = [await open('tools'), await open('tools')];
  await chooseColor(a, 'Red');
  const drawn = {};
  const use = async (tool, path, cellsOf) => {
    await chooseTool(a, tool);
    await drawWithMouse(a, path);
    Object.assign(drawn, cellsOf);
    for (const [cell, color] of Object.entries(drawn)) if (color === null) delete drawn[cell];
    await waitShown(a, drawn);
  };
  await use('Line', [[2, 2], [30, 1], [12, 2]], cells(RED, [2, 2, 12, 2]));
  await use('Rectangle', [[2, 5], [8, 11]], cells(RED, [2, 5, 8, 5], [2, 11, 8, 11], [2, 5, 2, 11], [8, 5, 8, 11]));
  await chooseColor(a, 'Green');
  await use('Fill', [[4, 8]], cells(GREEN, [3, 6, 7, 10]));
  await use('Filled rectangle', [[20, 20], [15, 18]], cells(GREEN, [15, 18, 20, 20]));
  await use('Eraser', [[15, 19], [20, 19]], cells(null, [15, 19, 20, 19]));
  await chooseTool(a, 'Pencil');
  await chooseTool(a, 'Eyedropper');
  await drawWithMouse(a, [[5, 2]]);
  assert.equal(await a.locator('#color-name').textContent(), 'Red');
  assert.ok(await a.getByRole('radio', { name: 'Pencil' }).isChecked(), 'the tool before');
  await a.keyboard.press(']');
  await a.keyboard.press(']');
  await use('Pencil', [[30, 30]], cells(RED, [29, 29, 31, 31]));
  await waitShown(b, drawn);
});

test('undo takes back what is one\'s own, and leaves what others have painted since', async () => {
  const [a, b] = [await open('undo'), await open('undo')];
  await chooseColor(a, 'Red');
  await drawWithMouse(a, [[0, 0], [9, 0]]);
  await drawWithMouse(a, [[0, 5], [9, 5]]);
  await waitShown(b, cells(RED, [0, 0, 9, 0], [0, 5, 9, 5]));
  await chooseColor(b, 'Blue');
  await drawWithMouse(b, [[3, 5], [5, 5]]);
  const mixed = { ...cells(RED, [0, 0, 9, 0], [0, 5, 9, 5]), ...cells(BLUE, [3, 5, 5, 5]) };
  await waitShown(a, mixed);
  await a.keyboard.press('Control+z');
  for (const page of [a, b]) await waitShown(page, { ...cells(RED, [0, 0, 9, 0]), ...cells(BLUE, [3, 5, 5, 5]) });
  await a.locator('.message', { hasText: '3 pixels stay' }).waitFor({ timeout: DEADLINE });
  await a.getByRole('button', { name: 'Undo', exact: true }).click();
  for (const page of [a, b]) await waitShown(page, cells(BLUE, [3, 5, 5, 5]));
  await a.keyboard.press('Control+y');
  await a.keyboard.press('Control+Shift+z');
  for (const page of [a, b]) await waitShown(page, mixed);
  await b.keyboard.press('Control+z');
  for (const page of [a, b]) await waitShown(page, cells(RED, [0, 0, 9, 0], [0, 5, 9, 5]));
});

test('who drew a pixel is told to mouse, finger and keyboard', async () => {
  const a = await open('who');
  await setName(a, 'Ada');
  await chooseColor(a, 'Red');
  await drawWithMouse(a, [[6, 6]]);
  await waitShown(a, { '6,6': RED });
  const told = (page, text) => page.waitForFunction((text) => document.getElementById('info-who').textContent.startsWith(text), text, { timeout: DEADLINE });
  await a.mouse.move(...(await cellCentre(a, 7, 7)));
  await told(a, 'Drawn by: unknown');
  assert.equal(await a.locator('#info-place').textContent(), '7, 7');
  await a.mouse.move(...(await cellCentre(a, 6, 6)));
  await told(a, 'Ada,');
  const phone = await open('who', await newContext({ viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true }));
  await chooseTool(phone, 'Hand');
  await phone.touchscreen.tap(...(await cellCentre(phone, 6, 6)));
  await told(phone, 'Ada,');
  await waitShown(phone, { '6,6': RED });
  const b = await open('who');
  await b.locator('#canvas').focus();
  await b.keyboard.press('PageDown');
  for (let i = 0; i < 6; i++) await b.keyboard.press('ArrowRight');
  await told(b, 'Drawn by: unknown');
  await b.keyboard.press('PageUp');
  for (let i = 0; i < 6; i++) await b.keyboard.press('ArrowDown');
  await told(b, 'Ada,');
});

test('the image that is saved has just the picture', async () => {
  const page = await open('save');
  await chooseColor(page, 'Red');
  await drawWithMouse(page, [[3, 4]]);
  await waitShown(page, { '3,4': RED });
  await page.locator('#save').click();
  await page.getByRole('radio', { name: '4×' }).check({ force: true });
  const downloading = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Save image' }).click();
  const download = await downloading;
  assert.match(download.suggestedFilename(), /^save-\d+\.png$/);
  const image = readFileSync(await download.path()).toString('base64');
  const seen = await page.evaluate(async (image) => {
    const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(image), (c) => c.charCodeAt(0))]));
    const c = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
    c.drawImage(bitmap, 0, 0);
    const at = (x, y) => [...c.getImageData(x, y, 1, 1).data];
    return { size: [bitmap.width, bitmap.height], inside: [at(12, 16), at(15, 19)], beside: [at(11, 16), at(16, 19)] };
  }, image);
  assert.deepEqual(seen, { size: [80, 40], inside: [[220, 38, 38, 255], [220, 38, 38, 255]], beside: [[255, 255, 255, 255], [255, 255, 255, 255]] });
});

test('a link leads to the place that was seen', async () => {
  const context = await newContext({ permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await open('place', context);
  await page.mouse.move(...(await cellCentre(page, 150, 40)));
  for (let i = 0; i < 8; i++) await page.mouse.wheel(0, -100);
  await page.keyboard.press('c');
  await page.locator('.message', { hasText: 'Link copied' }).waitFor({ timeout: DEADLINE });
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(link, /\?canvas=place#[\d.]+,[\d.]+,\d+$/);
  const other = await (await newContext({ deviceScaleFactor: 2 })).newPage();
  consoles.push(watchConsole(other));
  await other.goto(link);
  await waitLive(other);
  const place = (p) => p.evaluate(() => document.getElementById('canvas').dataset.scale / devicePixelRatio);
  assert.equal(await place(other), await place(page));
  const [ax, ay] = await cellCentre(page, 150, 40);
  const [bx, by] = await cellCentre(other, 150, 40);
  assert.ok(Math.hypot(ax - bx, ay - by) < 8, `${[ax, ay]} and ${[bx, by]}`);
  await other.locator('#minimap').waitFor({ timeout: DEADLINE });
  await other.keyboard.press('0');
  await other.locator('#minimap').waitFor({ state: 'hidden', timeout: DEADLINE });
  await other.waitForFunction(() => location.hash === '', null, { timeout: DEADLINE });
  await other.locator('#canvas-button').click();
  await other.getByRole('link', { name: /^main/ }).click();
  await waitLive(other);
  assert.equal(await other.locator('#canvas-name').textContent(), 'main');
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
  await waitShown(page, drawn);

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
  assert.equal(await a.locator('#announcements').textContent(), 'Column 50, row 4, Green');
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

test('any colour can be chosen, kept, changed and removed', async () => {
  const page = await open('custom');
  await page.locator('#color').click();
  await page.locator('#custom-color').fill('#0a0b0c');
  await page.keyboard.press('Escape');
  await drawWithMouse(page, [[7, 7]]);
  await waitShown(page, { '7,7': '#0A0B0C' });
  assert.equal(await page.locator('#color-name').textContent(), '#0A0B0C');
  await page.getByRole('radio', { name: 'Used lately: #0A0B0C' }).waitFor({ timeout: DEADLINE });
  await page.locator('#color').click();
  await page.getByRole('button', { name: 'Add to my colours' }).click();
  await page.locator('#custom-change').fill('#1a1b1c');
  await page.reload();
  await waitLive(page);
  assert.ok(await page.getByRole('radio', { name: 'My colour #1A1B1C' }).isChecked(), 'kept');
  await page.locator('#color').click();
  await page.getByRole('button', { name: 'Remove from my colours' }).click();
  await page.getByLabel('Hex').fill('fe0102');
  assert.equal(await page.locator('#color-name').textContent(), '#FE0102');
  assert.equal(await page.getByRole('radio', { name: 'My colour' }).count(), 0);
});

test('a canvas that does not exist is said to', async () => {
  const page = await (await newContext()).newPage();
  consoles.push(watchConsole(page));
  await page.goto(`${playground.url}/?canvas=no-such-canvas`);
  await page.getByRole('heading', { name: 'No such canvas' }).waitFor({ timeout: DEADLINE });
  await page.getByRole('link', { name: 'Go to the main canvas' }).click();
  await waitLive(page);
});
