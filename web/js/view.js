// What a Playground tells whoever shows it. Types only: nothing loads this.

/**
 * What a Playground tells. All methods are called from event handlers, never
 * from a constructor.
 * @typedef {object} View
 * @property {(grid: import('./state/grid.js').Grid) => void} picture another picture
 * @property {(x: number, y: number) => void} damage a cell may look different
 * @property {() => void} damageAll
 * @property {(state: string, pause?: number) => void} state connecting, live,
 *   degraded, draining, offline (with the ms until the next attempt), ended
 * @property {() => void} greeted the gateway was told who this is: from now on
 *   it takes what Playground.send sends
 * @property {(presence: import('./transport/protocol.js').Presence) => void} presence
 * @property {(message: import('./transport/protocol.js').CursorsMessage) => void} cursors where others point now
 * @property {(about: {pod: string, canvas: string}) => void} connected
 * @property {(waiting: number) => void} waiting operations in the outbox
 * @property {(key: string, detail?: string) => void} notice something for the
 *   user to read: full, refused, logFull, name, or other with the gateway's words
 * @property {(entries: import('./state/outbox.js').Entry[]) => void} expired drawn long ago, perhaps not in the log
 * @property {(why: 'not-found'|'replaced') => void} final there will be no other attempt
 * @property {(pixels: number[], code: number, number: number) => void} refused own pixels that were taken back
 * @property {(echo: {number: number, ms: number}) => void} echoed an own operation is in the picture, so long after it was sent
 * @property {(number: number, count: number) => void} added an own operation of so many pixels was drawn just now, and is to be sent
 * @property {(can: {canUndo: boolean, canRedo: boolean}) => void} history
 * @property {(op: import('./transport/protocol.js').Operation) => void} drawn somebody's operation reached the picture
 */

export {};
