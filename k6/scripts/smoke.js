// A moment of everything that a script does with single clients: two of them
// draw, hear of each other and agree.
import { check } from 'k6';
import { connect } from 'k6/x/pixel';
import { Scenario } from './lib/scenario.js';

const s = new Scenario('smoke', 'two clients draw, hear of each other and agree');

export const options = { ...s.options(10_000) };
export const { setup, handleSummary } = s;

export default s.run(async (system) => {
  const options = { api: system.api, ...s.common };
  const [ann, bob] = await Promise.all([
    connect(system.urls, { ...options, name: 'Ann' }),
    connect(system.urls, { ...options, name: 'Bob' }),
  ]);
  const heard = [];
  const hearing = new Promise((resolve) => {
    bob.on('update', (u) => {
      heard.push(...u.pixels);
      if (heard.length >= 3) {
        resolve();
      }
    });
  });
  ann.draw(3, 4, '#12ab34');
  ann.stroke([{ x: 5, y: 5, color: '#000001' }, { x: 6, y: 5, color: '#000002' }]);
  await ann.flush();
  await hearing;
  await ann.waitFor(bob.position()); // an acknowledgement may come before the pixel itself
  check(null, {
    'Bob hears of all three pixels': () => heard.length === 3 && heard[0].color === '#12AB34',
    'both see the same': () => ann.at(3, 4) === '#12AB34' && bob.at(3, 4) === '#12AB34' && bob.at(6, 5) === '#000002',
    'the way to a gateway takes time': () => ann.pod() !== '' && ann.state() === 'live',
  });
  await Promise.all([ann.close(), bob.close()]);
});
