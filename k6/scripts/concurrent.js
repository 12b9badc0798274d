// Clients paint the same few cells at the same moments: races, and whether
// everybody agrees with the log in the end.
import http from 'k6/http';
import { Counter, Gauge, Rate } from 'k6/metrics';
import { note } from 'k6/x/pixel';
import { Scenario } from './lib/scenario.js';

const s = new Scenario('concurrent',
  '20 clients paint the same 10 pixels at the same moments: races, and whether everybody agrees with the log in the end');
const clients = s.int('NUM_CLIENTS', 20, 2, 1000, 'Clients.');
const each = s.int('PIXELS_PER_CLIENT', 100, 1, 10_000, 'Pixels that each client paints.');
const targets = s.int('TARGET_PIXELS', 10, 1, 1000, 'Cells that they paint.');
const volleys = s.rate('VOLLEY_RATE', 10, 1000, false, 'How often per second all paint at the same moment.');

const races = s.metric(Counter, 'pixel_races', 'writes that were due while another client\'s write to the same cell was under way');
const nearby = s.metric(Counter, 'pixel_races_in_100ms', 'writes that were due within 100 ms of another client\'s write to the same cell');
const consistent = s.metric(Rate, 'pixel_consistent', 'cells whose final colour, at each api, is that of the last write in the log');
const unseen = s.metric(Counter, 'pixel_unseen', 'writes that no client saw in the log');
const cells = s.metric(Gauge, 'pixel_cells', 'cells that were painted');

export const options = s.options((each / volleys) * 1000);
export const { setup, handleSummary } = s;

export default s.run(async (system) => {
  const all = s.swarm(system);
  await all.join(clients, { over: '1s' });
  s.say(`${clients} clients paint ${each} pixels each on ${targets} cells, all at once ${volleys} times a second`);
  await all.paint({ rate: volleys * clients, volley: clients, writes: clients * each, targets });
  await s.settle(all, system, async () => {
    const found = all.races('100ms');
    races.add(found.overlapping);
    nearby.add(found.nearby);
    compare(all.lastWrites(), system);
  });
});

// Each api must name the write that clients saw at the greatest position of the
// log, with that position.
function compare(last, system) {
  unseen.add(last.unseen);
  cells.add(last.cells.length);
  const path = system.canvas.slice(system.api.length);
  for (const api of system.apis) {
    for (const cell of last.cells) {
      const answer = http.get(`${api}${path}/pixels/${cell.x}/${cell.y}`, { tags: { name: 'pixel' } });
      if (answer.status !== 200) {
        throw new Error(`${answer.url} answers ${answer.status} ${answer.error}`);
      }
      const stored = answer.json();
      const seq = stored.lastWrite ? stored.lastWrite.seq : 0;
      const same = stored.color === cell.color && seq === cell.seq;
      consistent.add(same);
      if (!same) {
        note(`cell (${cell.x}, ${cell.y}): ${api} says ${stored.color} at ${seq}, clients saw ${cell.color} at ${cell.seq} last`);
      }
    }
  }
}
