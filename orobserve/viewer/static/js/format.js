// Figures as people read them. Unknown is `?`, never 0; money keeps all its digits.
import { el } from "./dom.js";

/** Returns dollars with all their digits: those that matter little small. `unpriced`: calls that are not in it. */
export function money(text, unpriced = 0) {
  const made = el("span", { class: "money" });
  if (text === null || text === undefined) made.append("?");
  else {
    const sign = text.startsWith("-") ? "−" : "";
    const [whole, decimals = ""] = text.replace("-", "").split(".");
    const all = decimals.replace(/0+$/, "").padEnd(2, "0");
    const large = whole.length > 2 ? 2 : Math.max(4, whole === "0" ? all.search(/[1-9]/) + 2 : 0); // digits
    made.append(`${sign}$${BigInt(whole).toLocaleString("en-US")}.${all.slice(0, large)}`);
    if (all.length > large) made.append(el("span", { class: "fine" }, all.slice(large)));
  }
  if (unpriced && text !== null)
    made.append(
      el("span", { class: "unpriced", title: `the cost of ${unpriced} is not known` }, ` + ${count(unpriced)} ?`),
    );
  return made;
}

export function count(value) {
  return value === null || value === undefined ? "?" : value.toLocaleString("en-US");
}

/** Returns a large number in few characters. */
export function short(value) {
  if (value === null || value === undefined) return "?";
  for (const [size, unit] of [
    [1e9, "B"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (Math.abs(value) >= size)
      return `${(value / size).toFixed(value / size < 10 ? 2 : 1).replace(/\.?0+$/, "")}${unit}`;
  }
  return String(Math.round(value * 100) / 100);
}

/** Returns dollars for an axis: rounded. */
export function roughMoney(value) {
  if (value === 0) return "$0";
  if (Math.abs(value) >= 1000) return `$${short(value)}`;
  return `$${Number(value.toPrecision(3))}`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "?";
  if (value < 0.001) return `${(value * 1e6).toFixed(0)} µs`;
  if (value < 1) return `${(value * 1e3).toFixed(0)} ms`;
  if (value < 60) return `${value.toFixed(2)} s`;
  const minutes = Math.floor(value / 60);
  if (minutes < 60) return `${minutes} m ${Math.floor(value % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} m` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Returns seconds for an axis: rounded. */
export const roughSeconds = (value) =>
  value === 0 ? "0" : value < 1 ? `${Math.round(value * 1e3)} ms` : `${Number(value.toPrecision(3))} s`;

export const nanoseconds = (value) => seconds(value === null || value === undefined ? null : value / 1e9);

export function share(part, whole) {
  return part === null || part === undefined || !whole ? null : part / whole;
}

/** Returns the part of the tokens in that came out of a prompt cache, of the calls that tell. */
export const cacheRate = (sums) => share(sums.cache_read_tokens, sums.told_tokens);

export function percent(value) {
  if (value === null || value === undefined) return "?";
  const shown = value * 100;
  return `${shown > 0 && shown < 0.1 ? "<0.1" : shown.toFixed(shown < 10 && shown > 0 ? 1 : 0)}%`;
}

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const WHOLE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });

/** Returns a moment (nanoseconds since the epoch), as short as today allows. */
export function moment(nanos) {
  const at = new Date(nanos / 1e6);
  const isToday = at.toDateString() === new Date().toDateString();
  return el(
    "time",
    { datetime: at.toISOString(), title: WHOLE.format(at) },
    isToday ? CLOCK.format(at) : `${DAY.format(at)} ${CLOCK.format(at)}`,
  );
}

export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** Returns the SHA-256 of an API key as its label, or its beginning. */
export function keyName(hash, labels) {
  return hash === null || hash === undefined ? hash : (labels[hash] ?? hash.slice(0, 8));
}
