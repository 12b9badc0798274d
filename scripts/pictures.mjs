// Takes the pictures of the page for the documents: a real playground with
// something drawn on it and a few people there, in its main states.
//
//   PLAYGROUND=build/playground node scripts/pictures.mjs docs/pictures

import { mkdirSync } from 'node:fs';
import path from 'node:path';

import { cellCentre, chooseColor, chooseTool, drawWithMouse, launchBrowser, startPlayground, startWire, waitLive } from '../web/e2e/playground.js';

const folder = process.argv[2];
if (!folder) throw new Error('usage: node scripts/pictures.mjs FOLDER');

// A landscape, one letter a cell; a dot is left as it is.
const colours = { s: '#7EC8E3', S: '#4FA3C7', y: '#FFD23F', w: '#FFFFFF', g: '#4CAF50', G: '#2E7D32', b: '#795548', r: '#E53935', R: '#B71C1C', d: '#3E2723', l: '#1E88E5', L: '#1565C0', p: '#EC407A', o: '#FB8C00' };

/** The landscape as {x, y, color}, for a canvas of 50 by 50. */
function landscape() {
  const cells = new Map();
  const put = (x, y, key) => {
    if (x >= 0 && y >= 0 && x < 50 && y < 50) cells.set(`${x},${y}`, { x, y, color: colours[key] });
  };
  const box = (x0, y0, x1, y1, key) => {
    for (let y = y0; y <= y1; y++) for (let x = x0; x <= x1; x++) put(x, y, key);
  };
  const disc = (cx, cy, r, key) => {
    for (let y = cy - r; y <= cy + r; y++) for (let x = cx - r; x <= cx + r; x++) if ((x - cx) ** 2 + (y - cy) ** 2 <= r * r + 1) put(x, y, key);
  };
  box(0, 0, 49, 35, 's');
  for (let x = 0; x < 50; x++) box(x, 31 - Math.round(3 * Math.sin(x / 6) + 2 * Math.sin(x / 2.3)), x, 40, 'g');
  box(0, 36, 49, 49, 'G');
  disc(9, 8, 4, 'y');
  for (const [x, y] of [[20, 6], [36, 10]]) {
    disc(x, y, 2, 'w');
    disc(x + 3, y - 1, 2, 'w');
    disc(x + 6, y, 2, 'w');
  }
  box(28, 24, 40, 35, 'o'); // a house
  for (let i = 0; i < 8; i++) box(26 + i, 23 - i, 42 - i, 23 - i, 'r');
  box(33, 29, 36, 35, 'd');
  box(29, 26, 31, 28, 'l');
  box(37, 26, 39, 28, 'l');
  box(9, 26, 10, 36, 'b'); // a tree
  disc(9, 22, 5, 'G');
  for (const [x, y] of [[6, 21], [11, 19], [12, 24], [8, 25]]) put(x, y, 'r');
  for (let x = 0; x < 50; x++) box(x, 43 + Math.round(Math.sin(x / 4)), x, 47 + Math.round(Math.sin(x / 4)), x % 7 < 2 ? 'L' : 'l');
  for (const [x, y] of [[3, 38], [16, 39], [22, 37], [45, 39]]) {
    put(x, y, 'y');
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) put(x + dx, y + dy, 'p');
  }
  return [...cells.values()];
}

const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

mkdirSync(folder, { recursive: true });
const playground = await startPlayground(['main']);
const wire = await startWire(playground.port);
const browser = await launchBrowser();

/** A page of somebody's, live and with the landscape on it. */
async function open(name, options, place = '') {
  const context = await browser.newContext(options);
  await context.addInitScript((name) => localStorage.setItem('pixel-name', name), name);
  const page = await context.newPage();
  await page.goto(`${wire.url}/${place}`, { timeout: 120_000 });
  await waitLive(page);
  return page;
}

async function take(page, name) {
  // The picture is painted and what appears has appeared.
  await page.evaluate(() => Promise.allSettled(document.getAnimations().filter((a) => a.effect.getTiming().iterations === 1).map((a) => a.finished)));
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  await page.screenshot({ path: path.join(folder, `${name}.png`) });
}

try {
  const answer = await fetch(`${playground.url}/api/pixels`, { method: 'PUT', body: JSON.stringify({ pixels: landscape() }) });
  if (!answer.ok) throw new Error(`painting: ${answer.status} ${await answer.text()}`);
  const guests = [];
  for (const name of ['Grace', 'Linus', 'Margaret']) guests.push(await open(name, DESKTOP));
  const everybody = (page) => page.waitForFunction(() => document.querySelectorAll('#people li').length === 4);

  for (const colorScheme of ['light', 'dark']) {
    const page = await open('Ada', { ...DESKTOP, colorScheme });
    await everybody(page);
    for (let x = 0; x < 5; x++) await drawWithMouse(page, [[22 + x, 41], [22 + x, 42]]);
    await page.mouse.move(...(await cellCentre(page, 24, 41)));
    await page.waitForFunction(() => document.getElementById('info-who').textContent.startsWith('Ada'));
    await page.waitForFunction(() => document.getElementById('latency').textContent !== '');
    for (const guest of guests) await guest.mouse.move(...(await cellCentre(guest, 12 + 9 * guests.indexOf(guest), 13 + 5 * guests.indexOf(guest))));
    await take(page, `page-${colorScheme}`);
    for (let i = 0; i < 5; i++) await page.keyboard.press('Control+z');
    await page.context().close();

    const phone = await open('Ada', { ...PHONE, colorScheme });
    await everybody(phone);
    await take(phone, `phone-${colorScheme}`);
    await phone.context().close();
  }

  const close = await open('Ada', DESKTOP, '#33,24,30');
  await chooseTool(close, 'Rectangle');
  await chooseColor(close, 'Violet');
  const [from, to] = [await cellCentre(close, 27, 24), await cellCentre(close, 41, 28)];
  await close.mouse.move(...from);
  await close.mouse.down();
  await close.mouse.move(...to);
  await take(close, 'close');
  await close.keyboard.press('l');
  await close.mouse.up();

  await close.keyboard.press('?');
  await take(close, 'help');
  await close.context().close();

  const offline = await open('Ada', { ...DESKTOP, colorScheme: 'dark' });
  await everybody(offline);
  wire.cut();
  await offline.waitForSelector('#state[data-state=offline]');
  await chooseColor(offline, 'Magenta');
  await drawWithMouse(offline, [[13, 17], [18, 25], [23, 25], [28, 17]]);
  await offline.locator('#waiting').waitFor();
  // Marks come when a stroke has waited for a while.
  await new Promise((resolve) => setTimeout(resolve, 700));
  await take(offline, 'offline');
} finally {
  await browser.close();
  await wire.stop();
  await playground.stop();
}
