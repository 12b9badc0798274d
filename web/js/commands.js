// Every key that works anywhere on the page, and what it does.

import { TOOLS } from './input/tools.js';
import { PRESETS } from './state/palette.js';
import { texts } from './texts.js';

/**
 * @param {object} o
 * @param {import('./input/drawing.js').Drawing} o.drawing
 * @param {import('./state/palette.js').Palette} o.palette
 * @param {import('./panels/view.js').ViewBar} o.view
 * @param {(which: 'undo'|'redo') => void} o.restore
 * @param {() => void} o.share
 * @param {() => void} o.save
 * @param {() => void} o.help
 * @returns {(import('./input/shortcuts.js').Shortcut & {group: string, name?: string})[]}
 */
export function commands({ drawing, palette, view, restore, share, save, help }) {
  return [
    ...Object.entries(TOOLS).map(([id, { key }]) => ({ group: 'tools', id, name: texts.tools[id], keys: [key], run: () => drawing.choose(id) })),
    { group: 'edit', id: 'undo', keys: ['mod+z', 'z'], run: () => restore('undo') },
    { group: 'edit', id: 'redo', keys: ['mod+shift+z', 'mod+y', 'y'], run: () => restore('redo') },
    { group: 'edit', id: 'brushDown', keys: ['['], run: () => drawing.stepBrush(-1) },
    { group: 'edit', id: 'brushUp', keys: [']'], run: () => drawing.stepBrush(1) },
    { group: 'edit', id: 'colors', keys: Array.from('123456789'), run: (e) => palette.choose(PRESETS[Number(e.key) - 1].color) },
    { group: 'edit', id: 'swap', keys: ['x'], run: () => palette.swap() },
    { group: 'view', id: 'zoomIn', keys: ['+', '='], run: () => view.zoom(1) },
    { group: 'view', id: 'zoomOut', keys: ['-'], run: () => view.zoom(-1) },
    { group: 'view', id: 'fit', keys: ['0'], run: () => view.fit() },
    { group: 'view', id: 'save', keys: ['mod+s'], run: save },
    { group: 'view', id: 'share', keys: ['c'], run: share },
    { group: 'view', id: 'help', keys: ['?'], run: help },
  ];
}
