// Thousands of clients receive: what do they cost themselves?
import { Gauge } from 'k6/metrics';
import { note, usage } from 'k6/x/pixel';
import { Scenario, wait } from './lib/scenario.js';

const s = new Scenario('crowd',
  '5,000 clients of one process receive 20 pixels/s, straight from the gateways: what the clients themselves cost');
const clients = s.int('NUM_CLIENTS', 5000, 1, 20_000, 'Clients. Each takes an open file here and one at its gateway.');
const over = s.time('JOIN_DURATION', '15s', '1h', 'How long they take to join.');
const duration = s.time('TEST_DURATION', '20s', '1h', 'How long is drawn.');
const rate = s.rate('WRITE_RATE', 20, 10_000, false, 'Writes per second of all together.');

const cores = s.metric(Gauge, 'pixel_generator_cores', 'processors that this process used to receive everything');
const memory = s.metric(Gauge, 'pixel_generator_memory_mb', 'its greatest resident memory, in MB (10⁶ bytes)');

export const options = s.options(duration + over);
export const { setup, handleSummary } = s;

export default s.run(async (system) => {
  const straight = system.gateways.length > 0;
  if (!straight) {
    note('the clients went through one port, whose proxy takes two open files for each');
  }
  const all = s.swarm(system, { urls: straight ? system.gateways : system.urls, names: false, grid: false, joinTimeout: '30s' });
  s.say(`${clients} clients join`);
  await all.join(clients, { over });
  const before = usage();
  const begin = Date.now();
  let most = before.memory;
  const watching = async () => {
    while (Date.now() - begin < duration) {
      await wait(1000);
      most = Math.max(most, usage().memory);
    }
  };
  await Promise.all([all.paint({ rate, duration, writers: 20 }), watching()]);
  // What comes late costs, too, so all of it is counted against the time in
  // which it was drawn.
  await s.settle(all, system, async () => {
    const after = usage();
    cores.add((after.cpu - before.cpu) / (duration / 1000));
    memory.add(Math.max(most, after.memory) / 1e6);
  });
});
