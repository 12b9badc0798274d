import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Playground } from '../js/playground.js';
import { gatewayUrl } from '../js/transport/connection.js';
import { Clock } from './fakes.js';
import { Gateway, inflate, randomFrom } from './gateway.js';

const WIDTH = 8;
const HEIGHT = 6;

/** Until promises that are settled have been heard. */
const settled = () => new Promise(setImmediate);

const { warn } = console;
before(() => (console.warn = () => {}));
after(() => (console.warn = warn));

for (let seed = 1; seed <= 12; seed++) {
  test(`frames byte by byte, twice, late and out of order: nothing is lost, nothing drawn twice (seed ${seed})`, async () => {
    const random = randomFrom(seed);
    const clock = new Clock();
    const gateway = new Gateway({ width: WIDTH, height: HEIGHT, clock, random });
    const drawn = new Set();
    const nothing = () => {};
    const view = new Proxy({ notice: (key) => assert.fail(key), refused: () => assert.fail('refused'), expired: () => assert.fail('expired') }, { get: (v, name) => v[name] ?? nothing });
    const session = { id: '00112233445566778899aabbccddeeff', kept: { next: 1, entries: [] }, put: (e) => drawn.add(e.number), remove() {}, next() {}, forget() {} };
    const page = new Playground({
      view,
      url: (position) => gatewayUrl('', 'http://t/', 'main', position),
      inflate,
      clock,
      WebSocket: gateway.WebSocket,
    });
    const pass = async (ms) => {
      clock.pass(ms);
      await settled();
      await settled();
    };
    page.start();
    await pass(10);
    gateway.faults = 0.15;
    const opens = Math.floor(random() * 60); // by then there are strokes that wait for it
    for (let round = 0; round < 300; round++) {
      if (round === opens) page.open(session);
      const cell = () => [Math.floor(random() * WIDTH), Math.floor(random() * HEIGHT), Math.floor(random() * 0x1000000)];
      const what = random();
      if (what < 0.4) gateway.draw(1, cell());
      else if (what < 0.8 && page.grid) page.commit([...cell(), ...cell()]);
      else if (what < 0.85 && page.grid) page.undo();
      await pass(Math.floor(random() * 400));
    }
    gateway.faults = 0;
    for (let i = 0; i < 200 && (page.waiting > 0 || page.position?.seq !== gateway.log.length); i++) await pass(500);
    await pass(5000);

    assert.equal(page.waiting, 0, 'all is acknowledged');
    assert.deepEqual(page.position?.seq, gateway.log.length);
    assert.deepEqual([...page.grid.cells], [...gateway.grid.cells]);
    for (let y = 0; y < HEIGHT; y++) for (let x = 0; x < WIDTH; x++) assert.equal(page.colorAt(x, y), gateway.grid.at(x, y), 'nothing of the overlay is left');
    const own = gateway.log.filter((op) => op.author === page.author).map((op) => op.number);
    assert.deepEqual(own, [...drawn], 'all that was drawn, each once, in order');
    assert.ok(own.length > 50, `${own.length}`);
    page.stop();
  });
}
