// All clients are cut off at once: how soon are they back, and is anything lost?
import { Scenario, wait } from './lib/scenario.js';

const s = new Scenario('thundering-herd',
  '200 clients are all cut off at once, as all gateways are killed: how soon are they back, and is anything lost');
const clients = s.int('NUM_CLIENTS', 200, 1, 20_000, 'Clients.');
const duration = s.time('TEST_DURATION', '30s', '1h', 'How long they draw; the gateways are killed after a third of it.');
const rate = s.rate('WRITE_RATE', 20, 10_000, false, 'Writes per second of all together.');

export const options = s.options(duration);
export const { setup, handleSummary } = s;

export default s.run(async (system) => {
  const chaos = s.chaos(system);
  const all = s.swarm(system);
  await all.join(clients, { over: '2s' });
  const killing = async () => {
    await wait(duration / 3);
    const pods = await chaos.targets('gateway');
    s.say(`killing all ${pods.length} gateways`);
    pods.forEach((pod) => all.mark(pod));
    await chaos.kill('gateway', ...pods);
  };
  await Promise.all([all.paint({ rate, duration }), killing()]);
  await s.settle(all, system);
});
