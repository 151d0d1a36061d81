// The sessions that were heard of last.
import { ask } from "./api.js";
import { el, fill, name } from "./dom.js";
import { empty, nothingFound } from "./empty.js";
import { cacheRate, count, moment, money, nanoseconds, percent, plural } from "./format.js";
import { sessionAddress, wanted } from "./place.js";
import { downloads, sortable } from "./table.js";

export const filters = { span: "7d" };
const MOST = 200;

export async function open(root, { signal, about, replace }) {
  const given = wanted("7d");
  given.set("limit", MOST);
  const found = await ask("sessions", given, signal);
  if (found.missing) return fill(root, empty(about));
  const rate = ({ sums }) => cacheRate(sums);
  const columns = [
    {
      title: "session",
      value: (each) => each.id,
      cell: (each) => el("a", { class: "row-link", href: sessionAddress(each.id) }, name(each.id)),
    },
    {
      title: "spend",
      number: true,
      value: (each) => (each.sums.cost === null ? null : Number(each.sums.cost)),
      cell: (each) => money(each.sums.cost, each.sums.unpriced),
    },
    { title: "user", value: (each) => each.user, cell: (each) => name(each.user) },
    { title: "last call", number: true, value: (each) => each.last_at, cell: (each) => moment(each.last_at) },
    {
      title: "lasted",
      number: true,
      value: (each) => each.last_at - each.began_at,
      cell: (each) => (each.last_at > each.began_at ? nanoseconds(each.last_at - each.began_at) : ""),
    },
    { title: "calls", number: true, value: (each) => each.sums.calls, cell: (each) => count(each.sums.calls) },
    {
      title: "errors",
      number: true,
      value: (each) => each.sums.errors,
      cell: (each) => (each.sums.errors ? el("span", { class: "bad" }, count(each.sums.errors)) : ""),
    },
    {
      title: "tokens in",
      number: true,
      value: (each) => each.sums.input_tokens,
      cell: (each) => count(each.sums.input_tokens),
    },
    {
      title: "out",
      number: true,
      value: (each) => each.sums.output_tokens,
      cell: (each) => count(each.sums.output_tokens),
    },
    { title: "cache rate", number: true, value: rate, cell: (each) => percent(rate(each)) },
  ];
  const { sessions } = found;
  if (!sessions.length)
    fill(
      root,
      nothingFound(),
      el(
        "p",
        { class: "notice dim" },
        "A call belongs to a session where its request says session_id, or inside orobserve.context(session_id=...).",
      ),
    );
  else
    fill(
      root,
      el(
        "div",
        { class: "head" },
        el("h1", {}, "Sessions"),
        el("span", { class: "dim" }, sessions.length < MOST ? plural(sessions.length, "session") : `the last ${MOST}`),
        downloads("sessions", wanted("7d")),
      ),
      sortable(columns, sessions, "Sessions, the last heard of first"),
    );
  replace();
}
