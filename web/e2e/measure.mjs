// Measures the page in Chromium, by Chromium itself: how soon it shows and can
// be drawn on, what it transfers, and how it keeps up with a busy canvas.
//
//   PLAYGROUND=build/playground node web/e2e/measure.mjs [seconds]
//
// It prints a table and ends with 1 where a target is missed. Figures need a
// machine that does nothing else; docs/PERFORMANCE.md says where its were taken.

import { launchBare } from './bare.js';
import { launchBrowser, startPlayground, waitLive } from './playground.js';

const SECONDS = Number(process.argv[2] ?? 10);
const SIDE = 1000;
/** Pixels a second that others draw, in so many requests. */
const RATE = 1000;
const REQUESTS = 20;
const LOADS = 7;

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.ceil(q * values.length) - 1)];

/**
 * When the page showed something, and when one could draw on it: the picture is
 * there, the page is live, and a frame was painted since. Runs in the page.
 */
const WATCH = `window.times = new Promise((resolve) => {
  const look = () => {
    const ready = document.getElementById('canvas')?.dataset.scale && document.querySelector('#state[data-state=live]');
    if (!ready) return requestAnimationFrame(look);
    requestAnimationFrame(() => resolve({ interactive: performance.now(), paint: performance.getEntriesByName('first-contentful-paint')[0].startTime }));
  };
  requestAnimationFrame(look);
})`;

/**
 * What a first visit transfers, in bytes as they came over the wire, headers
 * included: all that the page loads by itself, also after one can draw on it.
 */
async function transfer(browser, url) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, serviceWorkers: 'block' });
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  let bytes = 0;
  let requests = 0;
  await cdp.send('Network.enable');
  cdp.on('Network.loadingFinished', (e) => {
    bytes += e.encodedDataLength;
    requests++;
  });
  await page.goto(url);
  await waitLive(page);
  await page.waitForLoadState('networkidle');
  await context.close();
  return { bytes, requests };
}

/** Tasks of the page's main thread, in ms, from a trace of Chromium's. */
function mainThreadTasks(trace) {
  const events = JSON.parse(trace.toString()).traceEvents;
  const mains = new Set(events.filter((e) => e.name === 'thread_name' && e.args.name === 'CrRendererMain').map((e) => `${e.pid}/${e.tid}`));
  return events.filter((e) => e.ph === 'X' && /RunTask$/.test(e.name) && mains.has(`${e.pid}/${e.tid}`)).map((e) => e.dur / 1000);
}

/** A page on a great canvas while others draw on all of it. */
async function follow(browser, playground) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  await page.goto(`${playground.url}/?canvas=great`);
  await waitLive(page);
  let drawn = 0;
  const failures = [];
  const timer = setInterval(async () => {
    const pixels = Array.from({ length: RATE / REQUESTS }, () => ({
      x: Math.floor(Math.random() * SIDE),
      y: Math.floor(Math.random() * SIDE),
      color: `#${Math.floor(Math.random() * 0x1000000).toString(16).padStart(6, '0')}`,
    }));
    const answer = await fetch(`${playground.url}/api/canvases/great/pixels`, { method: 'PUT', body: JSON.stringify({ pixels }) }).catch((e) => ({ ok: false, status: e.message }));
    if (answer.ok) drawn += pixels.length;
    else failures.push(answer.status);
  }, 1000 / REQUESTS);
  try {
    await page.waitForTimeout(1000); // what the beginning costs is measured above
    await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline', '__metadata'] });
    const before = drawn;
    const frames = await page.evaluate(async (ms) => {
      const long = [];
      new PerformanceObserver((list) => long.push(...list.getEntries().map((e) => e.duration))).observe({ type: 'longtask' });
      const times = [];
      const end = performance.now() + ms;
      await new Promise((resolve) => {
        const frame = (now) => {
          times.push(now);
          if (now < end) requestAnimationFrame(frame);
          else resolve();
        };
        requestAnimationFrame(frame);
      });
      return { times, long };
    }, SECONDS * 1000);
    const rate = (drawn - before) / SECONDS;
    const tasks = mainThreadTasks(await browser.stopTracing());
    const gaps = frames.times.slice(1).map((t, i) => t - frames.times[i]);
    return { rate, failures, tasks, gaps, long: frames.long, fps: (1000 * gaps.length) / (frames.times.at(-1) - frames.times[0]) };
  } finally {
    clearInterval(timer);
    await context.close();
  }
}

const playground = await startPlayground([`great:${SIDE}x${SIDE}`]);
const browser = await launchBrowser();
let missed = 0;
const row = (what, value, target, met) => {
  if (!met) missed++;
  console.log(`| ${what} | ${value} | ${target} | ${met ? 'yes' : 'no'} |`);
};
try {
  const bare = await launchBare();
  const visit = () => bare.visit(playground.url, { before: WATCH, expression: 'window.times' });
  const loads = [];
  try {
    await visit(); // Chromium's own first time
    for (let i = 0; i < LOADS; i++) loads.push(await visit());
  } finally {
    await bare.close();
  }
  const { bytes, requests } = await transfer(browser, playground.url);
  const busy = await follow(browser, playground);
  const [paint, interactive] = ['paint', 'interactive'].map((key) => median(loads.map((l) => l[key])));
  console.log('| what | measured | target | met |\n|---|---|---|---|');
  row('first contentful paint', `${paint.toFixed(0)} ms`, '< 500 ms', paint < 500);
  row('interactive: picture painted and live', `${interactive.toFixed(0)} ms`, '< 500 ms', interactive < 500);
  row('transferred by a first visit, compressed', `${(bytes / 1000).toFixed(1)} kB in ${requests} answers`, '< 100 kB', bytes < 100_000);
  row('pixels that arrived', `${busy.rate.toFixed(0)}/s`, `${RATE}/s`, busy.rate > 0.95 * RATE && busy.failures.length === 0);
  row('frames', `${busy.fps.toFixed(1)}/s, p95 ${quantile(busy.gaps, 0.95).toFixed(1)} ms apart, longest ${Math.max(...busy.gaps).toFixed(1)} ms`, '60/s', busy.fps > 59);
  row('tasks of the main thread', `p99 ${quantile(busy.tasks, 0.99).toFixed(2)} ms, longest ${Math.max(...busy.tasks).toFixed(1)} ms`, 'none > 50 ms', Math.max(...busy.tasks) <= 50);
  row('long tasks as the page sees them', String(busy.long.length), '0', busy.long.length === 0);
} finally {
  await browser.close();
  await playground.stop();
}
process.exitCode = missed > 0 ? 1 : 0;
