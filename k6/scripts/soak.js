// A steady load for long: nothing may be lost, memory may not grow.
import { Gauge } from 'k6/metrics';
import { note, playground, usage } from 'k6/x/pixel';
import { Scenario, wait } from './lib/scenario.js';

const s = new Scenario('soak', '50 clients, one replaced every second, for ten minutes: nothing may be lost, memory may not grow');
const clients = s.int('STEADY_STATE_CLIENTS', 50, 1, 20_000, 'Clients.');
const duration = s.time('TEST_DURATION', '10m', '24h', 'How long they draw.');
const churn = s.rate('CHURN_RATE', 1, 1000, true, 'Clients that are replaced every second.');
const rate = s.rate('WRITE_RATE', 50, 10_000, false, 'Writes per second of all together.');

const memory = s.metric(Gauge, 'pixel_memory_bytes', 'resident memory of all services in the last quarter');
const growth = s.metric(Gauge, 'pixel_memory_growth', 'resident memory of all services in the last quarter beside that in the second one, when everything was warm');

export const options = s.options(duration);
export const { setup, handleSummary } = s;

export default s.run(async (system) => {
  const all = s.swarm(system);
  await all.join(clients, { over: '1s' });
  const stop = churn > 0 ? all.churn(churn) : async () => {};
  await Promise.all([all.paint({ rate, duration }), following(system)]);
  await stop();
  await s.settle(all, system);
});

async function following(system) {
  if (system.processes.length === 0) {
    note('the memory of the services cannot be seen from here');
    return;
  }
  const begin = Date.now();
  const warm = [];
  const late = [];
  for (;;) {
    await wait(Math.max(duration / 200, 100));
    const gone = (Date.now() - begin) / duration;
    if (gone >= 1) {
      break;
    }
    const used = usage(...new Set(playground(system.state).processes.map((p) => p.pid))).memory;
    if (gone > 3 / 4) {
      late.push(used);
    } else if (gone > 1 / 4 && gone < 1 / 2) {
      warm.push(used);
    }
  }
  if (warm.length > 0 && late.length > 0) {
    memory.add(mean(late));
    growth.add(mean(late) / mean(warm));
  }
}

const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;
