// What the browser tests stand on: the real program on a free port, a wire to
// it that can be cut, and a browser.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** How long a test waits for what should come; nothing is measured by it. */
export const DEADLINE = 20000;

/**
 * Starts the playground with the canvases that are named, and further settings
 * of its environment. PLAYGROUND names the program; without it, it is built. With
 * flags such as -gateways 2 its services are processes of their own, whose ids
 * `pid` gives by name.
 */
export async function startPlayground(canvases, { settings = {}, flags = [] } = {}) {
  const program = process.env.PLAYGROUND || path.join(root, 'build', 'playground');
  if (!process.env.PLAYGROUND) execFileSync('go', ['build', '-o', program, './services/playground'], { cwd: root, stdio: 'inherit' });
  if (!existsSync(program)) throw new Error(`no program at ${program}`);
  const data = mkdtempSync(path.join(os.tmpdir(), 'playground-e2e-'));
  const child = spawn(program, ['-addr', '127.0.0.1:0', '-data', data, ...flags], {
    env: { ...process.env, CANVASES: canvases.join(','), DRAIN_DELAY: '0s', CONNECTION_RATE_PER_ADDRESS: '0', MAX_CONNECTIONS_PER_ADDRESS: '0', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  let output = '';
  const port = await new Promise((resolve, reject) => {
    const read = (chunk) => {
      output += chunk;
      const match = /page\s+http:\/\/[^\s:]+:(\d+)\//.exec(output);
      if (match) resolve(Number(match[1]));
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    ended.then((code) => reject(new Error(`the playground ended with ${code}:\n${output}`)));
  });
  const ready = new Promise((resolve) => {
    const read = () => /Ctrl-C/.test(output) && resolve();
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    read();
  });
  await ready;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    /** Where a gateway tells its metrics. */
    get metrics() {
      return /gateway\S*\s+(http:\/\/\S+\/metrics)/.exec(output)?.[1];
    },
    /** Of "redis", "gateway-0", …: the process that has the name now. */
    pid(name) {
      const found = [...output.matchAll(new RegExp(`${name}\\b.*\\bpid[ =](\\d+)`, 'g'))].at(-1);
      if (!found) throw new Error(`no process ${name} in:\n${output}`);
      return Number(found[1]);
    },
    async stop() {
      child.kill('SIGTERM');
      await ended;
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** A wire to a port of this machine on which WebSockets can be cut. */
export async function startWire(to) {
  const webSockets = new Set();
  const all = new Set();
  let cut = false;
  const server = net.createServer((client) => {
    all.add(client);
    client.on('close', () => all.delete(client));
    client.on('error', () => client.destroy());
    client.once('data', (first) => {
      const isWebSocket = /^GET \/ws[? ]/.test(first.toString('latin1', 0, 16));
      if (isWebSocket && cut) return client.destroy();
      const upstream = net.connect(to, '127.0.0.1');
      upstream.on('error', () => client.destroy());
      upstream.on('close', () => client.destroy());
      client.on('close', () => upstream.destroy());
      upstream.write(first);
      client.pipe(upstream).pipe(client);
      if (isWebSocket) {
        webSockets.add(client);
        client.on('close', () => webSockets.delete(client));
      }
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Ends all WebSockets without a word and lets none through. */
    cut() {
      cut = true;
      for (const socket of webSockets) socket.destroy();
    },
    mend() {
      cut = false;
    },
    async stop() {
      for (const socket of all) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export const program = () => process.env.CHROMIUM || '/usr/bin/chromium';

export const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export function launchBrowser() {
  return chromium.launch({ executablePath: program(), headless: true, args: FLAGS });
}

/**
 * Notes what the console says that it should not: errors, violations of the
 * policy, uncaught exceptions. A connection that was cut is reported there by
 * the browser itself and does not count.
 */
export function watchConsole(page) {
  const complaints = [];
  page.on('console', (m) => {
    if (m.type() === 'error' && !/^WebSocket connection to /.test(m.text())) complaints.push(m.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return complaints;
}

/** Waits until the page is live and has painted, and closes what asks for a name on the first visit. */
export async function waitLive(page) {
  await page.waitForSelector('#state[data-state=live]', { timeout: DEADLINE });
  await page.waitForFunction(() => document.getElementById('canvas').dataset.scale, null, { timeout: DEADLINE });
  await page.evaluate(() => document.getElementById('welcome').hidden || document.getElementById('welcome-close').click());
}

/** Where the centre of a cell is on the page. */
export async function cellCentre(page, x, y) {
  return page.evaluate(
    ([x, y]) => {
      const canvas = document.getElementById('canvas');
      const box = canvas.getBoundingClientRect();
      const ratio = canvas.width / box.width;
      const { left, top, scale } = canvas.dataset;
      return [box.left + (Number(left) + (x + 0.5) * scale) / ratio, box.top + (Number(top) + (y + 0.5) * scale) / ratio];
    },
    [x, y],
  );
}

/** The colours that the page shows, as {"x,y": "#RRGGBB"} without the white. */
export async function shown(page) {
  return page.evaluate(readCells);
}

/** Runs in the page: looks at the pixels in the middle of each cell. */
export function readCells() {
  const canvas = document.getElementById('canvas');
  const [left, top, scale] = ['left', 'top', 'scale'].map((name) => Number(canvas.dataset[name]));
  const [columns, rows] = document.getElementById('size').textContent.match(/\d+/g).map(Number);
  const { data, width } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const cells = {};
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const at = 4 * (Math.floor(top + (y + 0.5) * scale) * width + Math.floor(left + (x + 0.5) * scale));
      const color = '#' + [...data.slice(at, at + 3)].map((v) => v.toString(16).padStart(2, '0')).join('').toUpperCase();
      if (color !== '#FFFFFF') cells[`${x},${y}`] = color;
    }
  }
  return cells;
}

/** Waits until the page shows just these cells on white. */
export async function waitShown(page, expected) {
  const wanted = JSON.stringify(Object.entries(expected).sort());
  const end = Date.now() + DEADLINE;
  for (;;) {
    const got = JSON.stringify(Object.entries(await shown(page)).sort());
    if (got === wanted) return;
    if (Date.now() > end) throw new Error(`the page shows\n${got}\nand not\n${wanted}`);
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
  }
}

/** Waits until a condition holds, looking at it once a frame or so. */
export async function waitUntil(condition) {
  const end = Date.now() + DEADLINE;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`still not: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Checks the radio button of a colour or a tool. */
export async function chooseColor(page, name) {
  await page.getByRole('radio', { name, exact: true }).check({ force: true });
}

export const chooseTool = chooseColor;

/** Gives the page's user a name, by the list of people. */
export async function setName(page, name) {
  await page.locator('#people-button').click();
  await page.locator('#name').fill(name);
  await page.locator('#name').press('Enter');
  await page.keyboard.press('Escape');
}

/** Draws with the mouse along cells; between them it moves in one jump. */
export async function drawWithMouse(page, cells) {
  const points = [];
  for (const [x, y] of cells) points.push(await cellCentre(page, x, y));
  await page.mouse.move(...points[0]);
  await page.mouse.down();
  for (const point of points.slice(1)) await page.mouse.move(...point);
  await page.mouse.up();
}

/** Cells of a row or column, as shown gives them. */
export function cells(color, ...lines) {
  const all = {};
  for (const [x0, y0, x1, y1] of lines) {
    for (let y = y0; y <= y1; y++) for (let x = x0; x <= x1; x++) all[`${x},${y}`] = color;
  }
  return all;
}
