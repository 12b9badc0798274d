// Puts the page together.

import { gatewayUrl } from './transport/connection.js';
import { Display } from './display/display.js';
import { Input } from './input/pointer.js';
import { Colors, Messages, NameField, People, Status, ageInWords, showNotice } from './panels.js';
import { Playground, deliver } from './playground.js';
import { Sessions } from './state/session.js';
import { inflate } from './state/replica.js';

/** How often to look for strokes that a closed tab left behind. */
const ORPHANS = 30000;

const config = window.APP_CONFIG ?? {};
const canvasId = new URLSearchParams(location.search).get('canvas') || 'main';
const element = document.getElementById('canvas');

const local = storage('localStorage');
const colors = new Colors();
const messages = new Messages();
const people = new People();
const status = new Status();
const name = new NameField(local, (value) => playground?.setName(value));
let playground = null;

/** Storage that the browser may forbid altogether. */
function storage(kind) {
  try {
    return window[kind];
  } catch {
    return null;
  }
}

const view = {
  picture(grid) {
    document.getElementById('loading').hidden = true;
    document.getElementById('size').textContent = `${grid.width} × ${grid.height} pixels.`;
    display.setPicture(grid);
  },
  damage: (x, y) => display.damage(x, y),
  damageAll: () => display.damageAll(),
  state: (state) => status.show(state),
  presence: (presence) => people.show(presence),
  connected: ({ canvas }) => (document.getElementById('canvas-name').textContent = canvas),
  waiting: (n) => status.waiting(n),
  notice: (text, key) => messages.show(text, { key }),
  expired,
  final(why) {
    if (why === 'not-found') {
      const home = new URL(location);
      home.search = '';
      showNotice('No such canvas', `There is no canvas with the name “${canvasId.slice(0, 64)}”.`, { label: 'Go to the main canvas', href: home.href });
    } else {
      showNotice('Open somewhere else', 'Another tab goes on with what this one began.', { label: 'Draw here, too', href: location.href });
    }
  },
};

function expired(entries) {
  const age = ageInWords(Date.now() - Math.min(...entries.map((e) => e.created)));
  const strokes = entries.length === 1 ? 'A stroke' : `${entries.length} strokes`;
  messages.show(`${strokes} of yours from ${age} ago may not have reached the canvas.`, {
    sticky: true,
    action: { label: 'Draw again', run: () => entries.forEach((e) => playground.commit(e.pixels)) },
  });
}

const display = new Display(element, { marker: document.getElementById('marker'), sheet: document.getElementById('sheet') }, (x, y) => playground.colorAt(x, y));

new Input(element, display, {
  size: () => playground?.grid ?? null,
  color: () => colors.value,
  onDraft: (pixels) => playground.draft(pixels),
  onCommit: (pixels) => playground.commit(pixels),
  onDiscard: () => playground.discard(),
  onCursor: (x, y) => (document.getElementById('cursor-text').textContent = `Column ${x + 1}, row ${y + 1}`),
});

for (const [id, change] of [
  ['zoom-in', (v) => v.zoom(1)],
  ['zoom-out', (v) => v.zoom(-1)],
  ['zoom-fit', (v) => v.fit()],
]) {
  document.getElementById(id).addEventListener('click', () => {
    change(display.viewport);
    display.viewChanged();
  });
}

const url = (position) => gatewayUrl(config.WS_URL, location.href, canvasId, position);

async function start() {
  const sessions = new Sessions({
    canvas: canvasId,
    local,
    tab: storage('sessionStorage'),
    locks: navigator.locks ?? null,
    onUnsaved: () => messages.show('This browser cannot keep your unsent strokes: do not close the page while some wait.', { key: 'unsaved' }),
  });
  playground = new Playground({ view, session: await sessions.open(), url, inflate, name: name.value });
  playground.start();
  window.addEventListener('online', () => playground.wake());
  window.addEventListener('offline', () => playground.sleep());
  document.addEventListener('visibilitychange', () => document.hidden || playground.wake());
  window.addEventListener('pageshow', (e) => e.persisted && playground.wake());
  for (;;) {
    for (let orphan = await sessions.adoptOrphan(); orphan; orphan = await sessions.adoptOrphan()) {
      await deliver({ session: orphan, url, inflate, onExpired: expired });
    }
    await new Promise((resolve) => setTimeout(resolve, ORPHANS));
  }
}

start();
