// Settings of scripts: variables of the environment, with a default, a meaning
// and bounds. All mistakes are told at once, before anything begins; what was
// read stands in the report.

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Parses "90s", "1m30s", "500ms" or plain seconds into milliseconds; NaN when it is none of these. */
export function milliseconds(text) {
  if (/^\d+(\.\d+)?$/.test(text)) {
    return Number(text) * 1000;
  }
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) {
    return NaN;
  }
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    sum += Number(number) * units[unit];
  }
  return sum;
}

export class Settings {
  constructor(environment) {
    this.environment = environment;
    this.used = [];
    this.mistakes = [];
  }

  text(name, fallback, meaning) {
    const value = this.environment[name] || fallback; // an empty one counts as unset
    this.used.push({ name, value, default: fallback, meaning });
    return value;
  }

  /** A whole number from low to high. */
  int(name, fallback, low, high, meaning) {
    const text = this.text(name, String(fallback), meaning);
    return this.#checked(name, text, Number(text), (n) => Number.isInteger(n) && n >= low && n <= high,
      `a number from ${low} to ${high}`, fallback);
  }

  /** A number per second up to high; zero only where it is allowed. */
  rate(name, fallback, high, zero, meaning) {
    const text = this.text(name, String(fallback), meaning);
    return this.#checked(name, text, Number(text), (n) => n <= high && (zero ? n >= 0 : n > 0),
      `a number per second up to ${high}`, fallback);
  }

  /** A time up to high, in milliseconds. Fallback and high are written like settings. */
  time(name, fallback, high, meaning) {
    const text = this.text(name, fallback, meaning);
    return this.#checked(name, text, milliseconds(text), (n) => n >= 0 && n <= milliseconds(high),
      `a time up to ${high}, for example 60s or 60`, milliseconds(fallback));
  }

  /** One of some words; the first is the default. */
  choice(name, words, meaning) {
    const text = this.text(name, words[0], meaning);
    return this.#checked(name, text, text, (word) => words.includes(word), `one of ${words.join(', ')}`, words[0]);
  }

  #checked(name, text, value, holds, want, fallback) {
    if (holds(value)) {
      return value;
    }
    this.mistakes.push(`${name} is "${text}", not ${want}`);
    return fallback;
  }

  /** Throws when there were mistakes. */
  check() {
    if (this.mistakes.length > 0) {
      throw new Error(this.mistakes.join('\n'));
    }
  }
}
