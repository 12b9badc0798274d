// What the page asks the Canvas API for; all else comes over the socket.

import { parseColor } from './protocol.js';

/**
 * Who wrote a pixel last. `at` is in ms since the Unix epoch; `reset` that the
 * whole canvas was made blank.
 * @typedef {{color: number|null, written: {name: string, at: number, reset: boolean}|null}} Story
 */

/** @typedef {{id: string, width: number, height: number}} CanvasInfo */

/**
 * @param {string|undefined} base of the api; empty: the page's own origin
 * @param {string} path
 * @param {AbortSignal} [signal]
 */
async function get(base, path, signal) {
  const answer = await fetch(new URL(`${(base || '').replace(/\/$/, '')}${path}`, location.href), { signal, headers: { Accept: 'application/json' } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/**
 * @param {string|undefined} base
 * @param {string} canvas
 * @param {number} x
 * @param {number} y
 * @param {AbortSignal} [signal]
 * @returns {Promise<Story>}
 */
export async function pixelStory(base, canvas, x, y, signal) {
  const { color, lastWrite } = await get(base, `/api/canvases/${encodeURIComponent(canvas)}/pixels/${x}/${y}`, signal);
  const written = lastWrite ? { name: String(lastWrite.username), at: Number(lastWrite.timestamp), reset: Boolean(lastWrite.reset) } : null;
  return { color: parseColor(String(color)), written };
}

/**
 * @param {string|undefined} base
 * @returns {Promise<CanvasInfo[]>}
 */
export async function listCanvases(base) {
  const { canvases } = await get(base, '/api/canvases');
  return canvases.map((/** @type {any} */ c) => ({ id: String(c.id), width: Number(c.width), height: Number(c.height) }));
}
