// One panel of a dashboard, drawn by Grafana's own components.

import { FieldType, createTheme, dateTime, getDisplayProcessor, getDisplayValueAlignmentFactors } from '@grafana/data';
import { BarGauge, BigValue, TimeSeries } from '@grafana/ui';
import { useEffect, useState } from 'react';

import { series } from './query.js';

export const theme = createTheme({ colors: { mode: 'dark' } });
const TITLE = 24;
const PADDING = 18;

/** Whether an override is for a series. */
const matches = ({ id, options }, name) => (id === 'byName' ? options === name : id === 'byRegexp' ? new RegExp(options.replace(/^\/(.*)\/$/, '$1')).test(name) : false);

/**
 * Names, units, colours and thresholds by the panel's field configuration. The
 * registry by which Grafana does this is no part of its libraries.
 */
function configured(frames, { type, fieldConfig: { defaults, overrides = [] } }) {
  frames.forEach((f, i) => {
    const [time, field] = f.fields;
    const { displayNameFromDS: name } = field.config;
    const config = { color: { mode: type === 'timeseries' ? 'palette-classic' : 'thresholds' }, ...defaults, displayNameFromDS: name };
    for (const { matcher, properties } of overrides) {
      if (!matches(matcher, name)) continue;
      for (const { id, value } of properties) {
        if (id.startsWith('custom.')) config.custom = { ...config.custom, [id.slice(7)]: value };
        else config[id] = value;
      }
    }
    field.config = config;
    field.state = { seriesIndex: i, displayName: name };
    for (const each of [time, field]) each.display = getDisplayProcessor({ field: each, theme, timeZone: 'utc' });
  });
  return frames;
}

const frame = ({ name, labels, times, values }, refId) => ({
  refId,
  length: times.length,
  fields: [
    { name: 'Time', type: FieldType.time, config: {}, values: times },
    { name, type: FieldType.number, labels, config: { displayNameFromDS: name }, values },
  ],
});

export function Panel({ panel, variables, range, width, height }) {
  const [state, setState] = useState(null);
  useEffect(() => {
    Promise.all((panel.targets ?? []).map(async (t) => (await series(t, variables, range)).map((s) => frame(s, t.refId))))
      .then((all) => setState({ frames: all.flat() }))
      .catch((error) => setState({ error }));
  }, [panel, variables, range]);
  return (
    <div className="panel" data-state={state ? 'ready' : 'loading'}>
      <div className="title" title={panel.description}>{panel.title}</div>
      {state?.error ? <div className="empty failed">{state.error.message}</div> : null}
      {state?.frames?.length === 0 ? <div className="empty">No data</div> : null}
      {state?.frames?.length > 0 ? <Content panel={panel} frames={state.frames} range={range} width={width - PADDING} height={height - PADDING - TITLE} /> : null}
    </div>
  );
}

function Content({ panel, frames, range, width, height }) {
  const timeRange = { from: dateTime(range.from * 1000), to: dateTime(range.to * 1000), raw: { from: 'now-5m', to: 'now' } };
  const data = configured(frames, panel);
  if (panel.type === 'timeseries') {
    return <TimeSeries frames={data} timeRange={timeRange} timeZone="utc" width={width} height={height} legend={{ showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] }} />;
  }
  const values = data.map((f) => {
    const field = f.fields[1];
    const display = field.display ?? getDisplayProcessor({ field, theme });
    return { field, value: { ...display(field.values.at(-1)), title: data.length > 1 || panel.type === 'bargauge' ? field.config.displayNameFromDS : undefined } };
  });
  if (panel.type === 'stat') return <BigValue theme={theme} width={width} height={height} value={values[0].value} colorMode="value" graphMode="none" justifyMode="auto" />;
  if (panel.type === 'bargauge') {
    const alignmentFactors = getDisplayValueAlignmentFactors(values.map((v) => ({ display: v.value })));
    const each = Math.min(48, height / values.length);
    return (
      <div className="bars">
        {values.map(({ field, value }, i) => (
          <BarGauge key={i} alignmentFactors={alignmentFactors} theme={theme} width={width} height={each - 6} field={{ ...field.config, min: field.config.min ?? 0, max: field.config.max ?? Math.max(...values.map((v) => v.value.numeric)) }} display={field.display} value={value} orientation="horizontal" displayMode="basic" itemSpacing={6} lcdCellWidth={8} />
        ))}
      </div>
    );
  }
  return <div className="empty">A panel of the kind {panel.type} is not drawn here</div>;
}

