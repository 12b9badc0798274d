// What the playground tells, shown: on the picture, in the panels, in words.

import { announce, byId } from './panels/dom.js';
import { colorName } from './panels/colors.js';
import { showNotice } from './panels/messages.js';
import { texts } from './texts.js';

/**
 * @param {object} o
 * @param {() => import('./playground.js').Playground|null} o.playground null until it tells something
 * @param {string} o.canvasId
 * @param {import('./display/display.js').Display} o.display
 * @param {import('./panels/status.js').Status} o.status
 * @param {import('./panels/people.js').People} o.people
 * @param {import('./panels/tools.js').ToolBar} o.tools
 * @param {import('./panels/info.js').PixelInfo} o.info
 * @param {import('./cursors.js').Cursors} o.cursors
 * @param {import('./display/marks.js').RefusedLayer} o.refused
 * @param {import('./trace.js').Traces} o.traces
 * @param {import('./input/keyboard.js').Keyboard} o.keyboard
 * @param {number} o.pending ms after which own pixels that wait are marked
 * @param {(text: string, key: string, bad?: boolean) => void} o.say
 * @param {(entries: import('./state/outbox.js').Entry[]) => void} o.expired
 * @param {() => void} o.look what is pointed at may look different
 * @param {() => void} o.pictured there is a picture, perhaps another one than before
 * @param {() => void} o.offline
 * @returns {import('./view.js').View}
 */
export function shower({ playground, canvasId, display, status, people, tools, info, cursors, refused, traces, keyboard, pending, say, expired, look, pictured, offline }) {
  /** @type {ReturnType<typeof setTimeout>|null} */
  let marking = null;
  let greeted = false;
  let steady = false;
  return {
    picture(picture) {
      byId('loading').hidden = true;
      byId('size').textContent = texts.size(picture.width, picture.height);
      display.setPicture(picture);
      pictured();
    },
    damage: (x, y) => display.damage(x, y),
    damageAll: () => display.damageAll(),
    state(state, pause) {
      traces.connection(state);
      status.show(state, pause);
      info.live = state === 'live';
      if (state === 'offline') greeted = false;
      steady = state === 'live' || state === 'degraded';
      cursors.connection(greeted && steady);
      if (state === 'offline') offline();
    },
    greeted() {
      greeted = true;
      cursors.connection(steady);
    },
    presence(presence) {
      people.show(presence);
      cursors.presence(presence);
    },
    cursors: (message) => cursors.receive(message),
    connected: ({ pod }) => status.server(pod),
    waiting(n) {
      status.waiting(n);
      // Marks come when something has waited for a while, and go with it.
      if (n === 0) display.layersChanged();
      marking ??= setTimeout(() => {
        marking = null;
        display.layersChanged();
      }, pending + 20);
    },
    notice: (key, detail) => say(texts.notices[key] ?? detail ?? key, key),
    refused(pixels, code, number) {
      traces.refused(number);
      refused.show(pixels);
      say(texts.refusedFor(texts.refusals[code] ?? texts.refusalOther), 'refused', true);
    },
    added: (number, count) => traces.added(number, count),
    echoed: ({ number }) => traces.echoed(number),
    history: (can) => tools.history(can),
    drawn(op) {
      // Also what was sent again, of which there is no echo to be measured.
      if (op.author === playground()?.author) traces.echoed(op.number);
      if (op.kind !== 'paint') return;
      people.drew(op.author);
      if (info.changed(op.pixels)) look();
      const [x, y] = keyboard.cursor;
      if (!keyboard.shown || op.author === playground()?.author) return;
      for (let i = 0; i < op.pixels.length; i += 3) if (op.pixels[i] === x && op.pixels[i + 1] === y) announce(texts.spokenChange(colorName(op.pixels[i + 2])));
    },
    expired,
    final(why) {
      if (why === 'not-found') {
        const home = new URL(location.href);
        home.search = home.hash = '';
        showNotice(texts.notFoundTitle, texts.notFound(canvasId.slice(0, 64)), { label: texts.notFoundGo, href: home.href });
      } else {
        showNotice(texts.replacedTitle, texts.replaced, { label: texts.replacedGo, href: location.href });
      }
    },
  };
}
