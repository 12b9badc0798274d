// Snapshot messages of a picture, as a gateway makes them.

import { deflateRawSync } from 'node:zlib';

/** @returns {object[]} snapshotBegin and its bands, of whole rows */
export function snapshot(grid, epoch, seq, rows = grid.height) {
  const bands = Math.ceil(grid.height / rows);
  const { width, height, background } = grid;
  const messages = [{ type: 'snapshotBegin', epoch, seq, width, height, background, hash: grid.hash(), bands }];
  for (let index = 0; index < bands; index++) {
    const y = index * rows;
    const h = Math.min(rows, height - y);
    const cells = [...grid.cells.subarray(y * width, (y + h) * width)];
    const rgb = Uint8Array.from(cells.flatMap((c) => [c >>> 16, (c >>> 8) & 255, c & 255]));
    messages.push({ type: 'snapshotBand', index, x: 0, y, width, height: h, data: new Uint8Array(deflateRawSync(rgb)) });
  }
  return messages;
}

export const EPOCH = 'a0a1a2a3a4a5a6a7a8a9aaabacadaeaf';
export const OTHER_EPOCH = 'b0b1b2b3b4b5b6b7b8b9babbbcbdbebf';
