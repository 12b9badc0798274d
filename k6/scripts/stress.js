// Latency, throughput, broadcast multiplier and connection success while
// clients come and go.
import { Scenario } from './lib/scenario.js';

const s = new Scenario('stress',
  '100 clients draw, 5 are replaced every second: latency, throughput, broadcast multiplier, connection success');
const most = s.int('MAX_CLIENTS', 100, 1, 20_000, 'Clients that join first.');
const steady = Math.min(most, s.int('STEADY_STATE_CLIENTS', most, 1, 20_000, 'Clients that stay, while others are replaced; by default all.'));
const duration = s.time('TEST_DURATION', '60s', '1h', 'How long they draw.');
const churn = s.rate('CHURN_RATE', 5, 1000, true, 'Clients that are replaced every second.');
const rate = s.rate('WRITE_RATE', 50, 10_000, false, 'Writes per second of all together.');

export const options = s.options(duration);
export const { setup, handleSummary } = s;

export default s.run(async (system) => {
  const all = s.swarm(system);
  s.say(`${most} clients join`);
  await all.join(most, { over: most * 20 });
  await all.leave(most - steady);
  s.say(`${steady} clients draw ${rate} pixels/s for ${duration / 1000} s, ${churn} are replaced every second`);
  const stop = churn > 0 ? all.churn(churn) : async () => {};
  await all.paint({ rate, duration });
  await stop();
  await s.settle(all, system);
});
