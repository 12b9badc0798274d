// What the user has set, kept for the next visit.

const LETTERS = 'pixel-letters';

/** Storage that the browser may forbid altogether. @param {'localStorage'|'sessionStorage'} kind @returns {Storage|null} */
export function storage(kind) {
  try {
    return window[kind];
  } catch {
    return null;
  }
}

export class Settings {
  #local;
  #letters;

  /** @param {Storage|null} local */
  constructor(local) {
    this.#local = local;
    this.#letters = local?.getItem(LETTERS) !== 'off';
  }

  /** Whether single letters are commands. */
  get letters() {
    return this.#letters;
  }

  set letters(/** @type {boolean} */ value) {
    this.#letters = value;
    try {
      this.#local?.setItem(LETTERS, value ? 'on' : 'off');
    } catch {
      // It holds for this visit.
    }
  }
}
