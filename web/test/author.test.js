import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { personColor } from '../js/display/colors.js';
import { authorOf, sha256 } from '../js/state/author.js';

test('SHA-256 is that of everybody else', () => {
  for (let length = 0; length < 300; length += 7) {
    const message = randomBytes(length);
    assert.deepEqual(Buffer.from(sha256(message)), createHash('sha256').update(message).digest(), `${length} bytes`);
  }
});

test('the tag is the one in the golden vectors', () => {
  assert.equal(authorOf('00112233445566778899aabbccddeeff'), 0x13aa61fa);
});

test('white letters can be read on the colour of everybody', () => {
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  for (let author = 0; author < 2000; author++) {
    const hex = personColor((author * 2654435761) >>> 0);
    assert.match(hex, /^#[0-9a-f]{6}$/);
    const [r, g, b] = [1, 3, 5].map((i) => linear(parseInt(hex.slice(i, i + 2), 16) / 255));
    const contrast = 1.05 / (0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05);
    assert.ok(contrast >= 4.5, `${hex}: ${contrast}`);
  }
});
