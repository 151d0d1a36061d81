// One session: its turns in order, what it had cost by then, where the provider changed and what the cache did.
import { ask, repeat } from "./api.js";
import { chart } from "./charts.js";
import { result } from "./calls.js";
import { el, fill, name } from "./dom.js";
import { cacheRate, count, moment, money, nanoseconds, percent, plural, roughMoney, share } from "./format.js";
import { callAddress, query } from "./place.js";
import { downloads, scrolling } from "./table.js";

const EVERY = 3_000; // milliseconds between two looks
const HEADS = [
  ["turn", 1],
  ["time"],
  ["model"],
  ["provider"],
  ["tokens in", 1],
  ["cached", 1],
  ["cache rate", 1],
  ["out", 1],
  ["cost", 1],
  ["session so far", 1],
  ["took", 1],
  ["result"],
];

export async function open(root, { signal, replace }) {
  const id = query().get("id") ?? "";
  let drawing = new AbortController();
  const given = new URLSearchParams({ session: id });
  let { cursor } = await ask("follow", given, signal);
  const draw = async () => {
    const found = await ask("session", { id }, signal);
    drawing.abort();
    drawing = new AbortController();
    drawAll(root, id, found, drawing.signal);
    replace();
  };
  signal.addEventListener("abort", () => drawing.abort(), { once: true });
  await draw();
  repeat(
    async () => {
      given.set("cursor", cursor);
      const found = await ask("follow", given, signal);
      cursor = found.cursor;
      if (found.rows.length && !root.contains(document.activeElement)) await draw();
    },
    EVERY,
    signal,
  );
}

function drawAll(root, id, { turns, total }, signal) {
  const turnCount = total.calls;
  const first = turns[0];
  const last = turns.at(-1);
  const switches = turns.filter((each) => each.switched).length;
  const cached = cacheRate(total);
  const facts = [
    ["spend", money(total.cost, total.unpriced)],
    ["turns", count(turnCount)],
    ["errors", count(total.errors)],
    ["prompt cache", [percent(cached), total.cache_saving === null ? null : [", saved ", money(total.cache_saving)]]],
    ["provider switches", count(switches)],
    ["user", name(last.user)],
    ["began", moment(first.started_at)],
    ["last call", moment(last.started_at)],
  ];
  fill(
    root,
    el(
      "div",
      { class: "head" },
      el("h1", {}, "Session ", name(id)),
      downloads("calls", new URLSearchParams({ session: id })),
    ),
    el(
      "dl",
      { class: "facts" },
      facts.map(([title, value]) => el("div", {}, el("dt", {}, title), el("dd", {}, value))),
    ),
    turns.length > 1 ? charts(turns, signal) : null,
    turnCount > turns.length
      ? el(
          "p",
          { class: "dim" },
          `the last ${plural(turns.length, "turn")} of ${count(turnCount)}; what they add up to counts all`,
        )
      : null,
    table(turns, turnCount - turns.length),
  );
}

/** Returns the charts: along the turns, not along time. */
function charts(turns, signal) {
  const axis = { since: 0, until: turns.length * 1000, step: 1000, turns: true };
  const make = (given) => chart({ axis, ...given }, signal);
  const rate = (turn) => share(turn.cache_read_tokens, turn.input_tokens);
  return el(
    "section",
    { class: "charts few", "aria-label": "Along the turns" },
    make({
      title: "Cost per turn",
      kind: "bars",
      rough: roughMoney,
      series: [
        {
          label: "cost",
          colour: "--c0",
          values: turns.map((each) => (each.cost === null ? null : Number(each.cost))),
          text: (index) => money(turns[index].cost),
        },
      ],
    }),
    make({
      title: "Read from a prompt cache",
      kind: "lines",
      rough: percent,
      most: 1,
      series: [
        {
          label: "of tokens in",
          colour: "--c2",
          values: turns.map(rate),
          text: (index) => percent(rate(turns[index])),
        },
      ],
    }),
  );
}

function table(turns, before) {
  const number = (...children) => el("td", { class: "number" }, children);
  const heads = HEADS.map(([title, isNumber]) => el("th", { scope: "col", class: isNumber ? "number" : "" }, title));
  const rows = turns.map((turn, index) =>
    el(
      "tr",
      { class: `${turn.failed ? "failed" : ""} ${turn.switched ? "switched" : ""}` },
      el(
        "th",
        { scope: "row", class: "number" },
        el("a", { class: "row-link", href: callAddress(turn) }, count(before + index + 1)),
      ),
      el("td", {}, moment(turn.started_at)),
      el("td", {}, name(turn.model)),
      el("td", {}, name(turn.provider), turn.switched ? [" ", el("span", { class: "badge warn" }, "switched")] : null),
      number(count(turn.input_tokens)),
      number(turn.cache_read_tokens === 0 ? "" : count(turn.cache_read_tokens)),
      number(meter(share(turn.cache_read_tokens, turn.input_tokens))),
      number(count(turn.output_tokens)),
      number(money(turn.cost)),
      number(money(turn.running_cost, turn.running_unpriced)),
      number(nanoseconds(turn.duration)),
      el("td", {}, result(turn)),
    ),
  );
  return scrolling(
    el("table", { "aria-label": "Turns" }, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows)),
    "Turns",
  );
}

function meter(value) {
  if (value === null) return "?";
  const bar = el("span", { class: "meter", "aria-hidden": "true" }, el("span", {}));
  bar.firstChild.style.width = `${Math.min(100, value * 100)}%`;
  return [percent(value), bar];
}
