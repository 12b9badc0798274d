// A gateway is killed, again and again: who is affected, how soon they are back,
// whether anything is lost.
import { Scenario, wait } from './lib/scenario.js';

const s = new Scenario('chaos',
  '20 clients draw while a gateway is killed every 15 s: who is affected, how soon they are back, whether anything is lost');
const clients = s.int('NUM_CLIENTS', 20, 1, 20_000, 'Clients.');
const duration = s.time('TEST_DURATION', '60s', '1h', 'How long they draw.');
const interval = s.time('CHAOS_INTERVAL', '15s', '1h', 'Time between two kills; 0: none.');
const rate = s.rate('WRITE_RATE', 20, 10_000, false, 'Writes per second of all together.');

export const options = s.options(duration);
export const { setup, handleSummary } = s;

export default s.run(async (system) => {
  const chaos = s.chaos(system);
  const all = s.swarm(system);
  await all.join(clients, { over: '1s' });
  s.say(`${clients} clients draw ${rate} pixels/s for ${duration / 1000} s, a gateway is killed every ${interval / 1000} s`);
  await Promise.all([all.paint({ rate, duration }), killing(chaos, all)]);
  await s.settle(all, system);
});

async function killing(chaos, all) {
  const begin = Date.now();
  const killed = {};
  for (let at = interval; interval > 0 && at < duration; at += interval) {
    await wait(begin + at - Date.now());
    const pod = await victim(chaos, all, killed);
    killed[pod] = (killed[pod] || 0) + 1;
    s.say(`killing ${pod}, which has ${all.mark(pod)} clients`);
    await chaos.kill('gateway', pod);
  }
}

// The gateway that was killed least often, of those the one with the most
// clients.
async function victim(chaos, all, killed) {
  const pods = await chaos.targets('gateway');
  if (pods.length < 2) {
    throw new Error(`only ${pods.length} gateways are there: with none left nobody could come back`);
  }
  const on = all.pods();
  return [...pods].sort((a, b) => (killed[a] || 0) - (killed[b] || 0) || (on[b] || 0) - (on[a] || 0))[0];
}
