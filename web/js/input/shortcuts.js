// Keys that work wherever the focus is, but for fields that are written in.
// Single letters can be turned off (they get in the way of speech input).

/**
 * @typedef {object} Shortcut
 * @property {string} id key of texts.shortcuts
 * @property {string[]} keys as KeyboardEvent.key has them; "mod+" is ctrl, or cmd on a Mac
 * @property {(e: KeyboardEvent) => void} run
 */

export class Shortcuts {
  #all;
  #enabled;

  /**
   * @param {Shortcut[]} all
   * @param {() => boolean} enabled whether single characters count
   */
  constructor(all, enabled) {
    this.#all = all;
    this.#enabled = enabled;
    document.addEventListener('keydown', (e) => this.#down(e));
  }

  /** @param {KeyboardEvent} e */
  #down(e) {
    if (e.defaultPrevented || e.altKey || isWriting(e.target) || document.querySelector('dialog:modal')) return;
    const mod = e.ctrlKey || e.metaKey;
    const key = e.key.length === 1 ? e.key.toLowerCase() : e.key;
    // Shift is part of how a sign is typed, such as the question mark, but a
    // capital letter is no command.
    if (!mod && (!this.#enabled() || (e.shiftKey && key !== e.key))) return;
    const name = `${mod ? 'mod+' : ''}${mod && e.shiftKey ? 'shift+' : ''}${key}`;
    const shortcut = this.#all.find((s) => s.keys.includes(name));
    if (!shortcut) return;
    e.preventDefault();
    shortcut.run(e);
  }
}

/** @param {EventTarget|null} target */
function isWriting(target) {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches('textarea, select, input:not([type=radio], [type=checkbox], [type=color], [type=range])'));
}
