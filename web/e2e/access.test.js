import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, afterEach, before, test } from 'node:test';

import { DEADLINE, cells, drawWithMouse, launchBrowser, startPlayground, waitLive, waitShown, watchConsole } from './playground.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let playground;
let browser;
let contexts = [];
let consoles = [];

before(async () => {
  playground = await startPlayground(['axe', 'keys', 'narrow', 'sizes']);
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await playground?.stop();
});

afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close();
  assert.deepEqual(consoles.splice(0).flat(), [], 'the console stays empty');
});

async function open(canvas, { welcome = false, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  contexts.push(context);
  const page = await context.newPage();
  consoles.push(watchConsole(page));
  await page.goto(`${playground.url}/?canvas=${canvas}`);
  if (welcome) await page.waitForSelector('#state[data-state=live]', { timeout: DEADLINE });
  else await waitLive(page);
  return page;
}

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

/** What axe-core finds, one line each. Animations have come to their end. */
async function violations(page) {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().filter((a) => a.effect.getTiming().iterations === 1).map((a) => a.finished)));
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html} ${n.failureSummary}`));
}

for (const colorScheme of ['light', 'dark']) {
  for (const [device, options] of [['a desktop', {}], ['a phone', PHONE]]) {
    test(`axe finds nothing on ${device}, ${colorScheme}`, async () => {
      const page = await open('axe', { colorScheme, welcome: true, ...options });
      assert.deepEqual(await violations(page), [], 'the first visit');
      await page.locator('#welcome-name').fill('Ada');
      await page.locator('#welcome-name').press('Enter');
      await page.locator('#people li').waitFor({ state: 'attached', timeout: DEADLINE });
      assert.deepEqual(await violations(page), [], 'the page');
      for (const button of ['#people-button', '#state', '#canvas-button', '#color', '#brush']) {
        await page.locator(button).click();
        if (button === '#canvas-button') await page.locator('#canvas-list a').first().waitFor({ timeout: DEADLINE });
        assert.deepEqual(await violations(page), [], button);
        await page.keyboard.press('Escape');
      }
      for (const panel of ['share-panel', 'save-panel']) {
        await page.evaluate((id) => document.getElementById(id).showPopover(), panel);
        assert.deepEqual(await violations(page), [], panel);
        await page.keyboard.press('Escape');
      }
      await page.keyboard.press('?');
      await page.getByRole('heading', { name: 'How to draw here' }).waitFor({ timeout: DEADLINE });
      assert.deepEqual(await violations(page), [], 'the help');
      await page.keyboard.press('Escape');
      await page.context().setOffline(true);
      await page.waitForSelector('#state[data-state=offline]', { timeout: DEADLINE });
      await drawWithMouse(page, [[3, 3], [6, 3]]);
      await page.keyboard.press('Control+z');
      await page.keyboard.press('Control+z');
      await page.locator('.message').waitFor({ timeout: DEADLINE });
      assert.deepEqual(await violations(page), [], 'offline, with a message');
    });
  }
}

test('all is done by keyboard alone, and told to who listens', async () => {
  const page = await open('keys', { welcome: true });
  await page.waitForFunction(() => document.getElementById('canvas').dataset.scale, null, { timeout: DEADLINE });
  const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim());
  const tabTo = async (name) => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab');
      if ((await focused()).startsWith(name)) return;
    }
    assert.fail(`${name} is not reached by tab`);
  };
  const told = (text) => page.waitForFunction((text) => document.getElementById('announcements').textContent.trim() === text, text, { timeout: DEADLINE });
  await tabTo('Skip to the canvas');
  await tabTo('Close');
  await page.keyboard.press('Enter');
  await tabTo('Pencil');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  assert.equal(await focused(), 'Line');
  await tabTo('Blue');
  await page.keyboard.press('ArrowLeft');
  assert.equal(await focused(), 'Sky');
  for (let i = 0; i < 60 && (await focused()) !== 'Pixel canvas'; i++) await page.keyboard.press('Shift+Tab');
  assert.equal(await focused(), 'Pixel canvas');
  await told('Column 1, row 1, White');
  // A line: space where it begins, space where it ends.
  for (const key of ['ArrowDown', 'ArrowDown', 'Space', 'ArrowRight', 'ArrowRight', 'ArrowRight', 'Space']) await page.keyboard.press(key);
  await waitShown(page, cells('#38BDF8', [0, 2, 3, 2]));
  await told('Column 4, row 3, Sky');
  await page.keyboard.press('r');
  for (const key of ['ArrowDown', 'ArrowDown', 'Enter', 'Control+ArrowRight', 'Escape']) await page.keyboard.press(key);
  await waitShown(page, cells('#38BDF8', [0, 2, 3, 2]));
  await page.keyboard.press('7');
  await page.keyboard.press('p');
  await page.keyboard.down('Shift');
  for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowDown');
  await page.keyboard.up('Shift');
  const drawn = { ...cells('#38BDF8', [0, 2, 3, 2]), ...cells('#DC2626', [13, 4, 13, 7]) };
  await waitShown(page, drawn);
  await page.keyboard.press('Control+z');
  await told('Undone');
  await waitShown(page, cells('#38BDF8', [0, 2, 3, 2]));
  await page.keyboard.press('Control+y');
  await waitShown(page, drawn);
  const scale = () => page.evaluate(() => Number(document.getElementById('canvas').dataset.scale));
  const before = await scale();
  await page.keyboard.press('+');
  await page.waitForFunction((before) => Number(document.getElementById('canvas').dataset.scale) > before, before, { timeout: DEADLINE });
  await page.keyboard.press('d');
  await page.keyboard.press('0');
  await page.waitForFunction((before) => Number(document.getElementById('canvas').dataset.scale) === before, before, { timeout: DEADLINE });
  // Somebody else paints the cell that the cursor is on.
  const answer = await fetch(`${playground.url}/api/canvases/keys/pixels`, { method: 'PUT', body: JSON.stringify({ pixels: [{ x: 13, y: 7, color: '#7C3AED' }] }) });
  assert.ok(answer.ok, await answer.text());
  await told('Somebody painted this pixel: Violet');
});

test('letters can be turned off', async () => {
  const page = await open('keys');
  await page.keyboard.press('?');
  await page.locator('#help-dialog').waitFor();
  await page.getByLabel('Use keys without ctrl or cmd').uncheck();
  await page.keyboard.press('Escape');
  await page.keyboard.press('l');
  assert.ok(await page.getByRole('radio', { name: 'Pencil' }).isChecked());
  await page.reload();
  await waitLive(page);
  await page.keyboard.press('l');
  assert.ok(await page.getByRole('radio', { name: 'Pencil' }).isChecked(), 'kept');
  await page.getByRole('button', { name: 'Help and keys' }).click();
  await page.getByLabel('Use keys without ctrl or cmd').check();
  await page.keyboard.press('Escape');
  await page.keyboard.press('l');
  assert.ok(await page.getByRole('radio', { name: 'Line', exact: true }).isChecked());
});

test('with reduced motion nothing moves', async () => {
  const page = await open('keys', { reducedMotion: 'reduce' });
  await page.locator('#people-button').click();
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
});

test('from a small phone to a large screen nothing is cut off, covered or too small to hit', async () => {
  for (const [width, height, touch] of [[320, 568, true], [390, 844, true], [568, 320, true], [740, 360, true], [768, 1024, true], [1024, 600, false], [1280, 800, false], [3840, 2160, false]]) {
    const page = await open('narrow', { viewport: { width, height }, hasTouch: touch, isMobile: touch });
    const problems = await page.evaluate((touch) => {
      const found = [];
      if (document.documentElement.scrollWidth > innerWidth || document.documentElement.scrollHeight > innerHeight) found.push('the page scrolls');
      for (const e of document.querySelectorAll('button, input, a[href]')) {
        const target = e.closest('label') ?? e;
        const { width, height, left, right, top, bottom } = target.getBoundingClientRect();
        if (width === 0 || e.closest('.skip')) continue; // not shown
        const name = e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent.trim() ?? e.textContent.trim();
        if (!name) found.push(`${e.outerHTML} has no name`);
        if (touch && (Math.round(width) < 44 || Math.round(height) < 44)) found.push(`${name}: ${width}×${height}`);
        if (e.closest('.palette')) continue; // it scrolls
        if (left < 0 || right > innerWidth || top < 0 || bottom > innerHeight) found.push(`${name}: off the page`);
        const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
        if (!target.contains(hit)) found.push(`${name}: covered by ${hit?.outerHTML.slice(0, 80)}`);
      }
      const canvas = document.getElementById('canvas');
      const [left, top, scale] = ['left', 'top', 'scale'].map((n) => Number(canvas.dataset[n]) / devicePixelRatio);
      for (const [x, y] of [[0.5, 0.5], [49.5, 0.5], [0.5, 49.5], [49.5, 49.5]]) {
        const hit = document.elementFromPoint(left + x * scale, top + y * scale);
        if (hit !== canvas) found.push(`cell ${x}, ${y} is covered by ${hit?.outerHTML.slice(0, 80)}`);
      }
      return found;
    }, touch);
    assert.deepEqual(problems, [], `${width}×${height}`);
  }
});
