// Which system a script is for, and how to break it.
import http from 'k6/http';
import { sleep } from 'k6';
import { chaos, playground } from 'k6/x/pixel';

const local = /^(localhost|127(\.\d+){3}|\[::1\])$/;

function checkHost(address, remote) {
  const [, host] = /^\w+:\/\/(\[[^\]]*\]|[^/:?]*)/.exec(address) || [];
  if (!host) {
    throw new Error(`${address} is not an address like ws://host:3002/ws or http://host:3001`);
  }
  if (!remote && !local.test(host)) {
    throw new Error(`${address} is on another machine: load is sent there only with REMOTE=on, and it should be yours`);
  }
}

/** Finds the system that is to be loaded; see k6/README.md. Waits until its canvas is there. */
export function reach(settings) {
  const found = settings.ws || settings.api ? named(settings) : running(settings.state);
  const canvas = `${found.api}/api/canvases/${settings.canvas || 'main'}`;
  let answer;
  for (let i = 0; i < 50; i++) {
    answer = http.get(canvas, { tags: { name: 'canvas' } });
    if (answer.status === 200) {
      return { ...found, canvas, ...answer.json(), state: settings.state };
    }
    sleep(0.2);
  }
  throw new Error(`${canvas} answers ${answer.status} ${answer.error}`);
}

function named({ ws, api, remote }) {
  if (!ws || !api) {
    throw new Error('WS_URL and API_URL belong together: both are needed');
  }
  const urls = ws.split(',');
  for (const address of [...urls, api]) {
    checkHost(address, remote);
  }
  const base = api.replace(/\/+$/, '');
  return { urls, gateways: [], api: base, apis: [base], separate: false, processes: [], description: `${ws} and ${base}` };
}

function running(path) {
  const found = playground(path);
  if (!found) {
    throw new Error(`${path} is not there: start a playground with -state ${path} (or run \`make NAME\`, which does), or set WS_URL and API_URL`);
  }
  return { ...found, urls: [found.ws] };
}

/** Returns what breaks a system's parts. */
export function breaker(system, settings) {
  const options = {};
  if (settings.faults === 'kubernetes') {
    options.kubernetes = { namespace: settings.namespace, context: settings.context };
  } else if (system.separate) {
    options.state = system.state;
  } else {
    throw new Error('this script breaks parts of the system: it needs a playground with processes of its own, or FAULTS=kubernetes');
  }
  if (settings.grafana) {
    options.grafana = { url: settings.grafana, token: settings.token };
  }
  return chaos(options);
}
