// One call, all of it: time, attempts, tokens, cost, routing, caches, what was said, and the record itself.
import { ask } from "./api.js";
import { el, fill, name } from "./dom.js";
import { copy, pair, rowsOf, text, wordsOf } from "./facts.js";
import { count, keyName, money, nanoseconds, percent, seconds, share } from "./format.js";
import { address, query, sessionAddress } from "./place.js";
import { said } from "./said.js";
import { longText } from "./text.js";
import { attempts, timeline } from "./timeline.js";

export async function open(root, { signal, about, replace }) {
  const id = query().get("id") ?? "";
  const { record, earlier, raw, why } = await ask("call", { id }, signal);
  const model = record.model ?? record.request?.model;
  fill(
    root,
    el(
      "div",
      { class: "head" },
      el("h1", {}, name(text(model) ?? record.operation)),
      verdict(record),
      el("span", { class: "dim" }, record.provider ? ["via ", name(text(record.provider))] : null),
      copy("Copy id", record.id ?? id),
    ),
    figures(record),
    record.error ? errorOf(record.error) : null,
    el(
      "div",
      { class: "columns" },
      sheet("Time", timeline(record)),
      sheet("Cost", costOf(record, why)),
      sheet("Tokens", tokensOf(record)),
      record.routing ? sheet("Routing", attempts(record.routing), rowsOf(record.routing, ["attempts"])) : null,
      sheet("Caches", cachesOf(record)),
      sheet("Answer", rowsOf(Object.fromEntries(ANSWER.map((field) => [field, record[field] ?? null])))),
      sheet("Request", rowsOf(record.request ?? {}, [], about)),
      sheet("Identity", identity(record, about)),
      record.enrichment || record.stats
        ? sheet("OpenRouter's own record", rowsOf({ ...record.enrichment, ...record.stats }))
        : null,
    ),
    said(record, { id, earlier, raw, signal }),
  );
  replace();
}

const sheet = (title, ...body) => el("section", { class: "sheet", "aria-label": title }, el("h2", {}, title), body);

function verdict(record) {
  const kind = record.error || record.outcome === "failed" ? "bad" : record.outcome === "complete" ? "good" : "warn";
  return el("span", { class: `badge ${kind}` }, name(text(record.error?.type) ?? record.outcome));
}

function figures(record) {
  const { timing, usage = {} } = record;
  const first = timing.first_chunk_at === undefined ? null : timing.first_chunk_at - timing.started_at;
  const facts = [
    ["cost", money(record.cost?.total ?? null)],
    ["took", nanoseconds(timing.ended_at - timing.started_at)],
    ["first chunk", first === null ? "–" : nanoseconds(first)],
    ["tokens in", count(usage?.input_tokens)],
    ["tokens out", count(usage?.output_tokens)],
    ["finished", name(record.finish_reasons?.map(text).join(", ") ?? null)],
    [
      "session",
      record.request?.session_id
        ? el("a", { href: sessionAddress(text(record.request.session_id)) }, name(text(record.request.session_id)))
        : "–",
    ],
  ];
  return el(
    "dl",
    { class: "facts" },
    facts.map(([title, value]) => el("div", {}, el("dt", {}, title), el("dd", {}, value))),
  );
}

function errorOf(error) {
  return el(
    "section",
    { class: "sheet error", "aria-label": "Error" },
    el("h2", {}, "Error ", name(text(error.type))),
    error.message ? longText(error.message) : null,
    rowsOf(error, ["type", "message"]),
  );
}

/** Returns how the cost comes about: what OpenRouter charged, what the own key was billed for, and their sum. */
function costOf({ cost }, why) {
  if (!cost) return el("p", {}, `? It is not known: ${why}.`);
  const where =
    { response: "the response's usage.cost", generation: "OpenRouter's record of the call" }[cost.source] ?? "unknown";
  const line = (title, amount, kind = "") =>
    el("tr", { class: kind }, el("th", { scope: "row" }, title), el("td", { class: "number" }, money(amount ?? null)));
  return [
    el(
      "table",
      { class: "sums", "aria-label": "Cost" },
      el(
        "tbody",
        {},
        line("charged by OpenRouter", cost.charged),
        cost.is_byok || cost.upstream !== undefined
          ? line(
              cost.is_byok ? "+ billed to your own key by the provider" : "billed upstream (in what is charged)",
              cost.upstream,
              cost.is_byok ? "" : "dim",
            )
          : null,
        cost.upstream_input === undefined ? null : line("upstream, for input", cost.upstream_input, "dim"),
        cost.upstream_output === undefined ? null : line("upstream, for output", cost.upstream_output, "dim"),
        line("= total", cost.total, "total"),
        cost.cache_discount === undefined
          ? null
          : line(
              cost.cache_discount.startsWith("-")
                ? "surcharge for writing the prompt cache, included"
                : "saved by the prompt cache, taken off already",
              cost.cache_discount,
              "dim",
            ),
      ),
    ),
    why ? el("p", {}, `? It is not known: ${why}.`) : null,
    el(
      "p",
      { class: "dim" },
      `From ${where}. No price table is used.`,
    ),
  ];
}

const ANSWER = [
  "status_code",
  "finish_reasons",
  "native_finish_reasons",
  "citation_count",
  "tool_call_count",
  "image_count",
  "service_tier",
  "system_fingerprint",
  "response_id",
  "resend_count",
  "body_fault",
  "job",
];

const TOKENS = [
  ["input_tokens", "in", "--c0"],
  ["cache_read_input_tokens", "of them read from a cache", "--c2"],
  ["cache_write_input_tokens", "of them written to a cache", "--c4"],
  ["output_tokens", "out", "--c1"],
  ["reasoning_output_tokens", "of them reasoning", "--c3"],
];

function tokensOf({ usage }) {
  if (!usage) return el("p", {}, "? No token counts are known.");
  const most = Math.max(usage.input_tokens ?? 0, usage.output_tokens ?? 0, 1);
  const rows = TOKENS.filter(([field]) => usage[field] !== undefined).map(([field, title, colour]) => {
    const bar = el("span", { class: "bar", "aria-hidden": "true" }, el("span", {}));
    bar.firstChild.style.width = `${(100 * usage[field]) / most}%`;
    bar.firstChild.style.background = `var(${colour})`;
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, title),
      el("td", { class: "number" }, count(usage[field])),
      el("td", { class: "wide" }, bar),
    );
  });
  return [
    el("table", { class: "sums", "aria-label": "Tokens" }, el("tbody", {}, rows)),
    rowsOf(
      usage,
      TOKENS.map(([field]) => field),
    ),
  ];
}

function cachesOf({ usage, cost, cache }) {
  const rate = share(usage?.cache_read_input_tokens, usage?.input_tokens);
  return el(
    "dl",
    { class: "pairs" },
    pair("provider's prompt cache", rate === null ? "?" : `${percent(rate)} of the tokens in`),
    pair("saved by it", cost?.cache_discount === undefined ? "?" : money(cost.cache_discount)),
    pair("OpenRouter's response cache", cache?.status ?? "not asked"),
    cache?.age === undefined ? null : pair("age", seconds(cache.age)),
    cache?.source_id
      ? pair(
          "answer of",
          el("a", { href: `/call?${new URLSearchParams({ id: text(cache.source_id) })}` }, name(text(cache.source_id))),
        )
      : null,
  );
}

function identity(record, about) {
  const { request = {} } = record;
  const hash = request.api_key_hash;
  const found = {
    generation: record.id,
    trace: record.trace_id,
    span: record.span_id,
    parent: record.parent_span_id,
    user: request.user,
    session: request.session_id,
    name: record.name,
    "trace name": record.trace_name,
    "span name": record.span_name,
    upstream: record.stats?.upstream_id,
    server: record.server_address,
  };
  return el(
    "dl",
    { class: "pairs" },
    Object.entries(found)
      .filter(([, value]) => value)
      .map(([title, value]) => pair(title, [name(text(value)), copy("copy", text(value), title)])),
    hash
      ? pair(
          "API key",
          el("a", { href: address("/", { key: hash }), title: `SHA-256 ${hash}` }, name(keyName(hash, about.labels))),
        )
      : null,
    Object.entries(record.tags ?? {}).map(([title, value]) => pair(title, name(wordsOf(value)))),
  );
}
