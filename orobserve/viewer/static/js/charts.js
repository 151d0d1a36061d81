// Charts over time on uPlot: bars (stacked) and lines, a shared cursor, a tooltip, and a drag to zoom.
import { append, el, fill } from "./dom.js";
import { go, here } from "./place.js";

const HEIGHT = 168;
const SYNC = "orobserve";
const open = new Set(); // charts that are drawn, to be drawn anew where the scheme changes

/** Returns the colour of a CSS variable as it is now: a canvas knows no variables. */
export function colour(variable) {
  const probe = el("span", { hidden: true });
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

addEventListener("theme", () => open.forEach((drawn) => drawn.draw()));

/**
 * Draws a chart into a new figure and returns it.
 *
 * given: title, note (a node), kind ("bars" or "lines"), axis { since, until, step } in ms,
 * `turns`: along turns instead of time, the first one at 0 and a second for each.
 * series [{ label, colour (variable), values, text(index) }], rough(value): an axis label; most: of the axis.
 * Bars are stacked, the first series lowest; values may be null, which is unknown and leaves a gap.
 */
export function chart(given, signal) {
  const host = el("div", { class: "plot" });
  const tip = el("div", { class: "tip", hidden: true });
  const figure = el(
    "figure",
    { class: "chart" },
    el("figcaption", {}, el("h3", {}, given.title), el("span", { class: "key" }, given.note)),
    host,
    tip,
  );
  let plot = null;
  const drawn = {
    draw() {
      plot?.destroy();
      const width = Math.max(host.clientWidth, 120);
      host.setAttribute("role", "img");
      host.setAttribute(
        "aria-label",
        `Chart: ${given.title}. ${given.series.map((each) => each.label).join(", ")}. The table on this page has the figures.`,
      );
      plot = new uPlot(options(given, width, tip), data(given), host);
    },
  };
  const sizes = new ResizeObserver(() => {
    if (!plot) drawn.draw();
    else if (Math.abs(plot.width - host.clientWidth) > 1) plot.setSize({ width: host.clientWidth, height: HEIGHT });
  });
  sizes.observe(host);
  open.add(drawn);
  signal.addEventListener("abort", () => {
    sizes.disconnect();
    open.delete(drawn);
    plot?.destroy();
  });
  return figure;
}

/** Returns the columns: bars are cumulated, and drawn from the highest down, so that each covers what is below it. */
function data(given) {
  const { since, until, step } = given.axis;
  const times = Array.from(
    { length: Math.max(1, Math.round((until - since) / step)) },
    (_, index) => (since + index * step) / 1000,
  );
  if (given.kind === "lines") return [times, ...given.series.map((each) => each.values)];
  const sums = times.map(() => 0);
  const columns = given.series.map((each) => times.map((_, index) => (sums[index] += each.values[index] ?? 0)));
  return [times, ...columns.reverse()];
}

function options(given, width, tip) {
  const { since, until, step, turns } = given.axis;
  const isBars = given.kind === "bars";
  const shift = isBars && !turns ? 0 : step / 2; // bars of time begin where their step does; all else is in its middle
  const grid = { stroke: colour("--grid"), width: 1 };
  const axis = { stroke: colour("--dim"), font: "11px system-ui, sans-serif", grid, ticks: { show: false } };
  const shown = isBars ? [...given.series].reverse() : given.series;
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    padding: [8, 18, 0, 0],
    tzDate: (seconds) => (step >= 864e5 ? uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC") : new Date(seconds * 1e3)),
    cursor: {
      sync: turns ? undefined : { key: SYNC },
      drag: { x: !turns, y: false, setScale: false },
      y: false,
      points: { show: !isBars },
    },
    scales: {
      x: { time: !turns, range: () => [(since - shift) / 1000, (until - shift) / 1000] },
      y: { range: (_, low, high) => [0, given.most ?? (high > 0 ? high * 1.08 : 1)] },
    },
    axes: [
      {
        ...axis,
        space: 64,
        size: 26,
        grid: { show: false },
        ...(turns
          ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200], values: (_, ticks) => turnNames(ticks, until / 1000) }
          : { values: (_, ticks, __, ___, apart) => ticks.map((tick) => tickName(tick * 1000, apart, step)) }),
      },
      { ...axis, size: 58, space: 32, values: (_, ticks) => ticks.map((each) => given.rough(each)) },
    ],
    series: [{}, ...shown.map((each) => look(each, isBars, turns))],
    hooks: {
      setCursor: [(plot) => drawTip(plot, given, tip)],
      setSelect: [(plot) => zoom(plot)],
    },
  };
}

function look(series, isBars, turns) {
  const stroke = colour(series.colour);
  if (isBars)
    return {
      fill: stroke,
      stroke,
      width: 0,
      points: { show: false },
      paths: uPlot.paths.bars({ align: turns ? 0 : 1, size: [0.86, 48] }),
    };
  return {
    stroke,
    width: 1.75,
    spanGaps: false,
    points: { show: () => series.values.filter((each) => each !== null).length < 60, size: 5, fill: stroke },
  };
}

function drawTip(plot, given, tip) {
  const { idx: index, left } = plot.cursor;
  tip.hidden = index === null || index === undefined || left < 0 || !plot.over.matches(":hover"); // the others only follow
  if (tip.hidden) return;
  const rows = given.series.filter(
    (each) =>
      each.values[index] !== null && each.values[index] !== undefined && (given.kind === "lines" || each.values[index]),
  );
  const lines = [...rows]
    .reverse()
    .map((each) => [swatch(each.colour), el("bdi", {}, each.label), el("span", { class: "number" }, each.text(index))]);
  fill(
    tip,
    el("strong", {}, given.axis.turns ? `turn ${index + 1}` : stepName(plot.data[0][index] * 1000, given.axis.step)),
  );
  if (given.whole)
    append(tip, [
      el(
        "div",
        { class: "tip-row" },
        el("span", {}),
        el("span", {}, "all"),
        el("span", { class: "number" }, given.whole(index)),
      ),
    ]);
  append(
    tip,
    lines.map((cells) => el("div", { class: "tip-row" }, cells)),
  );
  const isRight = left > plot.over.clientWidth / 2;
  tip.style.left = isRight ? "auto" : `${left + 76}px`;
  tip.style.right = isRight ? `${plot.over.clientWidth - left + 24}px` : "auto";
}

/** Returns what stands below a tick: its day, or its time where ticks are less than a day apart. */
function tickName(at, apart, step) {
  const zone = step >= 864e5 ? { timeZone: "UTC" } : {};
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", ...zone }).format(at);
  if (apart < 86400 && clock !== "00:00") return clock;
  return new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", ...zone }).format(at);
}

const turnNames = (ticks, last) =>
  ticks.map((each) => (Number.isInteger(each) && each >= 0 && each < last ? each + 1 : ""));

function stepName(at, step) {
  const zone = step >= 864e5 ? { timeZone: "UTC" } : {};
  const day = { weekday: "short", day: "numeric", month: "short", ...zone };
  if (step >= 864e5) return `${new Intl.DateTimeFormat("en-GB", day).format(at)} (UTC)`;
  return new Intl.DateTimeFormat("en-GB", { ...day, hour: "2-digit", minute: "2-digit" }).format(at);
}

function zoom(plot) {
  if (plot.select.width < 6) return;
  const moment = (pixels) => new Date(plot.posToVal(pixels, "x") * 1000).toISOString().slice(0, 19) + "Z";
  go(here({ since: moment(plot.select.left), until: moment(plot.select.left + plot.select.width) }));
}

export function swatch(variable) {
  const made = el("span", { class: "swatch", "aria-hidden": "true" });
  made.style.background = `var(${variable})`;
  return made;
}
