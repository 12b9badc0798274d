// Sends what a tab that is gone left in its outbox.

import { Playground } from './playground.js';

/**
 * Sends what an orphaned session left, on a connection of its own, and resolves
 * when all of it is acknowledged or refused. Own strokes do not wait for it.
 * @param {object} o
 * @param {import('./state/session.js').Session} o.session
 * @param {(position: import('./playground.js').Position|null) => string} o.url
 * @param {import('./state/replica.js').Inflate} o.inflate
 * @param {(entries: import('./state/outbox.js').Entry[]) => void} o.onExpired
 * @param {typeof globalThis.WebSocket} [o.WebSocket]
 * @param {import('./transport/clock.js').Clock} [o.clock]
 * @returns {Promise<boolean>} false: the session went to another tab
 */
export function deliver({ session, url, inflate, onExpired, WebSocket, clock }) {
  return new Promise((resolve) => {
    const nothing = () => {};
    const courier = new Playground({
      url,
      inflate,
      ...(WebSocket && { WebSocket }),
      ...(clock && { clock }),
      view: {
        picture: nothing,
        damage: nothing,
        damageAll: nothing,
        state: nothing,
        greeted: nothing,
        presence: nothing,
        cursors: nothing,
        connected: nothing,
        notice: nothing,
        refused: nothing,
        echoed: nothing,
        added: nothing,
        history: nothing,
        drawn: nothing,
        expired: onExpired,
        final: (why) => finish(why === 'replaced'),
        waiting: (n) => n === 0 && finish(true),
      },
    });
    const finish = (/** @type {boolean} */ done) => {
      courier.stop();
      if (done) session.forget();
      resolve(done);
    };
    courier.open(session);
    courier.start();
  });
}
