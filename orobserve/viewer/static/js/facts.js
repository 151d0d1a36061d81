// Facts of a record: a name and its value each.
import { button, el, name } from "./dom.js";
import { count } from "./format.js";

/** Returns a value that may have been cut, as a text. */
export const text = (value) => (value?.cut !== undefined ? `${value.cut}…` : value);

export const pair = (title, value) => el("div", {}, el("dt", {}, name(title)), el("dd", {}, value));

/** Returns what a part of the record says, field by field. */
export function rowsOf(part, but = []) {
  const found = flat(part).filter(
    ([title, value]) => !but.includes(title) && value !== null && !SHOWN_ELSEWHERE.includes(title),
  );
  return found.length
    ? el(
        "dl",
        { class: "pairs" },
        found.map(([title, value]) => pair(title.replaceAll("_", " "), plainValue(value))),
      )
    : null;
}

const SHOWN_ELSEWHERE = ["session_id", "api_key_hash", "kind"];

/** Returns the fields of a part, those of its objects among them. */
const flat = (part) =>
  Object.entries(part).flatMap(([title, value]) =>
    value !== null && typeof value === "object" && !Array.isArray(value) && value.cut === undefined
      ? flat(value)
          .filter(([each]) => each !== "kind")
          .map(([each, inner]) => [`${title} · ${each}`, inner])
      : [[title, value]],
  );

function plainValue(value) {
  if (typeof text(value) === "string") return name(text(value));
  if (typeof value === "number") return count(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return name(wordsOf(value));
}

/** Returns a value as words: a list of texts with commas, anything else that is no text as JSON. */
export function wordsOf(value) {
  if (Array.isArray(value) && value.every((each) => typeof text(each) === "string")) return value.map(text).join(", ");
  return typeof text(value) === "string" ? text(value) : JSON.stringify(value);
}

/** Returns a button that copies a text. */
export function copy(label, value, what = "id") {
  const made = button(
    label,
    async () => {
      await navigator.clipboard.writeText(value);
      document.getElementById("news").textContent = `copied the ${what}`;
      made.textContent = "copied";
      setTimeout(() => (made.textContent = label), 1200);
    },
    { class: "quiet small", "aria-label": label === "copy" ? `copy the ${what}` : null },
  );
  return made;
}
