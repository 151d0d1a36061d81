// The overview: what calls cost, how many, how quick, how cached, how often wrong; over time, and by a group.
import { ask, repeat } from "./api.js";
import { chart, swatch } from "./charts.js";
import { el, fill, name } from "./dom.js";
import {
  cacheRate,
  count,
  keyName,
  money,
  percent,
  plural,
  roughMoney,
  roughSeconds,
  seconds,
  short,
} from "./format.js";
import { empty, nothingFound } from "./empty.js";
import { here, query, wanted } from "./place.js";
import { downloads, sortable } from "./table.js";
import { tiles } from "./tiles.js";

export const filters = {};
const GROUPS = ["model", "provider", "key", "user", "tag", "session"];
const COLOURS = ["--c0", "--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7"];
const OTHER = "(other)";
const LEAST = 5_000; // milliseconds between two looks at what is new
const EASE = 10; // of the time that an answer took, there is a pause so many times as long

export async function open(root, { signal, about, replace }) {
  const draw = async () => {
    const began = performance.now();
    const given = wanted();
    const rest = Promise.all(["series", "latencies"].map((each) => ask(each, given, signal)));
    rest.catch(() => {}); // it is told below, unless the sums have failed already
    const sums = await ask("sums", given, signal);
    if (sums.missing) fill(root, empty(about));
    else if (!sums.total) fill(root, nothingFound());
    else {
      if (!root.querySelector(".tiles")) drawAll(root, sums, null, {}, about, signal); // what is there, at once
      replace();
      drawAll(root, sums, ...(await rest), about, signal);
    }
    replace();
    return performance.now() - began;
  };
  let pause = Math.max(LEAST, EASE * (await draw()));
  let cursor = null;
  const look = async () => {
    const found = await ask("follow", cursor === null ? {} : { cursor }, signal);
    const isNew = found.rows?.length && cursor !== null;
    cursor = found.cursor ?? 0; // no ledger: its first call is news
    const isUsed = root.contains(document.activeElement) || document.querySelector(".tip:not([hidden])");
    if (isNew && !isUsed) pause = Math.max(LEAST, EASE * (await draw()));
  };
  await look();
  repeat(look, () => pause, signal);
}

let charting = new AbortController();

function drawAll(root, sums, found, took, about, signal) {
  charting.abort();
  charting = new AbortController();
  signal.addEventListener("abort", () => charting.abort(), { once: true });
  const by = query().get("by") ?? "model";
  const label = (value) => (value === null ? "–" : by === "key" ? keyName(value, about.labels) : value);
  const groups = colours(sums.groups, found?.parts ?? []);
  fill(
    root,
    tiles(sums.total, took),
    chooser(by, groups, label),
    found ? charts(found, groups, label, charting.signal) : el("p", { class: "charts loading" }, "Adding up…"),
    table(sums, by, groups, label),
  );
}

/** Returns the groups that are drawn apart, the dearest first, with their colours. */
function colours(groups, parts) {
  const apart = new Set(parts.map((each) => each.name));
  const names = groups.map((each) => each.name).filter((each) => apart.has(each) && each !== OTHER);
  const made = new Map(names.slice(0, COLOURS.length).map((each, index) => [each, COLOURS[index]]));
  for (const each of apart) if (!made.has(each)) made.set(each, "--other");
  return made;
}

function chooser(by, groups, label) {
  const links = GROUPS.map((each) =>
    el("a", { href: here({ by: each }), "aria-current": each === by ? "true" : null }, each),
  );
  const legend = [...groups].map(([group, colour]) => el("li", {}, swatch(colour), name(label(group))));
  return el(
    "div",
    { class: "chooser" },
    el("div", { class: "spans", role: "group", "aria-label": "Group by" }, el("span", { class: "dim" }, "by"), links),
    el("ul", { class: "legend", "aria-label": "Colours" }, legend),
  );
}

function charts(found, groups, label, signal) {
  const axis = { since: found.since, until: found.until, step: found.step };
  const size = Math.max(1, Math.round((axis.until - axis.since) / axis.step));
  const column = (points) => {
    const placed = new Array(size).fill(null);
    for (const point of points) placed[Math.round((point.start - axis.since) / axis.step)] = point;
    return placed;
  };
  const whole = column(found.points);
  const apart = [...groups].map(([group, colour]) => ({
    label: label(group) ?? "–",
    colour,
    points: column(found.parts.filter((each) => each.name === group)),
  }));
  const stacked = (value, text) =>
    apart.map((each) => ({
      ...each,
      values: each.points.map((point) => (point ? value(point) : null)),
      text: (index) => text(each.points[index]),
    }));
  const line = (title, colour, value, text) => ({
    label: title,
    colour,
    values: whole.map((point) => (point ? value(point) : null)),
    text: (index) => text(value(whole[index])),
  });
  const make = (given) => chart({ axis, ...given }, signal);
  return el(
    "section",
    { class: "charts", "aria-label": "Over time" },
    make({
      title: "Spend",
      kind: "bars",
      rough: roughMoney,
      series: stacked(
        (point) => Number(point.cost ?? 0),
        (point) => money(point.cost, point.unpriced),
      ),
      whole: (index) => (whole[index] ? money(whole[index].cost, whole[index].unpriced) : "–"),
    }),
    make({
      title: "Calls",
      kind: "bars",
      rough: short,
      series: stacked(
        (point) => point.calls,
        (point) => count(point.calls),
      ),
      whole: (index) => count(whole[index]?.calls ?? 0),
    }),
    make({
      title: "Tokens",
      note: key([
        ["in", "--c0"],
        ["out", "--c1"],
      ]),
      kind: "bars",
      rough: short,
      series: [
        line("in", "--c0", (point) => point.input_tokens, count),
        line("out", "--c1", (point) => point.output_tokens, count),
      ],
    }),
    make({
      title: "Read from a prompt cache",
      kind: "lines",
      rough: percent,
      most: 1,
      series: [line("of tokens in", "--c2", cacheRate, percent)],
    }),
    make({
      title: "Latency",
      note: key([
        ["median", "--c0"],
        ["95 %", "--c3"],
        ["first chunk", "--c4"],
      ]),
      kind: "lines",
      rough: roughSeconds,
      series: [
        line("median", "--c0", (point) => point.latency_p50, seconds),
        line("95 %", "--c3", (point) => point.latency_p95, seconds),
        line("first chunk, median", "--c4", (point) => point.first_chunk_p50, seconds),
      ],
    }),
    make({
      title: "Errors",
      kind: "bars",
      rough: short,
      series: stacked(
        (point) => point.errors,
        (point) => count(point.errors),
      ),
      whole: (index) => count(whole[index]?.errors ?? 0),
    }),
  );
}

function key(entries) {
  return el(
    "span",
    { class: "key" },
    entries.map(([label, colour]) => el("span", {}, swatch(colour), label)),
  );
}

function table(sums, by, groups, label) {
  const filtered = by === "tag" ? "tag" : by;
  const columns = [
    {
      title: by,
      value: (each) => label(each.name),
      cell: (each) => [
        swatch(groups.get(each.name) ?? "--other"),
        each.name === null
          ? name(null)
          : el("a", { class: "row-link", href: here({ [filtered]: each.name }) }, name(label(each.name))),
      ],
    },
    {
      title: "spend",
      number: true,
      value: (each) => (each.cost === null ? null : Number(each.cost)),
      cell: (each) => money(each.cost, each.unpriced),
    },
    { title: "calls", number: true, value: (each) => each.calls, cell: (each) => count(each.calls) },
    {
      title: "errors",
      number: true,
      value: (each) => each.errors,
      cell: (each) => (each.errors ? el("span", { class: "bad" }, count(each.errors)) : ""),
    },
    ...[
      ["tokens in", "input_tokens"],
      ["cached", "cache_read_tokens"],
      ["out", "output_tokens"],
      ["reasoning", "reasoning_tokens"],
    ].map(([title, field]) => ({
      title,
      number: true,
      value: (each) => each[field],
      cell: (each) => (each[field] === 0 ? "" : count(each[field])),
    })),
    {
      title: "cache rate",
      number: true,
      value: cacheRate,
      cell: (each) => percent(cacheRate(each)),
    },
    {
      title: "cache saving",
      number: true,
      value: (each) => (each.cache_saving === null ? null : Number(each.cache_saving)),
      cell: (each) => (each.cache_saving === null ? "" : money(each.cache_saving)),
    },
  ];
  const more =
    sums.group_count > sums.groups.length
      ? el(
          "p",
          { class: "dim" },
          `and ${plural(sums.group_count - sums.groups.length, "group")} of less spend: in the download`,
        )
      : null;
  return el(
    "section",
    { "aria-labelledby": "groups" },
    el("div", { class: "head" }, el("h2", { id: "groups" }, `By ${by}`), downloads("groups")),
    sortable(columns, sums.groups, `Sums by ${by}`),
    more,
  );
}
