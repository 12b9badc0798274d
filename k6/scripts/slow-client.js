// Some clients stop reading: the others must not notice. A gateway closes those
// whose sockets stay full, which takes megabytes: a longer or faster run than
// the default one.
import { Counter } from 'k6/metrics';
import { sleepers } from 'k6/x/pixel';
import { Scenario } from './lib/scenario.js';

const s = new Scenario('slow-client',
  '5 clients stop reading while 20 others draw quickly: the others must not notice; who leaves a socket full for long is closed');
const clients = s.int('NUM_CLIENTS', 20, 1, 20_000, 'Clients that are measured.');
const slow = s.int('SLOW_CLIENTS', 5, 1, 1000, 'Clients that do not read.');
const duration = s.time('TEST_DURATION', '40s', '1h', 'How long is drawn.');
const rate = s.rate('WRITE_RATE', 200, 10_000, false, 'Writes per second of all together.');

const closed = s.metric(Counter, 'pixel_slow_closed', 'clients that did not read and were closed; the tag end tells how');

export const options = s.options(duration);
export const { setup, handleSummary } = s;

export default s.run(async (system) => {
  const all = s.swarm(system);
  await all.join(clients, { over: '1s' });
  // Straight to a gateway where that is possible: a proxy between would read for
  // who does not.
  const asleep = await sleepers(slow, system.gateways.length > 0 ? system.gateways : system.urls, s.common.canvas);
  await all.paint({ rate, duration });
  await s.settle(all, system);
  for (const [end, n] of Object.entries(await asleep.wake())) {
    closed.add(end === 'open' ? 0 : n, { end });
  }
});
