// Takes a picture of a dashboard, drawn from a Prometheus that runs.
//
//   PROMETHEUS=http://127.0.0.1:9090 node shoot.mjs pixel-overview out.png [minutes] [height] [until]

import { chromium } from 'playwright-core';
import { createServer } from 'vite';

const [name, file, minutes = '5', height, until] = process.argv.slice(2);
if (!file) throw new Error('usage: node shoot.mjs DASHBOARD FILE [MINUTES] [HEIGHT] [UNTIL]');
const server = await createServer({ root: import.meta.dirname, server: { port: 0 }, logLevel: 'warn' });
await server.listen();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage({ viewport: { width: 1424, height: 900 } });
  page.on('pageerror', (error) => console.error(String(error)));
  page.on('console', (m) => m.type() === 'error' && console.error(m.text()));
  await page.goto(`http://127.0.0.1:${server.httpServer.address().port}/?dashboard=${name}&minutes=${minutes}${until ? `&to=${until}` : ''}`, { timeout: 180_000 });
  await page.waitForFunction(() => document.querySelector('.panel') && !document.querySelector('.panel[data-state=loading]'), null, { timeout: 180_000 });
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  await page.screenshot(height ? { path: file, fullPage: true, clip: { x: 0, y: 0, width: 1424, height: Number(height) } } : { path: file, fullPage: true });
} finally {
  await browser.close();
  await server.close();
}
