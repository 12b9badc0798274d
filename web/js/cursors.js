// Where others point: told by the gateway at most ten times a second, as far as
// it is in view, and drawn on a layer above the picture. It is no part of the
// canvas: the latest place counts, and nothing here is kept or sent again.

import { personColor } from './display/colors.js';
import { cursor, view } from './transport/protocol.js';

/** Time between two tellings of one's own place, in ms. */
const POINT = 100;
/** Time between two tellings of what is in view, in ms. */
const LOOK = 250;
/** How long a cursor takes to its new place, in ms: until the next news. */
const GLIDE = 120;
/** Own movements of others are not shown for longer than the gateway holds them, in ms. */
const LIVES = 12_000;

/** @typedef {import('./display/viewport.js').Viewport} Viewport */
/** @typedef {{x: number, y: number, fromX: number, fromY: number, moved: number, heard: number}} Place in cells; times in ms */

/**
 * The cells that a viewport shows, as a gateway takes them.
 * @param {Pick<Viewport, 'left'|'top'|'scale'|'width'|'height'|'columns'|'rows'>} v
 * @returns {{x: number, y: number, width: number, height: number}|null} null: none
 */
export function cellsIn({ left, top, scale, width, height, columns, rows }) {
  const x = Math.max(0, Math.floor(-left / scale));
  const y = Math.max(0, Math.floor(-top / scale));
  const right = Math.min(columns, Math.ceil((width - left) / scale));
  const bottom = Math.min(rows, Math.ceil((height - top) / scale));
  return right > x && bottom > y ? { x, y, width: right - x, height: bottom - y } : null;
}

/** Tells something at most once in so many ms, and always the latest. */
class Teller {
  #every;
  #clock;
  #tell;
  #last = -Infinity;
  #due = false;

  /** @param {number} every @param {import('./transport/clock.js').Clock} clock @param {() => void} tell */
  constructor(every, clock, tell) {
    this.#every = every;
    this.#clock = clock;
    this.#tell = tell;
  }

  /** There is something to tell. */
  changed() {
    if (this.#due) return;
    this.#due = true;
    const wait = this.#last + this.#every - this.#clock.elapsed();
    if (wait <= 0) this.#now();
    else this.#clock.after(wait, () => this.#now());
  }

  #now() {
    this.#due = false;
    this.#last = this.#clock.elapsed();
    this.#tell();
  }
}

/** A layer of the display. */
export class Cursors {
  /** @type {Map<number, Place>} by author */
  #places = new Map();
  /** @type {Map<number, string>} */
  #names = new Map();
  #clock;
  #changed;
  #send;
  #still;
  /** @type {number[]|null} */
  #own = null;
  #told = false;
  /** @type {ReturnType<typeof cellsIn>} */
  #view = null;
  #connected = false;
  /** Places or names have changed since they were drawn. */
  #stale = true;
  #pointing;
  #looking;

  /**
   * @param {object} o
   * @param {(messages: Uint8Array[]) => void} o.send what may be lost
   * @param {() => void} o.changed the layer looks different
   * @param {import('./transport/clock.js').Clock} o.clock
   * @param {() => boolean} [o.still] whether nothing may glide (prefers-reduced-motion)
   */
  constructor({ send, changed, clock, still = () => false }) {
    this.#send = send;
    this.#changed = changed;
    this.#clock = clock;
    this.#still = still;
    this.#pointing = new Teller(POINT, clock, () => this.#tellPlace());
    this.#looking = new Teller(LOOK, clock, () => this.#tellView());
  }

  // ---- own ------------------------------------------------------------------

  /** The user points at a cell; null: nowhere. @param {number[]|null} cell */
  point(cell) {
    if (cell?.[0] === this.#own?.[0] && cell?.[1] === this.#own?.[1]) return;
    this.#own = cell && [cell[0], cell[1]];
    if (this.#connected) this.#pointing.changed();
  }

  /** What is in view may have changed. @param {Viewport} viewport */
  look(viewport) {
    const cells = cellsIn(viewport);
    if (JSON.stringify(cells) === JSON.stringify(this.#view)) return;
    this.#view = cells;
    if (this.#connected) this.#looking.changed();
  }

  #tellPlace() {
    if (!this.#connected || (!this.#own && !this.#told)) return;
    this.#told = this.#own !== null;
    this.#send([this.#own ? cursor(this.#own[0], this.#own[1]) : cursor()]);
  }

  #tellView() {
    if (!this.#connected || !this.#view) return;
    const { x, y, width, height } = this.#view;
    this.#send([view(x, y, width, height)]);
  }

  // ---- others ---------------------------------------------------------------

  /** The gateway knows nothing of this client yet, or is gone. @param {boolean} live */
  connection(live) {
    this.#connected = live;
    this.#told = false;
    if (this.#places.size > 0) {
      this.#places.clear();
      this.#shows();
    }
    if (!live) return;
    this.#looking.changed();
    if (this.#own) this.#pointing.changed();
  }

  /** Names come with presence. @param {{users: {author: number, name: string}[], isList: boolean}} presence */
  presence({ users, isList }) {
    if (!isList) return;
    this.#names = new Map(users.map((u) => [u.author, u.name]));
    if (this.#places.size > 0) this.#shows();
  }

  #shows() {
    this.#stale = true;
    this.#changed();
  }

  /** @param {{here: {author: number, x: number, y: number}[], gone: number[]}} message */
  receive({ here, gone }) {
    const now = this.#clock.elapsed();
    for (const { author, x, y } of here) {
      const from = this.#places.get(author);
      const [fromX, fromY] = from ? at(from, now) : [x, y];
      this.#places.set(author, { x, y, fromX, fromY, moved: now, heard: now });
    }
    for (const author of gone) this.#places.delete(author);
    this.#shows();
  }

  /** Who is shown where, for tests and for whoever looks: author, x and y in cells, name. */
  get shown() {
    return [...this.#places].map(([author, { x, y }]) => ({ author, x, y, name: this.#names.get(author) ?? '' }));
  }

  /** @param {CanvasRenderingContext2D} c @param {Viewport} viewport */
  draw(c, { left, top, scale, ratio }) {
    const now = this.#clock.elapsed();
    let gliding = false;
    for (const [author, place] of this.#places) {
      if (now - place.heard > LIVES) {
        this.#places.delete(author);
        this.#stale = true;
        continue;
      }
      const still = this.#still();
      const [x, y] = still ? [place.x, place.y] : at(place, now);
      gliding ||= !still && now - place.moved < GLIDE;
      arrow(c, left + (x + 0.5) * scale, top + (y + 0.5) * scale, ratio, personColor(author), this.#names.get(author));
    }
    if (this.#stale) {
      this.#stale = false;
      // For tests, and for whoever looks: an image does not say who is where.
      if (c.canvas) c.canvas.dataset.cursors = JSON.stringify(this.shown);
    }
    // This frame is being drawn: the next one is asked for after it.
    if (gliding) queueMicrotask(this.#changed);
  }
}

/** Where a place is shown on its way. @param {Place} place @param {number} now */
function at({ x, y, fromX, fromY, moved }, now) {
  const part = Math.min(1, (now - moved) / GLIDE);
  return [fromX + (x - fromX) * part, fromY + (y - fromY) * part];
}

/**
 * An arrow with a name beside it, which is only ever text.
 * @param {CanvasRenderingContext2D} c
 * @param {number} x of its tip, in device pixels
 * @param {number} y
 * @param {number} ratio
 * @param {string} color
 * @param {string} [name]
 */
function arrow(c, x, y, ratio, color, name) {
  c.save();
  c.translate(Math.round(x), Math.round(y));
  c.scale(ratio, ratio);
  c.beginPath();
  c.moveTo(0, 0);
  for (const [dx, dy] of [[0, 15.5], [4.2, 11.6], [11, 11.2]]) c.lineTo(dx, dy);
  c.closePath();
  c.lineJoin = 'round';
  c.lineWidth = 3;
  c.strokeStyle = '#ffffff';
  c.stroke();
  c.fillStyle = color;
  c.fill();
  if (name) {
    c.font = '600 12px system-ui, "Segoe UI", Roboto, sans-serif';
    const width = c.measureText(name).width + 12;
    c.beginPath();
    c.roundRect(10, 15, width, 19, 6);
    c.lineWidth = 2;
    c.stroke();
    c.fill();
    c.fillStyle = '#ffffff';
    c.textBaseline = 'middle';
    c.fillText(name, 16, 25);
  }
  c.restore();
}
