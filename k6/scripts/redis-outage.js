// Redis stands still and is then killed: nobody is cut off, nothing is lost.
import { Scenario, wait } from './lib/scenario.js';

const s = new Scenario('redis-outage',
  'Redis stands still for 5 s and is then killed, while 20 clients draw: nobody is cut off, nothing is lost');
const clients = s.int('NUM_CLIENTS', 20, 1, 20_000, 'Clients.');
const duration = s.time('TEST_DURATION', '30s', '1h', 'How long they draw.');
const outage = s.time('OUTAGE_DURATION', '5s', '1m', 'How long Redis stands still, after a quarter of it; 0: not at all.');
const rate = s.rate('WRITE_RATE', 20, 10_000, false, 'Writes per second of all together.');

export const options = s.options(duration);
export const { setup, handleSummary } = s;

export default s.run(async (system) => {
  const chaos = s.chaos(system);
  const all = s.swarm(system);
  await all.join(clients, { over: '1s' });
  const breaking = async () => {
    await wait(duration / 4);
    const [redis] = await chaos.targets('redis');
    if (!redis) {
      throw new Error('there is no Redis to break');
    }
    if (outage > 0) {
      s.say(`pausing Redis for ${outage / 1000} s`);
      await chaos.pause(redis, outage);
    }
    await wait(duration / 4);
    s.say('killing Redis');
    await chaos.restartRedis();
  };
  await Promise.all([all.paint({ rate, duration }), breaking()]);
  await s.settle(all, system);
});
