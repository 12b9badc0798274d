// Which share each gateway has, and whether what is drawn at one gateway reaches
// the clients of all.
import { Scenario } from './lib/scenario.js';

const s = new Scenario('load-balancing',
  '20 clients: which share each gateway has, and whether what is drawn at one gateway reaches the clients of all');
const clients = s.int('NUM_CLIENTS', 20, 1, 20_000, 'Clients.');
const duration = s.time('TEST_DURATION', '15s', '1h', 'How long they draw.');
const rate = s.rate('WRITE_RATE', 20, 10_000, false, 'Writes per second of all together.');

export const options = s.options(duration);
export const { setup, handleSummary } = s;

export default s.run(async (system) => {
  const all = s.swarm(system);
  await all.join(clients, { over: '1s' });
  s.say(`${clients} clients on ${Object.keys(all.pods()).length} gateways`);
  await all.paint({ rate, duration });
  await s.settle(all, system);
});
