// What outlives a tab, in IndexedDB: for each session of a canvas the number
// that its next operation must not fall below, and its outbox, an entry for
// each operation. Writes take effect in the order in which they were asked for.

import { Reader, Writer, readBody, writeBody } from '../transport/binary.js';

const NAME = 'pixel-playground';
const VERSION = 1;
/** Next numbers, by [canvas, session]. */
const SESSIONS = 'sessions';
/** Packed entries, by [canvas, session, number]. */
const ENTRIES = 'entries';

/**
 * How long the browser may take to open the store, in ms. It may never answer:
 * a tab of another release that hangs does not let go of it, or its files are
 * damaged. The page must not wait for that.
 */
export const PATIENCE = 2000;

/** @typedef {import('./outbox.js').Entry} Entry */
/** @typedef {{next: number, entries: Entry[]}} Kept */

/**
 * What Sessions needs of a store. All reject when it is full or forbidden.
 * @typedef {object} Store
 * @property {(canvas: string) => Promise<string[]>} sessions those with a next number
 * @property {(canvas: string, session: string) => Promise<Kept|null>} read null: there
 *   is no such session; entries that are damaged are left out
 * @property {(canvas: string, session: string, next: number) => Promise<void>} reserve
 * @property {(canvas: string, session: string, entry: Entry) => Promise<void>} put
 * @property {(canvas: string, session: string, number: number) => Promise<void>} remove
 * @property {(canvas: string, session: string) => Promise<void>} forget the session with all that is kept of it
 */

/**
 * Opens the browser's store.
 * @param {IDBFactory|undefined} factory
 * @param {import('../transport/clock.js').Clock} clock
 * @returns {Promise<Store|null>} null: the browser has none, does not let the page use it, or does not answer
 */
export async function openStore(factory, clock) {
  /** @type {(() => void)|undefined} */
  let stop;
  try {
    const request = /** @type {IDBFactory} */ (factory).open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(SESSIONS);
      request.result.createObjectStore(ENTRIES);
    };
    const opened = result(request);
    const late = new Promise((resolve) => (stop = clock.after(PATIENCE, () => resolve(null))));
    const db = /** @type {IDBDatabase|null} */ (await Promise.race([opened, late]));
    if (!db) {
      // Nobody will use it any more, and others may wait for it.
      opened.then((db) => db.close(), () => {});
      return null;
    }
    // Another tab has a newer release, or everything is being cleared.
    db.onversionchange = () => db.close();
    return new IndexedStore(db);
  } catch {
    return null;
  } finally {
    stop?.();
  }
}

/** @implements {Store} */
class IndexedStore {
  #db;

  /** @param {IDBDatabase} db */
  constructor(db) {
    this.#db = db;
  }

  /** @param {string} canvas */
  async sessions(canvas) {
    const keys = await result(this.#db.transaction(SESSIONS).objectStore(SESSIONS).getAllKeys(below([canvas])));
    return keys.map((key) => String(/** @type {string[]} */ (key)[1]));
  }

  /** @param {string} canvas @param {string} session */
  async read(canvas, session) {
    const t = this.#db.transaction([SESSIONS, ENTRIES]);
    const range = below([canvas, session]);
    const [next, keys, values] = await Promise.all([
      result(t.objectStore(SESSIONS).get([canvas, session])),
      result(t.objectStore(ENTRIES).getAllKeys(range)),
      result(t.objectStore(ENTRIES).getAll(range)),
    ]);
    if (!Number.isSafeInteger(next) || next < 1) return null;
    const entries = values.map((value, i) => unpackEntry(Number(/** @type {any[]} */ (keys[i])[2]), value)).filter((e) => e !== null);
    return { next, entries };
  }

  /** @param {string} canvas @param {string} session @param {number} next */
  reserve(canvas, session, next) {
    return this.#write(SESSIONS, (s) => s.put(next, [canvas, session]));
  }

  /** @param {string} canvas @param {string} session @param {Entry} entry */
  put(canvas, session, entry) {
    return this.#write(ENTRIES, (s) => s.put(packEntry(entry), [canvas, session, entry.number]));
  }

  /** @param {string} canvas @param {string} session @param {number} number */
  remove(canvas, session, number) {
    return this.#write(ENTRIES, (s) => s.delete([canvas, session, number]));
  }

  /** @param {string} canvas @param {string} session */
  async forget(canvas, session) {
    // The number last: a session without it is not used again.
    await this.#write(ENTRIES, (s) => s.delete(below([canvas, session])));
    await this.#write(SESSIONS, (s) => s.delete([canvas, session]));
  }

  /** @param {string} store @param {(store: IDBObjectStore) => void} change @returns {Promise<void>} */
  #write(store, change) {
    return new Promise((resolve, reject) => {
      const t = this.#db.transaction(store, 'readwrite');
      t.oncomplete = () => resolve();
      t.onabort = () => reject(t.error ?? new Error('aborted'));
      change(t.objectStore(store));
      // Not left to the browser: a page that goes away now has said all it wants.
      t.commit();
    });
  }
}

/** All keys that begin with the given parts: an array sorts behind every text and number. @param {string[]} parts */
const below = (parts) => IDBKeyRange.bound(parts, [...parts, []]);

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** An entry as it is stored: its body as on the wire. @param {Entry} entry */
export function packEntry({ created, sent, pixels }) {
  return { created, sent, body: writeBody(new Writer(), pixels).finish() };
}

/**
 * @param {number} number
 * @param {any} value
 * @returns {Entry|null} null for what is damaged
 */
export function unpackEntry(number, value) {
  try {
    const { created, sent, body } = value;
    const r = new Reader(body);
    const op = readBody(r);
    const sound = op.kind === 'paint' && r.left === 0 && Number.isSafeInteger(number) && number > 0 && Number.isFinite(created) && Number.isFinite(sent);
    return sound ? { number, pixels: op.pixels, created, sent } : null;
  } catch {
    return null;
  }
}
