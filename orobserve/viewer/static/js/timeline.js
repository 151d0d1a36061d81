// A call's time to scale, and the attempts at providers below each other.
import { el, name } from "./dom.js";
import { nanoseconds, seconds } from "./format.js";

const bar = (start, length, kind) => {
  const made = el("span", { class: `span ${kind}` });
  made.style.left = `${Math.max(0, Math.min(100, start * 100))}%`;
  made.style.width = `${Math.max(0.4, Math.min(100, length * 100))}%`;
  return made;
};

/** Returns the bar of a call: until the first chunk, and from there to the end. */
export function timeline({ timing, stats, stream }) {
  const whole = timing.ended_at - timing.started_at;
  const first = timing.first_chunk_at === undefined ? null : timing.first_chunk_at - timing.started_at;
  const parts =
    first === null || !whole
      ? [bar(0, 1, "all")]
      : [bar(0, first / whole, "before"), bar(first / whole, 1 - first / whole, "all")];
  const facts = [
    ["started", new Date(timing.started_at / 1e6).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "long" })],
    ["first chunk after", first === null ? "– (nothing was streamed)" : nanoseconds(first)],
    ["ended after", nanoseconds(whole)],
    ["OpenRouter's latency", stats?.latency_ms === undefined ? null : seconds(stats.latency_ms / 1e3)],
    ["its generation time", stats?.generation_time_ms === undefined ? null : seconds(stats.generation_time_ms / 1e3)],
    ["its moderation", stats?.moderation_latency_ms === undefined ? null : seconds(stats.moderation_latency_ms / 1e3)],
    ["chunks", stream?.chunk_count ?? null],
    ["keep-alives", stream?.keepalive_count || null],
  ];
  return [
    el(
      "div",
      {
        class: "timeline",
        role: "img",
        "aria-label": `took ${nanoseconds(whole)}${first === null ? "" : `, first chunk after ${nanoseconds(first)}`}`,
      },
      parts,
    ),
    el(
      "dl",
      { class: "pairs" },
      facts
        .filter(([, value]) => value !== null)
        .map(([title, value]) => el("div", {}, el("dt", {}, title), el("dd", {}, String(value)))),
    ),
  ];
}

/** Returns the attempts as a waterfall: each begins where the one before it ended, by OpenRouter's latencies. */
export function attempts({ attempts: tried = [] }) {
  if (!tried.length) return null;
  const whole = tried.reduce((sum, each) => sum + (each.latency_ms ?? 0), 0);
  let start = 0;
  const rows = tried.map((each) => {
    const took = each.latency_ms ?? 0;
    const isGood = each.status !== undefined && each.status < 400;
    const shown = whole ? bar(start / whole, took / whole, isGood ? "all" : "bad") : null;
    start += took;
    return el(
      "li",
      {},
      el(
        "span",
        { class: "attempt" },
        name(each.provider ?? "?"),
        el("span", { class: `badge ${isGood ? "good" : "bad"}` }, String(each.status ?? "?")),
        el("span", { class: "dim" }, each.latency_ms === undefined ? "" : seconds(took / 1e3)),
      ),
      shown ? el("div", { class: "timeline thin", "aria-hidden": "true" }, shown) : null,
    );
  });
  return el("ol", { class: "waterfall", "aria-label": "Attempts" }, rows);
}
