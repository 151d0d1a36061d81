// The list of calls, newest first: what ends meanwhile comes in on top, what is completed changes in its place.
import { ask, repeat } from "./api.js";
import { append, button, el, fill, name } from "./dom.js";
import { empty, nothingFound } from "./empty.js";
import { count, keyName, moment, money, nanoseconds, percent, share } from "./format.js";
import { callAddress, here, query, sessionAddress, wanted } from "./place.js";
import { downloads, scrolling } from "./table.js";

export const filters = { span: "all" };
const EVERY = 1_000; // milliseconds between two looks
const MOST = 2_000; // rows that are kept in the page
const HEADS = [
  ["time"],
  ["model"],
  ["provider"],
  ["user"],
  ["session"],
  ["tokens in", 1],
  ["cached", 1],
  ["out", 1],
  ["cost", 1],
  ["time", 1],
  ["first chunk", 1],
  ["result"],
];

export async function open(root, { signal, about, replace }) {
  const given = wanted("all");
  const first = await ask("calls", given, signal);
  if (first.missing || !first.rows.length) return wait(root, first, { given, signal, about, replace });
  let { cursor } = first;
  const rows = new Map();
  const body = el("tbody", {});
  const news = document.getElementById("news");

  const put = (row, isNew) => {
    const made = line(row, about);
    const old = rows.get(row.key);
    if (isNew) made.classList.add("new");
    if (old) old.replaceWith(made);
    else if (isNew) body.prepend(made);
    else body.append(made);
    rows.set(row.key, made);
    if (old?.contains(document.activeElement)) made.querySelector("a").focus();
  };
  first.rows.forEach((row) => put(row, false));

  const pause = button(
    "Pause",
    () => {
      const isPaused = pause.getAttribute("aria-pressed") !== "true";
      pause.setAttribute("aria-pressed", String(isPaused));
      pause.textContent = isPaused ? "Resume" : "Pause";
      state.textContent = isPaused ? "paused" : "live";
      state.classList.toggle("paused", isPaused);
    },
    { id: "pause", "aria-pressed": "false", class: "toggle" },
  );
  const state = el("span", { class: "live" }, "live");
  const isLive = !query().get("until");

  const look = async () => {
    if (pause.getAttribute("aria-pressed") === "true") return;
    const found = await ask("follow", with_(given, "cursor", cursor), signal);
    cursor = found.cursor ?? cursor;
    found.rows.forEach((row) => put(row, true));
    if (found.rows.length) news.textContent = `${found.rows.length} new or completed`;
    while (rows.size > MOST) forget(body.lastElementChild);
  };
  const forget = (row) => {
    rows.delete(row.dataset.key);
    row.remove();
  };

  let { older } = first;
  const more = button("Older calls", async () => {
    const found = await ask("calls", with_(given, "until", older), signal);
    found.rows.filter((row) => !rows.has(row.key)).forEach((row) => put(row, false));
    older = found.older;
    more.hidden = !older || rows.size >= MOST;
  });
  more.hidden = !older;

  const heads = HEADS.map(([title, isNumber]) => el("th", { scope: "col", class: isNumber ? "number" : "" }, title));
  fill(
    root,
    el(
      "div",
      { class: "head" },
      el("h1", {}, "Calls"),
      isLive ? [state, pause] : el("span", { class: "dim" }, "not live: the time has an end"),
      downloads("calls", given),
    ),
    scrolling(
      el("table", { class: "calls", "aria-label": "Calls, newest first" }, el("thead", {}, el("tr", {}, heads)), body),
      "Calls",
    ),
    more,
  );
  replace();
  if (isLive) repeat(look, EVERY, signal);
}

function with_(given, field, value) {
  const made = new URLSearchParams(given);
  made.set(field, value);
  return made;
}

/** Shows that there is nothing, and opens anew when there is. */
function wait(root, first, place) {
  fill(root, first.missing ? empty(place.about) : nothingFound());
  place.replace();
  const watch = new AbortController();
  place.signal.addEventListener("abort", () => watch.abort(), { once: true });
  repeat(
    async () => {
      const found = await ask("calls", with_(place.given, "limit", 1), watch.signal);
      if (!found.rows?.length) return;
      watch.abort();
      await open(root, place);
    },
    EVERY,
    watch.signal,
  );
}

function line(row, about) {
  const number = (...children) => el("td", { class: "number" }, children);
  const link = (field, value, shown = value) =>
    value === null ? name(null) : el("a", { href: here({ [field]: value }), title: `only this ${field}` }, name(shown));
  const cached = share(row.cache_read_tokens, row.input_tokens);
  const made = el("tr", { class: row.failed ? "failed" : "", data: { key: row.key } });
  append(made, [
    el(
      "th",
      { scope: "row", class: "name" },
      el("a", { class: "row-link", href: callAddress(row) }, moment(row.started_at)),
    ),
    el("td", {}, link("model", row.model)),
    el("td", {}, link("provider", row.provider)),
    el("td", {}, link("user", row.user)),
    el("td", {}, row.session === null ? name(null) : el("a", { href: sessionAddress(row.session) }, name(row.session))),
    number(count(row.input_tokens)),
    number(cached ? percent(cached) : ""),
    number(count(row.output_tokens)),
    number(money(row.cost)),
    number(nanoseconds(row.duration)),
    number(row.first_chunk === null ? "" : nanoseconds(row.first_chunk)),
    el(
      "td",
      {},
      result(row),
      row.api_key && about.labels[row.api_key]
        ? [" ", el("span", { class: "dim" }, name(keyName(row.api_key, about.labels)))]
        : null,
    ),
  ]);
  return made;
}

/** Returns how a call ended, in a word. */
export function result(row) {
  if (row.failed) return el("span", { class: "badge bad" }, name(row.error ?? "failed"));
  if (row.response_cache === "hit") return el("span", { class: "badge good" }, "cache hit");
  return el("span", { class: row.outcome === "complete" ? "dim" : "badge warn" }, row.outcome);
}
