// The colour by which a person is known on every screen: made of the author's
// tag, light enough in both themes to be seen and dark enough for white text.

const LIGHTNESS = 0.53;
const CHROMA = 0.17;

/**
 * @param {number} author tag, 32 bits
 * @returns {string} "#rrggbb"
 */
export function personColor(author) {
  // The golden angle: tags that follow each other are far apart.
  const hue = ((author >>> 0) * 137.50776405) % 360;
  let chroma = CHROMA;
  let rgb = oklch(LIGHTNESS, chroma, hue);
  while (rgb.some((v) => v < 0 || v > 1)) rgb = oklch(LIGHTNESS, (chroma -= 0.01), hue);
  return '#' + rgb.map((v) => Math.round(255 * v).toString(16).padStart(2, '0')).join('');
}

/**
 * OKLCh to sRGB, as CSS Color 4 gives it; parts outside [0, 1] are out of gamut.
 * @param {number} l
 * @param {number} c
 * @param {number} h degrees
 */
function oklch(l, c, h) {
  const a = c * Math.cos((h * Math.PI) / 180);
  const b = c * Math.sin((h * Math.PI) / 180);
  const L = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const M = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const S = (l - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * L - 3.3077115913 * M + 0.2309699292 * S,
    -1.2684380046 * L + 2.6097574011 * M - 0.3413193965 * S,
    -0.0041960863 * L - 0.7034186147 * M + 1.707614701 * S,
  ].map((v) => (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055));
}
