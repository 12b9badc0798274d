// The picture as a PNG file.

/** Longest side of the image: browsers refuse much larger canvases. */
const MAX_SIDE = 8192;
export const SCALES = Object.freeze([1, 2, 4, 8, 16, 32]);

/** The scales that a canvas can be saved at. @param {{width: number, height: number}} size */
export const scalesFor = ({ width, height }) => SCALES.filter((s) => s === 1 || s * Math.max(width, height) <= MAX_SIDE);

/**
 * @param {HTMLCanvasElement} source the picture, one pixel a cell
 * @param {number} scale pixels per cell
 * @returns {Promise<Blob>}
 */
export function toPNG(source, scale) {
  const canvas = document.createElement('canvas');
  canvas.width = source.width * scale;
  canvas.height = source.height * scale;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { alpha: false }));
  context.imageSmoothingEnabled = false;
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('no image'))), 'image/png'));
}
