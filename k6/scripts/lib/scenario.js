// What all scripts have in common: settings, thresholds of one file, one way to
// run, and one report.
import exec from 'k6/execution';
import { fail, report, swarm } from 'k6/x/pixel';
import { Settings } from './settings.js';
import { breaker, reach } from './system.js';

const thresholds = JSON.parse(open(__ENV.THRESHOLDS || import.meta.resolve('../thresholds.json')));

/** Resolves after some milliseconds. */
export const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, Math.max(0, ms)); });

export class Scenario extends Settings {
  constructor(name, summary) {
    super(__ENV);
    this.name = name;
    this.summary = summary;
    this.common = {
      codec: this.choice('CODEC', ['binary', 'json'], 'Codec of the clients.'),
      canvas: this.text('CANVAS', '', 'Canvas to draw on, which nobody else should; empty: the default.'),
      resume: this.choice('RESUME', ['on', 'off'], 'off: who was cut off comes back as a new client.') === 'on',
      traceparent: this.choice('TRACEPARENT', ['off', 'on'], 'on: every write carries a trace context that is sampled.') === 'on',
    };
    this.where = {
      ws: this.text('WS_URL', '', 'Gateways, separated by commas, of another system than a playground of this machine.'),
      api: this.text('API_URL', '', 'Base address of its api.'),
      remote: this.choice('REMOTE', ['off', 'on'], 'on: WS_URL and API_URL may name another machine, which must be yours.') === 'on',
      state: this.text('STATE', 'build/state.json', 'State file of the playground.'),
      canvas: this.common.canvas,
      faults: this.choice('FAULTS', ['processes', 'kubernetes'], 'What scripts break: processes of the playground, or pods of a cluster.'),
      namespace: this.text('KUBE_NAMESPACE', '', 'Namespace of the pods; empty: the context\'s.'),
      context: this.text('KUBE_CONTEXT', '', 'Cluster, by its name for kubectl; empty: the current one.'),
      grafana: this.text('GRAFANA_URL', '', 'Grafana that gets an annotation for each fault.'),
      token: __ENV.GRAFANA_TOKEN || '', // a secret: it stands in no report
    };
    this.reports = __ENV.REPORTS === undefined ? 'build/reports' : __ENV.REPORTS;
    this.meanings = {};
    this.setup = this.setup.bind(this);
    this.handleSummary = this.handleSummary.bind(this);
  }

  /** Makes a metric of the script's own, of a class of k6/metrics, with what it means. */
  metric(Kind, name, meaning) {
    this.meanings[name] = meaning;
    return new Kind(name);
  }

  /** Options for k6: one virtual user that runs once, within a time, and what else a script runs beside it. */
  options(milliseconds, beside = {}) {
    this.check();
    return {
      scenarios: {
        [this.name]: { executor: 'per-vu-iterations', vus: 1, iterations: 1, maxDuration: `${Math.ceil(milliseconds / 1000) + 300}s` },
        ...beside,
      },
      thresholds: thresholds[this.name],
      summaryTrendStats: ['count', 'min', 'avg', 'med', 'p(50)', 'p(95)', 'p(99)', 'p(99.9)', 'max'],
      setupTimeout: '60s',
    };
  }

  setup() {
    try {
      return reach(this.where);
    } catch (error) {
      fail(String(error.message || error));
      throw error;
    }
  }

  /** A swarm on the system; `change` has options that differ. */
  swarm(system, change = {}) {
    return swarm({ urls: system.urls, api: system.api, names: true, ...this.common, ...change });
  }

  /** What breaks the system's parts. */
  chaos(system) {
    return breaker(system, this.where);
  }

  /** Says what is happening. */
  say(text) {
    console.log(text);
  }

  /** The script's function: an error ends the whole test, which has failed then. */
  run(work) {
    return async (system) => {
      try {
        await work(system);
      } catch (error) {
        const text = String((error && error.message) || error);
        fail(text);
        exec.test.abort(text);
      }
    };
  }

  /** Waits until everybody has everything, compares all pictures, and ends the swarm. `after` runs before it ends. */
  async settle(clients, system, after = async () => {}) {
    this.say('waiting until everybody has everything');
    if (await clients.settle('30s')) {
      await clients.compare(system.apis);
      await after();
    }
    await clients.close();
  }

  handleSummary(data) {
    const about = { scenario: this.name, summary: this.summary, system: (data.setup_data || {}).description || '', settings: this.used, meanings: this.meanings };
    const made = report(about, data);
    const out = { stdout: made.text };
    if (this.reports) {
      const base = `${this.reports}/${this.name}-${made.started}`;
      out[`${base}.txt`] = made.text;
      out[`${base}.json`] = made.json;
      out[`${base}.html`] = made.html;
      out.stdout += `\n  report: ${base}.{txt,json,html}\n`;
    }
    return out;
  }
}
