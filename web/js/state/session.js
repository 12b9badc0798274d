// Who the page is to the log: a secret session of 128 random bits, and the
// outbox of what was drawn in it.
//
// A session belongs to one tab, by a Web Lock: were two tabs to number their
// operations in one session, the log would take those of one for repetitions.
// So a duplicated tab makes its own. The outbox is kept in localStorage, one
// item for each operation, and outlives the tab. When its tab is gone the lock
// is free, and another tab of the canvas adopts the outbox.
//
// A session is never used without its record of the next number: a tab that
// had lost it would start at 1 again and lose what it draws as repetitions.

import { Reader, Writer, fromHex, readBody, toHex, writeBody } from '../transport/protocol.js';

const PREFIX = 'pixel';
/** How long a reloaded page waits for its predecessor to let go of the lock. */
const RELOAD_WAIT = 250;

/**
 * Numbers are reserved in blocks: the kept one is never below one that was
 * used, though it is written only now and then.
 */
const RESERVE = 1000;

const itemKey = (canvas, id, what) => `${PREFIX}:${canvas}:${id}:${what}`;
const lockName = (canvas, id) => `${PREFIX}:${canvas}:${id}`;

/** A session that this tab owns until release. */
class Session {
  #local;
  #canvas;
  #release;
  #onUnsaved;
  #reserved = 0;

  constructor({ id, canvas, local, kept, release, onUnsaved }) {
    this.id = id;
    /** What the outbox starts with. */
    this.kept = kept;
    this.#canvas = canvas;
    this.#local = local;
    this.#release = release;
    this.#onUnsaved = onUnsaved;
  }

  // The outbox's store. Storage that is full or forbidden leaves the outbox in
  // memory: what is drawn then is still sent, only not after a reload.

  put(entry) {
    if (!this.#save(entry.number, packEntry(entry))) this.remove(entry.number);
  }

  next(number) {
    if (number <= this.#reserved) return;
    this.#reserved = number + RESERVE;
    if (!this.#save('next', this.#reserved)) this.#keepNothing();
  }

  remove(number) {
    this.#local?.removeItem(itemKey(this.#canvas, this.id, number));
  }

  #save(what, value) {
    try {
      this.#local?.setItem(itemKey(this.#canvas, this.id, what), value);
      return true;
    } catch {
      this.#onUnsaved();
      return false;
    }
  }

  /** A session whose next number is not kept must not be found again. */
  #keepNothing() {
    for (const what of listItems(this.#local, this.#canvas).get(this.id) ?? []) this.remove(what);
    this.#local = null;
  }

  /** Gives the session up with all that is kept of it. */
  forget() {
    this.#keepNothing();
    this.#release();
  }
}

/**
 * @param {object} o
 * @param {string} o.canvas
 * @param {Storage|null} o.local localStorage, or null where there is none
 * @param {Storage|null} o.tab sessionStorage, or null
 * @param {LockManager|null} o.locks null where the page is not in a secure
 *   context: then no session can be owned, and nothing is kept
 * @param {() => void} [o.onUnsaved] something could not be stored
 */
export class Sessions {
  #canvas;
  #local;
  #tab;
  #locks;
  #onUnsaved;
  #own = null;

  constructor({ canvas, local, tab, locks, onUnsaved = () => {} }) {
    this.#canvas = canvas;
    this.#local = locks ? local : null;
    this.#tab = locks ? tab : null;
    this.#locks = locks;
    this.#onUnsaved = onUnsaved;
  }

  /**
   * The session of this tab: the one that it had before a reload, else an
   * orphaned one with something to send, else a new one.
   */
  async open() {
    const tabKey = `${PREFIX}:${this.#canvas}:session`;
    const mine = this.#tab?.getItem(tabKey);
    let session = null;
    if (/^[0-9a-f]{32}$/.test(mine ?? '') && this.#local?.getItem(itemKey(this.#canvas, mine, 'next'))) {
      session = await this.#adopt(mine, RELOAD_WAIT);
    }
    session ??= await this.adoptOrphan();
    session ??= await this.#create();
    this.#own = session.id;
    try {
      this.#tab?.setItem(tabKey, session.id);
    } catch {
      this.#onUnsaved();
    }
    return session;
  }

  /** Another session whose tab is gone and which has something to send, or null. */
  async adoptOrphan() {
    for (const id of listItems(this.#local, this.#canvas).keys()) {
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
    const session = (await this.#adopt(id, 0)) ?? this.#session(id, null, () => {});
    session.next(1);
    return session;
  }

  async #adopt(id, wait) {
    const release = this.#locks ? await hold(this.#locks, lockName(this.#canvas, id), wait) : () => {};
    if (!release) return null;
    // Read under the lock: until now its owner may have changed it.
    return this.#session(id, this.#local, release);
  }

  #session(id, local, release) {
    const kept = readKept(local, this.#canvas, id);
    return new Session({ id, canvas: this.#canvas, local, kept, release, onUnsaved: this.#onUnsaved });
  }
}

/**
 * Takes a lock until the returned function is called or the page goes away.
 * Returns null when somebody else has it, and keeps it, for the time to wait.
 */
function hold(locks, name, wait) {
  return new Promise((resolve) => {
    const options = wait > 0 ? { signal: timeout(wait) } : { ifAvailable: true };
    locks
      .request(name, options, (lock) => {
        if (!lock) return resolve(null);
        return new Promise((release) => resolve(release));
      })
      .catch(() => resolve(null));
  });
}

function timeout(ms) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), ms);
  return controller.signal;
}

/** Session ids of a canvas and the names of what is kept of each. */
function listItems(local, canvas) {
  const found = new Map();
  for (let i = 0; i < (local?.length ?? 0); i++) {
    const [prefix, of, id, what] = local.key(i).split(':');
    if (prefix !== PREFIX || of !== canvas || what === undefined || !/^[0-9a-f]{32}$/.test(id)) continue;
    found.set(id, [...(found.get(id) ?? []), what]);
  }
  return found;
}

function readKept(local, canvas, id) {
  const kept = { next: 1, entries: [] };
  for (const what of listItems(local, canvas).get(id) ?? []) {
    const value = local.getItem(itemKey(canvas, id, what));
    if (what === 'next') kept.next = Number(value) || 1;
    else {
      const entry = unpackEntry(Number(what), value);
      if (entry) kept.entries.push(entry);
    }
  }
  return kept;
}

/** An entry as text: when created, when first sent, and its body as on the wire. */
export function packEntry({ created, sent, pixels }) {
  return `${created} ${sent} ${toHex(writeBody(new Writer(), pixels).finish())}`;
}

/** The entry that a text stands for; null for what is damaged. */
export function unpackEntry(number, value) {
  try {
    const [created, sent, body] = value.split(' ');
    const { pixels } = readBody(new Reader(fromHex(body)));
    const entry = { number, pixels, created: Number(created), sent: Number(sent) };
    const sound = pixels && Number.isSafeInteger(number) && number > 0 && Number.isFinite(entry.created) && Number.isFinite(entry.sent);
    return sound ? entry : null;
  } catch {
    return null;
  }
}
