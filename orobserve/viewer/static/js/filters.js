// The bar of filters above a page: what it shows is in the URL, and what is chosen goes there.
import { ask } from "./api.js";
import { button, el, fill, name } from "./dom.js";
import { keyName } from "./format.js";
import { DEFAULT_SPAN, FIELDS, SPANS, go, here, query, wanted } from "./place.js";

const SUGGESTED = ["model", "provider", "key"]; // which the ledger has sums of by the day

/** Draws the bar. `given`: null for a page without filters, else `{ span }`: the time that is meant if none is said. */
export function drawFilters(bar, given, about) {
  bar.hidden = given === null;
  if (given === null) return;
  const isTyping = bar.contains(document.activeElement) ? document.activeElement.id : null;
  fill(bar, spans(given.span ?? DEFAULT_SPAN), chips(about), form(about));
  if (isTyping) document.getElementById(isTyping)?.focus();
}

function spans(fallback) {
  const now = query().get("since") ?? (query().get("until") ? null : fallback);
  const links = SPANS.map((span) =>
    el("a", { href: here({ since: span, until: null }), "aria-current": span === now ? "true" : null }, span),
  );
  return el("div", { class: "spans", role: "group", "aria-label": "Time" }, links, custom(now));
}

/** Returns the fields for a time of one's own, in the browser's time zone. */
function custom(now) {
  const isCustom = !SPANS.includes(now);
  const from = momentField("since", isCustom ? now : null);
  const to = momentField("until", query().get("until"));
  const apply = (event) => {
    event.preventDefault();
    const moment = (input) => (input.value ? new Date(input.value).toISOString().slice(0, 16) + "Z" : null);
    go(here({ since: moment(from), until: moment(to) }));
  };
  const fields = el(
    "form",
    { class: "custom", on: { submit: apply } },
    el("label", {}, "from ", from),
    el("label", {}, "to ", to),
    el("button", { type: "submit" }, "Apply"),
  );
  return el("details", { class: isCustom ? "chosen" : "" }, el("summary", {}, "custom"), fields);
}

function momentField(id, value) {
  const made = el("input", { type: "datetime-local", id: `filter-${id}` });
  const at = value && /^\d{4}-/.test(value) ? new Date(value) : null;
  if (at && !Number.isNaN(at.valueOf()))
    made.value = new Date(at - at.getTimezoneOffset() * 6e4).toISOString().slice(0, 16);
  return made;
}

function chips(about) {
  const found = [...query()].filter(([field]) => FIELDS.includes(field));
  const made = found.map(([field, value]) =>
    el(
      "li",
      { class: "chip" },
      el("span", { class: "dim" }, `${field} `),
      name(field === "key" ? keyName(value, about.labels) : value),
      el("a", { href: here({ [field]: null }), "aria-label": `remove the filter ${field}`, class: "remove" }, "×"),
    ),
  );
  return made.length ? el("ul", { class: "chips", "aria-label": "Filters that are set" }, made) : null;
}

function form(about) {
  const which = el(
    "select",
    { id: "filter-field", "aria-label": "Filter by" },
    FIELDS.map((each) => el("option", { value: each }, each)),
  );
  const list = el("datalist", { id: "filter-list" });
  const value = el("input", {
    id: "filter-value",
    type: "text",
    list: "filter-list",
    placeholder: "filter…  ( / )",
    "aria-label": "Value of the filter",
    autocomplete: "off",
    spellcheck: "false",
  });
  which.addEventListener("change", () => suggest(which.value, list, about));
  value.addEventListener("focus", () => suggest(which.value, list, about), { once: true });
  const apply = (event) => {
    event.preventDefault();
    const [, field = which.value, text] = value.value
      .trim()
      .match(new RegExp(`^(?:(${FIELDS.join("|")}):)?(.*)$`, "s"));
    if (text) go(here({ [field]: field === "key" ? hashOf(text, about.labels) : text }));
  };
  const isErrors = query().get("errors") === "1";
  return el(
    "form",
    { class: "filter", role: "search", on: { submit: apply } },
    which,
    value,
    list,
    el("button", { type: "submit" }, "Add"),
    button("errors only", () => go(here({ errors: isErrors ? null : "1" })), {
      "aria-pressed": String(isErrors),
      class: "toggle",
      id: "filter-errors",
    }),
  );
}

const hashOf = (text, labels) => Object.keys(labels).find((hash) => labels[hash] === text || hash === text) ?? text;

async function suggest(field, list, about) {
  fill(list);
  if (!SUGGESTED.includes(field)) return;
  const given = wanted("30d");
  given.set("by", field);
  const found = await ask("values", given).catch(() => ({}));
  fill(
    list,
    (found.values ?? []).map((value) =>
      el("option", { value, label: field === "key" ? keyName(value, about.labels) : null }),
    ),
  );
}
