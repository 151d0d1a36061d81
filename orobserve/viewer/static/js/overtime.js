// The charts of the overview: what all calls come to over time, apart by a group where that adds up, or where it is asked.
import { chart, swatch } from "./charts.js";
import { el } from "./dom.js";
import { cacheRate, count, money, percent, roughMoney, roughSeconds, seconds, short } from "./format.js";

/**
 * Returns six charts. `found`: the answer of `series`; `groups`: [{ group, colour, label }], the dearest first;
 * `isEach`: whether tokens, cache and latency are told apart by the group too.
 */
export function overTime(found, groups, isEach, signal) {
  const axis = { since: found.since, until: found.until, step: found.step };
  const whole = column(found.points, axis);
  const parts = groups.map((each) => ({
    ...each,
    points: column(
      found.parts.filter(({ name }) => name === each.group),
      axis,
    ),
  }));
  const all = (label, colour) => ({ label, colour, points: whole });
  const series = (sources, value, text) =>
    sources.map(({ label, colour, points }) => ({
      label,
      colour,
      values: points.map((point) => (point ? value(point) : null)),
      text: (index) => text(points[index]),
    }));
  const make = (given) => chart({ axis, ...given }, signal);
  const of = (field, text) => [(point) => point[field], (point) => text(point[field])];
  const tokens = (point) => `${count(point.input_tokens)} → ${count(point.output_tokens)}`;
  const dollars = (point) => money(point.cost, point.unpriced);
  const took = (point) => `${seconds(point.latency_p50)}, 95 % ${seconds(point.latency_p95)}`;
  return el(
    "section",
    { class: "charts", "aria-label": "Over time" },
    make({
      title: "Spend",
      kind: "bars",
      rough: roughMoney,
      series: series(parts, (point) => Number(point.cost ?? 0), dollars),
      whole: (index) => (whole[index] ? dollars(whole[index]) : "–"),
    }),
    make({
      title: "Calls",
      kind: "bars",
      rough: short,
      series: series(parts, ...of("calls", count)),
      whole: (index) => count(whole[index]?.calls ?? 0),
    }),
    make({
      title: "Tokens",
      note: isEach ? "in and out" : key([all("in", "--c0"), all("out", "--c1")]),
      kind: "bars",
      rough: short,
      series: isEach
        ? series(parts, (point) => (point.input_tokens ?? 0) + (point.output_tokens ?? 0), tokens)
        : [
            ...series([all("in", "--c0")], ...of("input_tokens", count)),
            ...series([all("out", "--c1")], ...of("output_tokens", count)),
          ],
    }),
    make({
      title: "Read from a prompt cache",
      kind: "lines",
      rough: percent,
      most: 1,
      series: series(isEach ? parts : [all("of tokens in", "--c2")], cacheRate, (point) => percent(cacheRate(point))),
    }),
    make({
      title: "Latency",
      note: isEach ? "median" : key([all("median", "--c0"), all("95 %", "--c3"), all("first chunk", "--c4")]),
      kind: "lines",
      rough: roughSeconds,
      series: isEach
        ? series(parts, (point) => point.latency_p50, took)
        : [
            ...series([all("median", "--c0")], ...of("latency_p50", seconds)),
            ...series([all("95 %", "--c3")], ...of("latency_p95", seconds)),
            ...series([all("first chunk, median", "--c4")], ...of("first_chunk_p50", seconds)),
          ],
    }),
    make({
      title: "Errors",
      kind: "bars",
      rough: short,
      series: series(parts, ...of("errors", count)),
      whole: (index) => count(whole[index]?.errors ?? 0),
    }),
  );
}

/** Returns the points in their places along the axis; null: there is none. */
function column(points, { since, until, step }) {
  const placed = new Array(Math.max(1, Math.round((until - since) / step))).fill(null);
  for (const point of points) {
    const place = Math.round((point.start - since) / step);
    if (place in placed) placed[place] = point; // a clock that is wrong may have put a call into the future
  }
  return placed;
}

function key(entries) {
  return el(
    "span",
    { class: "key" },
    entries.map(({ label, colour }) => el("span", {}, swatch(colour), label)),
  );
}
