// Draws a dashboard: panels as they are shipped, figures as an engine gave them (`window.board`), by Grafana's components.
// Panel plugins are not to be had from npm, so what leads from a panel's type to a component is ours.
import { createTheme, FieldType, getDisplayProcessor, toDataFrame } from '@grafana/data';
import { BarGauge, BigValue, GlobalStyles, PanelChrome, ThemeContext, TimeSeries } from '@grafana/ui';
import { TableNG } from './node_modules/@grafana/ui/dist/esm/components/Table/TableNG/TableNG.mjs';
import React from 'react';
import { createRoot } from 'react-dom/client';

const { board } = window;
const theme = createTheme({ colors: { mode: 'dark' } });
const cell = { width: 60, height: 36 };
const range = { from: board.start * 1000, to: board.end * 1000 };
const usual = {
  drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', spanNulls: false,
  showPoints: 'auto', pointSize: 5, stacking: { mode: 'none', group: 'A' }, axisPlacement: 'auto', axisLabel: '',
  axisColorMode: 'text', axisBorderShow: false, scaleDistribution: { type: 'linear' }, axisCenteredZero: false,
  hideFrom: { tooltip: false, viz: false, legend: false }, thresholdsStyle: { mode: 'off' }, barAlignment: 0,
};

// The field configuration of the panel and its overrides by name, as Grafana applies them.
function framed(panel, frames) {
  const { defaults, overrides } = panel.fieldConfig;
  const custom = { ...(panel.type === 'timeseries' ? usual : {}), ...defaults.custom };
  if (custom.stacking) custom.stacking = { group: 'A', ...custom.stacking };
  const color = { mode: panel.type === 'stat' || panel.type === 'gauge' ? 'thresholds' : 'palette-classic' };
  let series = 0;
  return frames.map((given) => {
    const frame = toDataFrame(given);
    for (const field of frame.fields) {
      const named = overrides.filter(({ matcher }) => matcher.id === 'byName' && matcher.options === field.name);
      const changed = Object.fromEntries(named.flatMap(({ properties }) => properties.map(({ id, value }) => [id, value])));
      const { displayName, ...rest } = defaults;
      field.config = field.type === FieldType.number ? { color, ...rest, ...field.config, ...changed } : {};
      field.config.custom = { ...custom, width: changed['custom.width'] };
      field.state = field.type === FieldType.number ? { seriesIndex: series++ } : {};
      field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
    }
    return frame;
  });
}

function shown(frames) {
  return frames.flatMap((frame) => frame.fields.filter((field) => field.type === FieldType.number).map((field) => {
    const display = field.display ?? getDisplayProcessor({ field, theme });
    const value = display(field.values[field.values.length - 1]);
    return { ...value, title: field.config.displayNameFromDS ?? field.name };
  }));
}

function Inside({ panel, frames, width, height }) {
  const data = framed(panel, frames);
  if (!data.some((frame) => frame.length)) return <div style={{ padding: 20 }}>No data</div>;
  if (panel.type === 'stat') {
    const [value] = shown(data);
    const coloured = panel.options.colorMode === 'none' ? { ...value, color: theme.colors.text.primary } : value;
    return <BigValue value={{ ...coloured, title: undefined }} colorMode="value" graphMode="none" justifyMode="auto" textMode="value" width={width} height={height} theme={theme} />;
  }
  if (panel.type === 'gauge' || panel.type === 'piechart') {
    const values = shown(data);
    const most = panel.type === 'gauge' ? 1 : Math.max(...values.map((value) => value.numeric));
    const each = Math.min(40, height / values.length);
    const field = { min: 0, max: most, color: panel.type === 'gauge' ? { mode: 'thresholds' } : { mode: 'fixed' }, thresholds: panel.fieldConfig.defaults.thresholds, unit: panel.fieldConfig.defaults.unit };
    return <div>{values.map((value, index) => <BarGauge key={index} value={value} field={field} display={data[0].fields[0].display} displayMode="basic" orientation="horizontal" width={width} height={each - 6} theme={theme} />)}</div>;
  }
  if (panel.type === 'table') {
    return <TableNG data={data[0]} width={width} height={height} timeRange={range} cellHeight="sm" initialSortBy={panel.options.sortBy} fieldConfig={panel.fieldConfig} structureRev={1} getActions={() => []} />;
  }
  const legend = { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] };
  const times = { from: { valueOf: () => range.from }, to: { valueOf: () => range.to }, raw: range };
  return <TimeSeries frames={data} structureRev={1} timeRange={times} timeZone="utc" width={width} height={height} legend={legend} options={{}} />;
}

class Safe extends React.Component {
  state = {};
  static getDerivedStateFromError(error) { return { error }; }
  render() { return this.state.error ? <pre>{String(this.state.error.stack).slice(0, 900)}</pre> : this.props.children; }
}

function App() {
  const bottom = Math.max(...board.panels.map(({ panel }) => panel.gridPos.y + panel.gridPos.h));
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ background: theme.colors.background.canvas, color: theme.colors.text.primary, position: 'relative', width: 24 * cell.width + 8, height: bottom * cell.height + 44, fontFamily: 'Inter, Helvetica, Arial', fontSize: 14 }}>
        <div style={{ padding: '10px 12px', fontSize: 18 }}>{board.title}</div>
        {board.panels.map(({ panel, frames }) => {
          const width = panel.gridPos.w * cell.width - 8;
          const height = panel.gridPos.h * cell.height - 8;
          return (
            <div key={panel.id} style={{ position: 'absolute', left: panel.gridPos.x * cell.width + 8, top: panel.gridPos.y * cell.height + 40 }}>
              <PanelChrome title={panel.title} width={width} height={height}>
                {(w, h) => <Safe><Inside panel={panel} frames={frames} width={w} height={h} /></Safe>}
              </PanelChrome>
            </div>
          );
        })}
      </div>
    </ThemeContext.Provider>
  );
}

createRoot(document.getElementById('root')).render(<App />);
