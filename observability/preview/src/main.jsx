// A dashboard as it is committed, at ?dashboard=NAME, over the ?minutes until ?to
// (seconds since the Unix epoch; now without it).
// Every other parameter is the value of a variable of that name.

import { createRoot } from 'react-dom/client';

import { Panel } from './Panel.jsx';

const WIDTH = 1400;
const CELL = WIDTH / 24;
const ROW = 38;
const GAP = 8;

function Dashboard({ dashboard, variables, range }) {
  const bottom = Math.max(...dashboard.panels.map(({ gridPos: g }) => g.y + g.h)) * ROW;
  return (
    <div className="page">
      <h1>{dashboard.title}</h1>
      <div className="grid" style={{ height: bottom }}>
        {dashboard.panels.map((panel, i) => {
          const { x, y, w, h } = panel.gridPos;
          const [width, height] = [w * CELL - GAP, h * ROW - GAP];
          return (
            <div key={i} className="cell" style={{ left: x * CELL, top: y * ROW, width, height }}>
              {panel.type === 'row' ? <h2>{panel.title}</h2> : <Panel panel={panel} variables={variables} range={range} width={width} height={height} />}
            </div>
          );
        })}
      </div>
    </div>
  );
}

const { dashboard: name = 'pixel-overview', minutes = '5', to, ...given } = Object.fromEntries(new URLSearchParams(location.search));
const end = to ? Number(to) : Math.floor(Date.now() / 1000);
const dashboard = await (await fetch(`/dashboards/${name}.json`)).json();
const variables = Object.fromEntries(dashboard.templating.list.map((v) => [v.name, '.*']));
createRoot(document.getElementById('page')).render(<Dashboard dashboard={dashboard} variables={{ ...variables, ...given }} range={{ from: end - 60 * Number(minutes), to: end }} />);
