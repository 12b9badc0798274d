// Takes the README's picture: the page of a real playground, with something
// drawn on it and a few people there.
//
//   PLAYGROUND=build/playground node scripts/picture.mjs docs/pictures/page.png

import { mkdirSync } from 'node:fs';
import path from 'node:path';

import { launchBrowser, startPlayground, waitLive } from '../web/e2e/playground.js';

const target = process.argv[2];
if (!target) throw new Error('usage: node scripts/picture.mjs FILE');

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

const playground = await startPlayground(['main']);
const browser = await launchBrowser();
try {
  const people = [];
  for (const name of ['Ada', 'Grace', 'Linus']) {
    const context = await browser.newContext({ viewport: { width: 1180, height: 760 } });
    const page = await context.newPage();
    await page.goto(playground.url);
    await waitLive(page);
    await page.locator('#name').fill(name);
    await page.locator('#name').press('Enter');
    people.push(page);
  }
  const answer = await fetch(`${playground.url}/api/pixels`, { method: 'PUT', body: JSON.stringify({ pixels: landscape() }) });
  if (!answer.ok) throw new Error(`painting: ${answer.status} ${await answer.text()}`);
  const [page] = people;
  await page.waitForFunction(() => ['Ada', 'Grace', 'Linus'].every((name) => document.body.innerText.includes(name)));
  await page.waitForFunction(() => {
    const canvas = document.getElementById('canvas');
    const { left, top, scale } = canvas.dataset;
    const [r, g, b] = canvas.getContext('2d').getImageData(Number(left) + 9.5 * scale, Number(top) + 8.5 * scale, 1, 1).data;
    return r === 0xff && g === 0xd2 && b === 0x3f; // the sun
  });
  mkdirSync(path.dirname(target), { recursive: true });
  await page.screenshot({ path: target });
} finally {
  await browser.close();
  await playground.stop();
}
