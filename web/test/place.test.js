import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Viewport } from '../js/display/viewport.js';
import { parsePlace, placeOf } from '../js/panels/view.js';

test('what is written is read again', () => {
  const v = new Viewport();
  v.resize(1200, 900, 2);
  v.setCanvas(1000, 700);
  v.lookAt(17.5, 641, 24);
  const place = parsePlace(placeOf(v));
  assert.deepEqual(place, { x: 17.5, y: 641, zoom: 12 });
});

test('other anchors are no places', () => {
  for (const hash of ['', '#', '#canvas', '#1,2', '#1,2,0', '#1,2,x', '#1e9,0,1', '#1,2,3,4', '#NaN,1,1', '# 1,2,3']) assert.equal(parsePlace(hash), null, hash);
  assert.deepEqual(parsePlace('#-3,2.25,0.5'), { x: -3, y: 2.25, zoom: 0.5 });
});
