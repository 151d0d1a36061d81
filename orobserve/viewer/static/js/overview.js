// The overview: what calls cost, how many, how quick, how cached, how often wrong; over time, and by a group.
import { ask, repeat } from "./api.js";
import { swatch } from "./charts.js";
import { button, el, fill, name } from "./dom.js";
import { cacheRate, count, keyName, money, percent, plural } from "./format.js";
import { empty, nothingFound } from "./empty.js";
import { overTime } from "./overtime.js";
import { go, here, query, wanted } from "./place.js";
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

const isEach = () => query().get("each") === "1";

let charting = new AbortController();

function drawAll(root, sums, found, took, about, signal) {
  charting.abort();
  charting = new AbortController();
  signal.addEventListener("abort", () => charting.abort(), { once: true });
  const by = query().get("by") ?? "model";
  const label = (value) => (value === null ? "–" : by === "key" ? keyName(value, about.labels) : value);
  const groups = colours(sums.groups, found?.parts ?? []);
  const shown = [...groups].map(([group, colour]) => ({ group, colour, label: label(group) ?? "–" }));
  fill(
    root,
    el("h1", { class: "unseen" }, "Overview"),
    tiles(sums.total, took),
    chooser(by, groups, label),
    found ? overTime(found, shown, isEach(), charting.signal) : el("p", { class: "charts loading" }, "Adding up…"),
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
    button(`each ${by}`, () => go(here({ each: isEach() ? null : "1" })), {
      class: "toggle",
      id: "each",
      "aria-pressed": String(isEach()),
      title: `tokens, cache and latency of each ${by}, too`,
    }),
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
