// The last picture of each canvas, kept in the browser: shown at once when the
// page opens, and the one to draw on where there is no network.
//
// It is only for looking at. The connection starts with a snapshot all the
// same, so that loading the page again always heals a picture that is wrong.

import { Grid } from '../state/grid.js';
import { MAX_SIDE } from '../transport/protocol.js';

const DATABASE = 'pixel-pictures';
const STORE = 'pictures';
/** Greatest canvas that is kept: 16 MiB of cells. */
export const MAX_KEPT_CELLS = 4 << 20;
/** How many canvases are kept, those looked at last. */
export const MAX_KEPT = 4;

/**
 * Opens the pictures.
 * @param {IDBFactory|undefined} factory none: nothing is kept
 * @returns {Promise<Pictures>} one that keeps nothing where the browser forbids it
 */
export async function openPictures(factory = globalThis.indexedDB) {
  try {
    const request = factory.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'canvas' });
    const database = await settled(request);
    // A later version in another tab must not wait for this one.
    database.onversionchange = () => database.close();
    return new Pictures(database);
  } catch {
    return new Pictures(null);
  }
}

/** Pictures by canvas. Nothing here rejects: what fails was not kept. */
export class Pictures {
  #database;

  /** @param {IDBDatabase|null} database */
  constructor(database) {
    this.#database = database;
  }

  /**
   * The picture that was kept of a canvas, or null.
   * @param {string} canvas
   * @returns {Promise<Grid|null>}
   */
  async load(canvas) {
    try {
      return toGrid(await settled(this.#store('readonly').get(canvas)));
    } catch {
      return null;
    }
  }

  /**
   * Keeps a picture, in place of the one before.
   * @param {string} canvas
   * @param {Grid} grid copied before this returns
   * @param {number} now ms since the Unix epoch
   * @returns {Promise<boolean>} whether it was kept
   */
  async save(canvas, { width, height, background, cells }, now) {
    if (cells.length > MAX_KEPT_CELLS) return false;
    try {
      const keeping = this.#store('readwrite');
      const put = settled(keeping.put({ canvas, width, height, background, cells, time: now }));
      // A page that is left does not live to see the answer; without this its
      // transaction would be taken back.
      keeping.transaction.commit?.();
      await put;
      const store = this.#store('readwrite');
      const times = /** @type {[number, string][]} */ ([]);
      await walk(store.openCursor(), ({ value }) => times.push([value.time, value.canvas]));
      times.sort(([a], [b]) => b - a);
      for (const [, old] of times.slice(MAX_KEPT)) store.delete(old);
      return true;
    } catch {
      return false;
    }
  }

  /** Throws where there is no database. @param {IDBTransactionMode} mode */
  #store(mode) {
    return /** @type {IDBDatabase} */ (this.#database).transaction(STORE, mode).objectStore(STORE);
  }
}

/** What was kept as a grid; null for what cannot be one. @param {any} kept */
function toGrid(kept) {
  const side = (/** @type {number} */ n) => Number.isInteger(n) && n >= 1 && n <= MAX_SIDE;
  if (!kept || !side(kept.width) || !side(kept.height)) return null;
  if (!(kept.cells instanceof Uint32Array) || kept.cells.length !== kept.width * kept.height) return null;
  const grid = new Grid(kept);
  grid.cells.set(kept.cells);
  return grid;
}

/**
 * @template T
 * @param {IDBRequest<T>|IDBOpenDBRequest} request
 * @returns {Promise<T>}
 */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(/** @type {T} */ (request.result));
    request.onerror = () => reject(request.error);
    if ('onblocked' in request) request.onblocked = () => reject(new Error('blocked'));
  });
}

/**
 * @param {IDBRequest<IDBCursorWithValue|null>} request
 * @param {(cursor: IDBCursorWithValue) => void} visit
 * @returns {Promise<void>}
 */
function walk(request, visit) {
  return new Promise((resolve, reject) => {
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const cursor = request.result;
      if (!cursor) return resolve();
      visit(cursor);
      cursor.continue();
    };
  });
}

/**
 * Shows the picture that was kept of a canvas, and keeps it while the page is
 * open: now and then, and when the page is left.
 * @param {string} canvas
 * @param {import('../playground.js').Playground} playground
 */
export async function keepPicture(canvas, playground) {
  const EVERY = 5000;
  const pictures = await openPictures();
  const grid = await pictures.load(canvas);
  if (grid) playground.show(grid);
  let saved = '';
  const save = () => {
    // Without a position the picture is the kept one, or not to be trusted.
    const { grid, position } = playground;
    const at = position && `${position.epoch}/${position.seq}`;
    if (!grid || !at || at === saved) return;
    saved = at;
    pictures.save(canvas, grid, Date.now());
  };
  setInterval(() => document.hidden || (globalThis.requestIdleCallback ?? setTimeout)(save), EVERY);
  document.addEventListener('visibilitychange', () => document.hidden && save());
  addEventListener('pagehide', save);
}
