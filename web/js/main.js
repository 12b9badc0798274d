// Puts the page together.

// First, so that what it begins is under way while the rest is built.
import { canvasId, config, early, onUnsaved, opening, sessions, url } from './begin.js';
import { keepPicture } from './browser/kept.js';
import { Cursors } from './cursors.js';
import { Display } from './display/display.js';
import { PendingLayer, PointerLayer, PreviewLayer, RefusedLayer } from './display/marks.js';
import { Drawing } from './input/drawing.js';
import { Keyboard } from './input/keyboard.js';
import { Pointer } from './input/pointer.js';
import { Shortcuts } from './input/shortcuts.js';
import { MAX_SHAPE } from './input/tools.js';
import { commands } from './commands.js';
import { ColorBar, colorName } from './panels/colors.js';
import { announce, applyTexts, byId } from './panels/dom.js';
import { PixelInfo } from './panels/info.js';
import { Messages } from './panels/messages.js';
import { Name } from './panels/name.js';
import { People } from './panels/people.js';
import { Status } from './panels/status.js';
import { ToolBar } from './panels/tools.js';
import { ViewBar } from './panels/view.js';
import { Playground } from './playground.js';
import { shower } from './shown.js';
import { authorOf } from './state/author.js';
import { Palette } from './state/palette.js';
import { inflate } from './state/replica.js';
import { Settings, storage } from './state/settings.js';
import { ago, texts } from './texts.js';
import { Traces, afterPaint } from './trace.js';
import { systemClock } from './transport/clock.js';

/** Own pixels that wait for longer than this, in ms, are marked. */
const PENDING = 400;

/** @type {HTMLCanvasElement} */
const element = byId('canvas');
const reduced = matchMedia('(prefers-reduced-motion: reduce)');
const local = storage('localStorage');

/** @type {Playground|null} */
let playground = null;
const grid = () => playground?.grid ?? null;
const colorAt = (/** @type {number} */ x, /** @type {number} */ y) => /** @type {Playground} */ (playground).colorAt(x, y);

const exporter = config.TRACES_URL ? exporterTo(config.TRACES_URL) : null;
exporter?.catch((error) => console.warn('nothing is traced:', error.message));
const traces = new Traces({
  clock: systemClock,
  canvas: canvasId,
  send: (told) => playground?.send(told),
  painted: afterPaint,
  exporter: exporter && { add: (span) => exporter.then((e) => e.add(span), () => {}) },
  ratio: config.TRACES_RATIO,
});

/** @param {string} url */
async function exporterTo(url) {
  const [{ Exporter }, { RELEASE }] = await Promise.all([import('./exporter.js'), import('./browser/offline.js')]);
  return new Exporter({ url, version: RELEASE, clock: systemClock });
}

applyTexts();
document.title = texts.titleOf(canvasId.slice(0, 64));

// ---- the picture and what lies above it -------------------------------------

const display = new Display(element, { layers: byId('layers'), sheet: byId('sheet') }, colorAt);
const preview = new PreviewLayer();
const pointed = new PointerLayer();
const refused = new RefusedLayer(() => display.layersChanged());
display.addLayer(new PendingLayer(() => playground?.pending(PENDING) ?? []));
display.addLayer(preview);
display.addLayer(refused);
display.addLayer(pointed);
const cursors = new Cursors({
  send: (told) => playground?.send(told),
  changed: () => display.layersChanged(),
  clock: systemClock,
  still: () => reduced.matches,
});
display.addLayer(cursors);
display.addEventListener('view', () => cursors.look(display.viewport));

// ---- panels -----------------------------------------------------------------

const settings = new Settings(local);
const palette = new Palette(local);
const messages = new Messages();
const people = new People();
const status = new Status({
  measure: () => playground?.latency() ?? null,
  position: () => playground?.position?.seq ?? null,
  retry: () => playground?.wake(),
});
const name = new Name(local, (value) => playground?.setName(value));
const info = new PixelInfo(async (x, y, signal) => (await import('./transport/api.js')).pixelStory(config.API_URL, canvasId, x, y, signal));
const view = new ViewBar(display);
new ColorBar(palette);
byId('canvas-name').textContent = canvasId;
byId('canvas-button').setAttribute('aria-label', texts.canvasButton(canvasId));

// ---- drawing ----------------------------------------------------------------

const drawing = new Drawing({
  grid,
  color: () => palette.value,
  colorAt,
  draft(pixels) {
    traces.begin();
    playground?.draft(pixels);
  },
  discard() {
    traces.end();
    playground?.discard();
  },
  preview: (shape) => {
    if (shape === preview.preview) return;
    if (shape) traces.begin();
    preview.preview = shape;
    display.layersChanged();
  },
  commit: (pixels) => {
    if (drawing.tool !== 'eraser') palette.used(palette.value);
    name.drew();
    playground?.commit(pixels);
    if (under) point(under);
    traces.end();
  },
  tooLarge: () => say(texts.tooLarge(MAX_SHAPE), 'large'),
  picked: (color) => palette.choose(color),
});

const restore = (/** @type {'undo'|'redo'} */ which) => {
  const kept = playground?.[which]() ?? null;
  if (kept === null) say(which === 'undo' ? texts.nothingToUndo : texts.nothingToRedo, 'undo');
  else if (kept > 0) say(texts.kept(kept), 'undo');
  else announce(which === 'undo' ? texts.undone : texts.redone);
};
const tools = new ToolBar(drawing, { undo: () => restore('undo'), redo: () => restore('redo') });

/** The cell that is told about. @type {number[]|null} */
let under = null;

/** @param {number[]|null} cell @param {boolean} [now] */
function point(cell, now = false) {
  const g = grid();
  const on = cell && g && g.contains(cell[0], cell[1]) ? cell : null;
  under = on;
  info.show(on, on ? colorAt(on[0], on[1]) : 0, now);
  return on;
}

/** What the brush would paint, under mouse or pen. @param {number[]|null} cell */
function hover(cell) {
  cursors.point(cell && grid()?.contains(cell[0], cell[1]) ? cell : null);
  const on = keyboard.shown ? null : point(cell);
  const reach = drawing.reach;
  pointed.hover = on && drawing.tool !== 'hand' ? [on[0] - Math.floor(reach / 2), on[1] - Math.floor(reach / 2), reach] : null;
  pointed.color = drawing.active || ['eyedropper', 'eraser'].includes(drawing.tool) ? null : palette.value;
  display.layersChanged();
}

const keyboard = new Keyboard(element, display, drawing, {
  size: grid,
  letters: () => settings.letters,
  cursor: (cell) => {
    pointed.cursor = cell && [...cell, 1];
    cursors.point(cell);
    pointed.hover = null;
    display.layersChanged();
    if (!point(cell) || !cell) return;
    announce(texts.spoken(cell[0], cell[1], colorName(colorAt(cell[0], cell[1]))));
  },
});

new Pointer(element, display, drawing, {
  hover,
  down: (cell) => keyboard.follow(cell),
  tap: (cell) => point(cell, true),
  mayHold: () => !keyboard.shown && settings.letters,
});

const shortcuts = commands({
  drawing,
  palette,
  view,
  restore,
  share: () => ask(({ share }) => share.copy()),
  help: () => ask(({ help }) => help.toggle()),
  save: () => ask(() => byId('save-panel').togglePopover()),
});
new Shortcuts(shortcuts, () => settings.letters);
palette.addEventListener('change', () => display.layersChanged());

// ---- what the playground tells ----------------------------------------------

/** @param {string} text @param {string} key @param {boolean} [bad] */
function say(text, key, bad = false) {
  messages.show(text, { key, bad });
}

/** @param {import('./state/outbox.js').Entry[]} entries */
function expired(entries) {
  const age = ago(Date.now() - Math.min(...entries.map((e) => e.created)));
  messages.show(texts.expired(entries.length, age), {
    sticky: true,
    action: { label: texts.drawAgain, run: () => entries.forEach((e) => playground?.commit(e.pixels)) },
  });
}

onUnsaved(() => say(texts.notices.unsaved, 'unsaved'));

let placed = false;

const shown = shower({
  playground: () => playground,
  canvasId,
  display,
  status,
  people,
  tools,
  cursors,
  refused,
  traces,
  info,
  keyboard,
  pending: PENDING,
  say,
  expired,
  look: () => point(under),
  pictured() {
    if (!placed) view.goTo(location.hash);
    placed = true;
    afterPaint(() => idle(whenIdle));
  },
  offline: whenIdle,
});

// ---- what is not needed to see the picture and to draw ----------------------

/** @type {Promise<import('./asked.js').Asked>|null} */
let asked = null;

/** Does something with what is loaded only when it is asked for. @param {(asked: import('./asked.js').Asked) => void} run */
async function ask(run) {
  asked ??= import('./asked.js').then(({ build }) =>
    build({ canvasId, apiUrl: config.API_URL, display, view, messages, settings, shortcuts, seq: () => playground?.position?.seq ?? 0 }),
  );
  await asked.then(run, partly);
}

// A button that has nothing to do yet is pressed again when it has. This press
// does nothing: that may be the case before it is over.
document.addEventListener('click', (event) => {
  const button = event.target instanceof Element ? event.target.closest('[data-later]') : null;
  if (!(button instanceof HTMLElement)) return;
  event.preventDefault();
  ask(() => button.click());
});

/** Runs what must not hold up the frames of the start. @param {() => void} run */
const idle = (run) => ('requestIdleCallback' in globalThis ? requestIdleCallback(run, { timeout: 1000 }) : setTimeout(run));

let settled = false;

/** What can wait until one can draw. */
async function whenIdle() {
  if (settled) return;
  settled = true;
  await opening;
  if (!sessions) return;
  const o = { display, sessions, url, expired, released };
  await import('./idle.js').then(({ settle }) => settle(o), partly);
}

/** A new release takes nothing from a page that is open, so it only says so. */
function released() {
  messages.show(texts.released, { key: 'release', sticky: true, action: { label: texts.releasedGo, run: () => location.reload() } });
}

/** A module did not come: the network is away, or another release has taken its place. @param {Error} error */
function partly(error) {
  console.warn(error.message);
  messages.show(texts.partly, { key: 'partly', sticky: true, action: { label: texts.partlyGo, run: () => location.reload() } });
}

// ---- go ---------------------------------------------------------------------

// The picture does not wait for the session.
const own = new Playground({ view: shown, url, inflate, name: name.value, trace: (number) => traces.sent(number), early });
playground = own;
own.start();
opening.then((session) => {
  own.open(session);
  people.own(authorOf(session.id));
  keepPicture(canvasId, own);
});
window.addEventListener('online', () => own.wake());
window.addEventListener('offline', () => own.sleep());
document.addEventListener('visibilitychange', () => document.hidden || own.wake());
window.addEventListener('pageshow', (e) => e.persisted && own.wake());
addEventListener('pagehide', () => exporter?.then((e) => e.flush(), () => {}));
