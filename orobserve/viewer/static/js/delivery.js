// Where calls are delivered to, and what is still due there.
import { ask, repeat } from "./api.js";
import { el, fill, name } from "./dom.js";
import { empty } from "./empty.js";
import { count, moment } from "./format.js";
import { sortable } from "./table.js";

const EVERY = 3_000; // milliseconds between two looks

export async function open(root, { signal, about, replace }) {
  let before = null;
  const draw = async () => {
    const found = await ask("delivery", {}, signal);
    const now = JSON.stringify(found);
    if (now === before || (before !== null && root.contains(document.activeElement))) return;
    before = now;
    fill(root, found.missing ? empty(about) : body(found.destinations));
  };
  await draw();
  replace();
  repeat(draw, EVERY, signal);
}

function body(destinations) {
  const head = el("div", { class: "head" }, el("h1", {}, "Delivery"));
  if (!destinations.length)
    return [
      head,
      el(
        "div",
        { class: "notice" },
        el("p", {}, "No destinations: nothing is delivered anywhere from this ledger, and nothing is due."),
        el("p", {}, "To have each call in a product that you use:"),
        el("pre", {}, "OROBSERVE_DESTINATIONS=langfuse orobserve run -- python app.py"),
        el("p", { class: "dim" }, el("code", {}, "orobserve destinations list"), " names them all."),
      ),
    ];
  const columns = [
    { title: "destination", value: (each) => each.destination, cell: (each) => name(each.destination) },
    {
      title: "state",
      value: state,
      cell: (each) =>
        el("span", { class: `badge ${{ fine: "good", due: "warn" }[state(each)] ?? "bad"}` }, state(each)),
    },
    { title: "delivered", number: true, value: (each) => each.delivered, cell: (each) => count(each.delivered) },
    { title: "due", number: true, value: (each) => each.due, cell: (each) => count(each.due) },
    {
      title: "given up",
      number: true,
      value: (each) => each.dead,
      cell: (each) => (each.dead ? el("span", { class: "bad" }, count(each.dead)) : "0"),
    },
    {
      title: "last delivered",
      number: true,
      value: (each) => each.last_delivered_at,
      cell: (each) => (each.last_delivered_at === null ? "never" : moment(each.last_delivered_at)),
    },
    {
      title: "oldest due since",
      number: true,
      value: (each) => each.oldest_due_at,
      cell: (each) => (each.oldest_due_at === null ? "" : moment(each.oldest_due_at)),
    },
    {
      title: "last failure",
      value: (each) => each.last_reason,
      cell: (each) => (each.last_reason === null ? "" : name(each.last_reason)),
    },
  ];
  return [head, sortable(columns, destinations, "Delivery by destination")];
}

const state = (each) => (each.dead ? "calls given up" : each.due ? "due" : "fine");
