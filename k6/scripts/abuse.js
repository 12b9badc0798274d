// Some clients send rubbish and floods: the good ones must not notice.
import { Counter } from 'k6/metrics';
import { WebSocket } from 'k6/websockets';
import { Scenario, wait } from './lib/scenario.js';

const s = new Scenario('abuse',
  '10 clients send rubbish, oversized messages and floods while 20 others draw: the others must not notice');
const clients = s.int('NUM_CLIENTS', 20, 1, 20_000, 'Clients that are measured.');
const abusers = s.int('ABUSERS', 10, 1, 1000, 'Clients that behave badly; each comes back when it is closed.');
const flood = s.rate('ABUSE_RATE', 500, 100_000, false, 'Messages per second of each.');
const duration = s.time('TEST_DURATION', '20s', '1h', 'How long is drawn.');
const rate = s.rate('WRITE_RATE', 20, 10_000, false, 'Writes per second of the good ones together.');

const sent = s.metric(Counter, 'pixel_abuse_messages', 'messages of the bad ones that were sent');
const answers = s.metric(Counter, 'pixel_abuse_answers', 'messages that they got, their errors among them');
const closed = s.metric(Counter, 'pixel_abuse_closed', 'times that a gateway closed the connection of a bad one');

export const options = s.options(duration, {
  abusers: { executor: 'constant-vus', vus: abusers, duration: `${Math.ceil(duration / 1000)}s`, gracefulStop: '2s', exec: 'abuse' },
});
export const { setup, handleSummary } = s;

export default s.run(async (system) => {
  const all = s.swarm(system);
  await all.join(clients, { over: '1s' });
  await all.paint({ rate, duration });
  await wait(3500); // until the last of the bad ones are gone: pictures are compared while nobody draws
  await s.settle(all, system);
});

const bytes = (n) => Uint8Array.from({ length: n }, () => Math.floor(Math.random() * 256)).buffer;
const tooBig = new ArrayBuffer(1 << 20);
const brackets = '['.repeat(5000);
const longName = JSON.stringify({ type: 'set_username', username: 'x'.repeat(60_000) });

// What one of them says, over and over. What is valid goes to the cell (0, 0) in
// white, the colour of no write of a swarm.
const rubbish = [
  () => '{"type":"pixel_update","x":1e99,"y":-3,"color":"red"}',
  () => bytes(200),
  () => brackets,
  () => '{"type":"pixel_update","x":0,"y":0,"color":"#FFFFFF"}', // a flood of what is right
  () => tooBig,
  () => longName,
];

const tick = 20; // ms between two bursts

/** One connection of somebody bad: it ends when the gateway has enough, or after a second. */
export function abuse(system) {
  const urls = system.gateways.length > 0 ? system.gateways : system.urls;
  const say = rubbish[__VU % rubbish.length];
  const url = urls[(__VU + __ITER) % urls.length] + (s.common.canvas ? `?canvas=${s.common.canvas}` : '');
  const ws = new WebSocket(url, __VU % 3 === 1 ? 'pixel.v1' : null);
  let over = false;
  const timers = [];
  ws.binaryType = 'arraybuffer';
  ws.onopen = () => {
    const burst = Math.max(1, Math.round((flood * tick) / 1000));
    timers.push(setInterval(() => {
      for (let i = 0; i < burst && ws.readyState === 1; i++) {
        ws.send(say());
      }
      sent.add(burst);
    }, tick));
    timers.push(setTimeout(() => { over = true; ws.close(); }, 1000));
  };
  ws.onmessage = () => answers.add(1);
  ws.onerror = () => {}; // the close that follows counts
  ws.onclose = () => {
    timers.forEach(clearTimeout);
    if (!over) {
      closed.add(1);
    }
  };
}
