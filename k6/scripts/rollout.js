// Every gateway and api is replaced, one after the other, under load.
import { Scenario, wait } from './lib/scenario.js';

const s = new Scenario('rollout',
  'every gateway and api is stopped in an orderly way and replaced, one after the other, while 50 clients draw');
const clients = s.int('NUM_CLIENTS', 50, 1, 20_000, 'Clients.');
const rate = s.rate('WRITE_RATE', 50, 10_000, false, 'Writes per second of all together.');
const pause = s.time('ROLLOUT_PAUSE', '2s', '1h', 'Time between two.');

export const options = s.options(300_000);
export const { setup, handleSummary } = s;

export default s.run(async (system) => {
  const chaos = s.chaos(system);
  const all = s.swarm(system);
  await all.join(clients, { over: '1s' });
  const painting = all.paint({ rate, duration: '1h' });
  for (const service of ['gateway', 'api']) {
    for (const pod of await chaos.targets(service)) {
      await wait(pause);
      s.say(`restarting ${pod}`);
      if (service === 'gateway') {
        all.mark(pod);
      }
      await chaos.stop(service, pod);
    }
  }
  await wait(pause);
  all.rest();
  await painting;
  await s.settle(all, system);
});
