// From nobody to many clients within seconds, while the first ones draw.
import { Scenario, wait } from './lib/scenario.js';

const s = new Scenario('spike', 'from nobody to 500 clients within 2 s, while the first ones draw');
const most = s.int('MAX_CLIENTS', 500, 2, 20_000, 'Clients in the end.');
const over = s.time('SPIKE_DURATION', '2s', '1h', 'How long they take to come.');
const duration = s.time('TEST_DURATION', '20s', '1h', 'How long is drawn; the clients come after a quarter of it.');
const rate = s.rate('WRITE_RATE', 20, 10_000, false, 'Writes per second of all together.');
const first = 2;

export const options = s.options(duration);
export const { setup, handleSummary } = s;

export default s.run(async (system) => {
  const all = s.swarm(system);
  await all.join(first);
  const coming = async () => {
    await wait(duration / 4);
    s.say(`${most - first} clients come within ${over / 1000} s`);
    await all.join(most - first, { over });
  };
  await Promise.all([all.paint({ rate, duration, writers: first }), coming()]);
  await s.settle(all, system);
});
