// What all calls come to, in eight figures.
import { el } from "./dom.js";
import { cacheRate, count, money, percent, plural, seconds, share, short } from "./format.js";
import { address, wanted } from "./place.js";

/** Returns the sums as tiles. `took`: how long calls have taken. */
export function tiles(total, took) {
  const span = { since: wanted().get("since") }; // which the page of calls would take for another, unsaid
  const cached = cacheRate(total);
  const saved = total.cache_saving === null ? null : ["saved ", money(total.cache_saving)];
  const hits = total.response_cache_hits
    ? [saved ? ", " : "", `${count(total.response_cache_hits)} from the response cache`]
    : null;
  return el(
    "section",
    { class: "tiles", "aria-label": "Sums" },
    tile(
      "Spend",
      money(total.cost),
      total.unpriced
        ? el(
            "span",
            { class: "unpriced" },
            `+ ${count(total.unpriced)} ?`,
            el("span", { class: "dim" }, " whose cost is not known"),
          )
        : "OpenRouter's bill, exact",
    ),
    tile(
      "Calls",
      count(total.calls),
      total.errors ? plural(total.errors, "error") : "no errors",
      address("/calls", span),
    ),
    tile(
      "Error rate",
      percent(share(total.errors, total.calls)),
      total.errors ? "show them" : "none",
      total.errors ? address("/calls", { ...span, errors: "1" }) : null,
      total.errors ? "bad" : "",
    ),
    tile("Tokens in", short(total.input_tokens), `${short(total.cache_read_tokens)} read from a cache`),
    tile("Tokens out", short(total.output_tokens), `${short(total.reasoning_tokens)} of them reasoning`),
    tile("Prompt cache", percent(cached), [saved, hits].some(Boolean) ? [saved, hits] : "of all tokens in"),
    tile("Latency", seconds(took.p50), ["median; 95 % within ", seconds(took.p95)]),
    tile("First chunk", seconds(took.first_chunk_p50), ["median; 95 % within ", seconds(took.first_chunk_p95)]),
  );
}

function tile(title, figure, note, link = null, kind = "") {
  const body = [
    el("span", { class: "tile-title" }, title),
    el("span", { class: "figure" }, figure),
    el("span", { class: "note" }, note),
  ];
  return link ? el("a", { class: `tile ${kind}`, href: link }, body) : el("div", { class: `tile ${kind}` }, body);
}
