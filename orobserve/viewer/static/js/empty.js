// What is said where there is nothing to show yet.
import { el } from "./dom.js";
import { here, query } from "./place.js";

/** There is no ledger, or no call in it; the page looks again by itself. */
export function empty(about) {
  return el(
    "div",
    { class: "notice" },
    el("h1", {}, "No calls yet"),
    el("p", {}, "This page fills by itself when the first call ends. To get one in:"),
    el("pre", {}, "orobserve run -- python app.py"),
    el("p", {}, "or, in your own code:"),
    el("pre", {}, "import orobserve\norobserve.instrument(ledger=True)"),
    el("p", {}, "or in front of any client: ", el("code", {}, "orobserve proxy"), "."),
    el("p", { class: "dim" }, "The ledger will be ", el("code", {}, about.ledger)),
    el("p", { class: "waiting" }, "Waiting for the first call…"),
  );
}

/** There is a ledger, and none of its calls is meant. */
export function nothingFound() {
  const isFiltered = [...query()].some(([name]) => name !== "by");
  return el(
    "div",
    { class: "notice" },
    el("h1", {}, "No calls here"),
    el(
      "p",
      {},
      isFiltered ? "No call in the ledger is all of what the filters say." : "No call has ended in the last 24 hours.",
    ),
    el(
      "p",
      {},
      el("a", { href: here({ since: "all", until: null }) }, "Look at all times"),
      " · ",
      el("a", { href: "/?since=all" }, "Remove all filters"),
    ),
  );
}
