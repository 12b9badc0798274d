// Asks Prometheus what a panel's targets say, as Grafana would.

const SCRAPE = 5;

/** The seconds of one step: a panel has about as many points as half its pixels. */
export const stepFor = ({ from, to }) => Math.max(SCRAPE, Math.ceil((to - from) / 300 / SCRAPE) * SCRAPE);

/** Replaces Grafana's variables in an expression. */
export function expand(expr, variables, range) {
  const step = stepFor(range);
  const builtIn = { __rate_interval: `${Math.max(step + SCRAPE, 4 * SCRAPE)}s`, __interval: `${step}s`, __range: `${range.to - range.from}s` };
  return expr.replace(/\$\{(\w+)(?::\w+)?\}|\$(\w+)/g, (all, a, b) => {
    const name = a ?? b;
    return builtIn[name] ?? variables[name] ?? all;
  });
}

async function ask(path, parameters) {
  const answer = await fetch(`/prometheus/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const { status, data, error } = await answer.json();
  if (status !== 'success') throw new Error(error);
  return data.result;
}

const legend = (format, labels) =>
  format
    ? format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '')
    : Object.entries(labels).filter(([k]) => k !== '__name__').map(([k, v]) => `${k}=${v}`).join(' ') || labels.__name__ || 'Value';

/** Series of a target: a name, labels, times in ms and values. */
export async function series(target, variables, range) {
  const query = expand(target.expr, variables, range);
  if (target.instant) {
    const result = await ask('query', { query, time: range.to });
    return result.map(({ metric, value: [t, v] }) => ({ name: legend(target.legendFormat, metric), labels: metric, times: [t * 1000], values: [Number(v)] }));
  }
  const step = stepFor(range);
  const result = await ask('query_range', { query, start: range.from, end: range.to, step });
  return result.map(({ metric, values }) => ({ name: legend(target.legendFormat, metric), labels: metric, times: values.map(([t]) => t * 1000), values: values.map(([, v]) => Number(v)) }));
}
