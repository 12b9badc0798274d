// Draws the icons of the installed page from web/favicon.svg:
//
//   node scripts/icons.mjs
//
// The drawing stands on whole pixels at every size. A maskable icon is cut by
// the system to a circle or another shape; its drawing stays within the inner
// 80 % that every shape leaves.

import { mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { launchBrowser } from '../web/e2e/playground.js';

const web = fileURLToPath(new URL('../web/', import.meta.url));
const drawing = `data:image/svg+xml;base64,${readFileSync(`${web}favicon.svg`).toString('base64')}`;

/** File, side, side of the drawing (a multiple of its 16 cells), whether it has corners of its own. */
const icons = [
  ['icon-192.png', 192, 144, true],
  ['icon-512.png', 512, 384, true],
  ['maskable-512.png', 512, 288, false],
  ['apple-touch-180.png', 180, 128, false],
];

mkdirSync(`${web}icons`, { recursive: true });
const browser = await launchBrowser();
try {
  for (const [file, side, inner, rounded] of icons) {
    const page = await browser.newPage({ viewport: { width: side, height: side } });
    await page.setContent(`<style>
      body { margin: 0; background: transparent }
      div { width: ${side}px; height: ${side}px; background: #f0f9ff; border-radius: ${rounded ? side / 5 : 0}px; display: grid; place-items: center }
      img { width: ${inner}px; height: ${inner}px; image-rendering: pixelated }
    </style><div><img src="${drawing}"></div>`);
    await page.locator('img').evaluate((image) => image.decode());
    await page.screenshot({ path: `${web}icons/${file}`, omitBackground: rounded });
    await page.close();
  }
} finally {
  await browser.close();
}
