// Who the page is to the log: a secret session of 128 random bits, and the
// outbox of what was drawn in it.
//
// A session belongs to one tab, by a Web Lock: were two tabs to number their
// operations in one session, the log would take those of one for repetitions.
// So a duplicated tab makes its own. The outbox is kept in the browser's store
// and outlives the tab. When its tab is gone the lock is free, and another tab
// of the canvas adopts the outbox.
//
// A session is never used without its record of the next number: a tab that
// had lost it would start at 1 again and lose what it draws as repetitions.

import { toHex } from '../transport/binary.js';

const PREFIX = 'pixel';
/** How long a reloaded page waits for its predecessor to let go of the lock. */
const RELOAD_WAIT = 250;

/**
 * Numbers are reserved in blocks, the next block long before the last one is
 * used up: the kept number is never below one that was used, though it is
 * written only now and then, and takes a moment.
 */
const RESERVE = 1000;

/** @typedef {import('./store.js').Store} Store */
/** @typedef {import('./outbox.js').Entry} Entry */

/**
 * What a page needs of its session.
 * @typedef {object} Session
 * @property {string} id 32 hexadecimal digits; secret
 * @property {import('./store.js').Kept} kept what the outbox starts with
 * @property {(entry: Entry) => void} put
 * @property {(number: number) => void} next
 * @property {(number: number) => void} remove
 * @property {() => void} forget gives the session up with all that is kept of it
 */

const lockName = (/** @type {string} */ canvas, /** @type {string} */ id) => `${PREFIX}:${canvas}:${id}`;

/**
 * A session that this tab owns until it is forgotten or the tab goes.
 * @implements {Session}
 */
class OwnSession {
  #store;
  #canvas;
  #release;
  #onUnsaved;
  /** The number that was asked to be reserved, and the one that is. */
  #asked = 0;
  #reserved = 0;

  /**
   * @param {{id: string, canvas: string, store: Store|null, kept: import('./store.js').Kept, release: () => void, onUnsaved: () => void}} o
   */
  constructor({ id, canvas, store, kept, release, onUnsaved }) {
    this.id = id;
    this.kept = kept;
    this.#asked = this.#reserved = kept.next;
    this.#canvas = canvas;
    this.#store = store;
    this.#release = release;
    this.#onUnsaved = onUnsaved;
  }

  /** Reserves the first numbers: before that none may be used. */
  async begin() {
    await this.#reserve(this.kept.next + RESERVE);
  }

  // The outbox's store. One that is full or forbidden leaves the outbox in
  // memory: what is drawn then is still sent, only not after a reload.

  /** @param {Entry} entry */
  put(entry) {
    this.#store?.put(this.#canvas, this.id, entry).catch(() => {
      this.#onUnsaved();
      // An older state of it must not come back.
      this.remove(entry.number);
    });
  }

  /** @param {number} number of the next operation */
  next(number) {
    if (number > this.#reserved) this.#keepNothing();
    if (number > this.#asked - RESERVE / 2) this.#reserve(number + RESERVE);
  }

  /** @param {number} number */
  remove(number) {
    this.#store?.remove(this.#canvas, this.id, number).catch(() => {});
  }

  /** @param {number} number */
  async #reserve(number) {
    this.#asked = number;
    try {
      await this.#store?.reserve(this.#canvas, this.id, number);
      this.#reserved = Math.max(this.#reserved, number);
    } catch {
      this.#onUnsaved();
    }
  }

  /** A session whose next number is not kept must not be found again. */
  #keepNothing() {
    this.#store?.forget(this.#canvas, this.id).catch(() => {});
    this.#store = null;
  }

  forget() {
    this.#keepNothing();
    this.#release();
  }
}

export class Sessions {
  #canvas;
  #store;
  #tab;
  #locks;
  #onUnsaved;
  /** @type {string|null} */
  #own = null;

  /**
   * @param {object} o
   * @param {string} o.canvas
   * @param {Store|null} o.store null where there is none
   * @param {Storage|null} o.tab sessionStorage, or null
   * @param {Pick<LockManager, 'request'>|null} o.locks null where the page is not
   *   in a secure context: then no session can be owned, and nothing is kept
   * @param {() => void} [o.onUnsaved] something could not be stored
   */
  constructor({ canvas, store, tab, locks, onUnsaved = () => {} }) {
    this.#canvas = canvas;
    this.#store = locks ? store : null;
    this.#tab = locks ? tab : null;
    this.#locks = locks;
    this.#onUnsaved = onUnsaved;
  }

  /**
   * The session of this tab: the one that it had before a reload, else an
   * orphaned one with something to send, else a new one.
   * @returns {Promise<Session>}
   */
  async open() {
    const tabKey = `${PREFIX}:${this.#canvas}:session`;
    const mine = this.#tab?.getItem(tabKey) ?? '';
    /** @type {OwnSession|null} */
    let session = /^[0-9a-f]{32}$/.test(mine) ? await this.#adopt(mine, RELOAD_WAIT) : null;
    session ??= await this.#findOrphan();
    session ??= await this.#create();
    await session.begin();
    this.#own = session.id;
    try {
      this.#tab?.setItem(tabKey, session.id);
    } catch {
      this.#onUnsaved();
    }
    return session;
  }

  /**
   * Another session whose tab is gone and which has something to send, or null.
   * @returns {Promise<Session|null>}
   */
  async adoptOrphan() {
    const session = await this.#findOrphan();
    await session?.begin();
    return session;
  }

  async #findOrphan() {
    let ids;
    try {
      ids = (await this.#store?.sessions(this.#canvas)) ?? [];
    } catch {
      return null;
    }
    for (const id of ids) {
      if (id === this.#own) continue;
      const session = await this.#adopt(id, 0);
      if (!session) continue;
      if (session.kept.entries.length > 0) return session;
      session.forget();
    }
    return null;
  }

  async #create() {
    const id = toHex(crypto.getRandomValues(new Uint8Array(16)));
    const release = this.#locks ? await hold(this.#locks, lockName(this.#canvas, id), 0) : null;
    return this.#session(id, release ? this.#store : null, { next: 1, entries: [] }, release ?? (() => {}));
  }

  /** @param {string} id @param {number} wait ms */
  async #adopt(id, wait) {
    const release = this.#locks ? await hold(this.#locks, lockName(this.#canvas, id), wait) : () => {};
    if (!release) return null;
    // Read under the lock: until now its owner may have changed it.
    const kept = await this.#store?.read(this.#canvas, id).catch(() => null);
    if (!kept) {
      release();
      return null;
    }
    return this.#session(id, this.#store, kept, release);
  }

  /** @param {string} id @param {Store|null} store @param {import('./store.js').Kept} kept @param {() => void} release */
  #session(id, store, kept, release) {
    return new OwnSession({ id, canvas: this.#canvas, store, kept, release, onUnsaved: this.#onUnsaved });
  }
}

/**
 * Takes a lock until the returned function is called or the page goes away.
 * Returns null when somebody else has it, and keeps it, for the time to wait.
 * @param {Pick<LockManager, 'request'>} locks
 * @param {string} name
 * @param {number} wait ms
 * @returns {Promise<(() => void)|null>}
 */
function hold(locks, name, wait) {
  return new Promise((resolve) => {
    /** @type {LockOptions} */
    const options = wait > 0 ? { signal: timeout(wait) } : { ifAvailable: true };
    locks
      .request(name, options, (lock) => {
        if (!lock) return resolve(null);
        return new Promise((release) => resolve(() => release(undefined)));
      })
      .catch(() => resolve(null));
  });
}

/** @param {number} ms */
function timeout(ms) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), ms);
  return controller.signal;
}
