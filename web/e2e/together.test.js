// What two pages and the services do together beside the picture: cursors,
// traces from the click to the paint, and a page that talks to nobody else.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { DEADLINE, cellCentre, cells, chooseColor, drawWithMouse, launchBrowser, startPlayground, waitLive, waitShown, watchConsole } from './playground.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const RED = '#DC2626';

let receiver;
let playground;
let browser;
let contexts = [];
let consoles = [];
/** Every address that any page of a test asked for. */
let requests = [];

before(async () => {
  receiver = await startReceiver();
  playground = await startPlayground(['cursors', 'view:300x300', 'traces', 'alone'], {
    settings: {
      BROWSER_TRACES_URL: `http://${receiver.address}/v1/traces`,
      BROWSER_TRACES_RATIO: '1',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `http://${receiver.address}/v1/traces`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
      OTEL_BSP_SCHEDULE_DELAY: '50',
    },
  });
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await playground?.stop();
  await receiver?.stop();
});

afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close();
  requests = [];
  assert.deepEqual(consoles.splice(0).flat(), [], 'the console stays empty');
});

/** The OTLP receiver of ./otlp. */
async function startReceiver() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'playground-otlp-'));
  const program = path.join(folder, 'otlp');
  execFileSync('go', ['build', '-o', program, './web/e2e/otlp'], { cwd: root, stdio: 'inherit' });
  const child = spawn(program, [], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const lines = [];
  const address = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const got = JSON.parse(line);
      if (got.address) resolve(got.address);
      else lines.push(got);
    });
    ended.then(() => reject(new Error('the receiver of traces ended')));
  });
  return {
    address,
    lines,
    async stop() {
      child.stdin.end();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function open(canvas, options) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 700 }, ...options });
  contexts.push(context);
  context.on('request', (request) => requests.push(request.url()));
  const page = await context.newPage();
  page.on('websocket', (socket) => requests.push(socket.url()));
  consoles.push(watchConsole(page));
  await page.goto(`${playground.url}/?canvas=${canvas}`);
  await waitLive(page);
  return page;
}

/** Waits for what the function finds. */
async function eventually(what, find) {
  const end = Date.now() + DEADLINE;
  for (;;) {
    const found = await find();
    if (found) return found;
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The cursors of others that a page shows. */
const shownCursors = (page) => page.evaluate(() => JSON.parse(document.getElementById('layers').dataset.cursors ?? '[]'));

/** Points, again and again: what is told before somebody follows is lost. */
async function pointUntil(from, to, [x, y], fits) {
  let turn = 0;
  return eventually(`a cursor at ${x},${y}`, async () => {
    // A mouse that rests tells nothing: it comes from the next cell.
    await from.mouse.move(...(await cellCentre(from, x + (turn++ % 2), y)));
    await from.mouse.move(...(await cellCentre(from, x, y)));
    await from.evaluate(() => new Promise((resolve) => setTimeout(resolve, 120)));
    return fits(await shownCursors(to));
  });
}

test('everybody sees where the others point', async () => {
  const [a, b] = [await open('cursors'), await open('cursors')];
  await pointUntil(a, b, [10, 20], (list) => list.length === 1 && list[0].x === 10 && list[0].y === 20);
  assert.deepEqual(await shownCursors(a), [], 'not one’s own');
  // It is drawn on a layer of its own: the picture has nothing of it.
  await waitShown(b, {});
  const painted = await b.evaluate(
    ([x, y]) => {
      const layers = document.getElementById('layers');
      const box = layers.getBoundingClientRect();
      const ratio = layers.width / box.width;
      const { data } = layers.getContext('2d').getImageData((x - box.left) * ratio, (y - box.top) * ratio, 12, 16);
      return data.some((v, i) => i % 4 === 3 && v === 255);
    },
    await cellCentre(b, 10, 20),
  );
  assert.ok(painted, 'an arrow at the cell');
  await a.mouse.move(2, 2); // off the canvas, over the panels
  await eventually('the cursor gone', async () => (await shownCursors(b)).length === 0);
  await pointUntil(a, b, [5, 5], (list) => list.length === 1);
  await a.close();
  await eventually('the cursor gone with its page', async () => (await shownCursors(b)).length === 0);
});

test('only those in view are told', async () => {
  const [a, b] = [await open('view'), await open('view')];
  await pointUntil(a, b, [150, 150], (list) => list.length === 1);
  // Zoomed to another part of the canvas, the cursor is out of view.
  const [x, y] = await cellCentre(b, 40, 60);
  await b.mouse.move(x, y);
  for (let i = 0; i < 12; i++) await b.mouse.wheel(0, -300);
  await eventually('zoomed', async () => Number(await b.locator('#canvas').getAttribute('data-scale')) > 12);
  await eventually('the cursor out of view', async () => (await shownCursors(b)).length === 0);
});

test('one trace from the click through the gateways to the paint', async () => {
  const page = await open('traces');
  await chooseColor(page, 'Red');
  await drawWithMouse(page, [[4, 4]]);
  await waitShown(page, cells(RED, [4, 4, 4, 4]));
  const root = await eventually('the page’s span', () => receiver.lines.find((s) => s.service === 'page' && s.attributes['pixel.canvas'] === 'traces'));
  assert.equal(root.name, 'draw');
  assert.equal(root.kind, 'SPAN_KIND_CLIENT');
  assert.equal(root.parent, '');
  assert.match(root.version, /^[0-9a-f]{20}$/);
  assert.deepEqual(root.events, ['drawn', 'sent', 'in the picture', 'painted']);
  assert.deepEqual(root.attributes, { 'pixel.canvas': 'traces', 'pixel.count': '1', 'pixel.attempts': '1' });
  const child = await eventually('the gateway’s span below it', () => receiver.lines.find((s) => s.service !== 'page' && s.parent === root.span));
  assert.equal(child.trace, root.trace);
  assert.ok(root.begin <= child.begin && child.begin <= root.end, 'it lies within the page’s span: one machine, one clock');
  assert.deepEqual(receiver.lines.filter((s) => s.error), [], 'everything was OTLP to the letter');
  // And the gateway was told how long it took.
  const samples = await eventually('a reported latency', async () => {
    const metrics = await (await fetch(playground.metrics)).text();
    return /pixel_end_to_end_latency_seconds_count\{[^}]*vantage="browser"[^}]*\} ([1-9]\d*)/.exec(metrics);
  });
  assert.ok(Number(samples[1]) >= 1);
});

test('the page talks to nobody but its own services, and runs nothing but its own files', async () => {
  const page = await open('alone');
  await chooseColor(page, 'Red');
  await drawWithMouse(page, [[1, 1], [9, 9]]);
  await eventually('the worker', () => page.evaluate(() => navigator.serviceWorker.controller !== null));
  await page.reload();
  await waitLive(page);
  const strangers = requests.filter((url) => {
    const { host, protocol } = new URL(url);
    return !['blob:', 'data:'].includes(protocol) && host !== new URL(playground.url).host && host !== receiver.address;
  });
  assert.deepEqual(strangers, []);
  assert.ok(requests.length > 20, 'requests are seen at all');
  const policy = (await (await fetch(playground.url)).headers.get('Content-Security-Policy')) ?? '';
  assert.ok(policy.includes("default-src 'self'") && !policy.includes('unsafe') && !policy.includes('*'), policy);
  // What a hole in the page could do is stopped by the browser.
  const outcome = await page.evaluate(async () => {
    const stopped = [];
    document.addEventListener('securitypolicyviolation', (e) => stopped.push(e.effectiveDirective));
    const tries = {
      markup: () => (document.body.innerHTML = '<b>x</b>'),
      script: () => Object.assign(document.createElement('script'), { text: 'window.hacked = 1' }),
      policy: () => window.trustedTypes.createPolicy('another', { createHTML: (s) => s }),
    };
    const thrown = Object.entries(tries).filter(([, run]) => {
      try {
        run();
        return false;
      } catch {
        return true;
      }
    });
    const style = document.createElement('div');
    style.setAttribute('style', 'display: none');
    const image = new Image();
    image.src = 'https://example.org/x.png';
    const sent = await fetch('https://example.org/').then(() => 'sent', () => 'stopped');
    await new Promise((resolve) => setTimeout(resolve, 200));
    return { thrown: thrown.map(([name]) => name), sent, stopped: [...new Set(stopped)].sort(), hacked: 'hacked' in window };
  });
  assert.deepEqual(outcome.thrown, ['markup', 'script', 'policy']);
  assert.equal(outcome.sent, 'stopped');
  assert.equal(outcome.hacked, false);
  for (const directive of ['connect-src', 'img-src', 'style-src-attr']) assert.ok(outcome.stopped.includes(directive), `${directive} in ${outcome.stopped}`);
  consoles.length = 0; // the browser reports what it stopped
});
