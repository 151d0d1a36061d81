// What was said, as a conversation: roles, reasoning folded, tools with what they were asked and answered.
import { ask } from "./api.js";
import { button, el, name } from "./dom.js";
import { count, plural } from "./format.js";
import { text } from "./facts.js";
import { longText } from "./text.js";

/** Returns the conversation of a call. `place`: `{ id, earlier, signal }`: so many messages are not there yet. */
export function conversation(content, place) {
  if (!content)
    return el(
      "p",
      { class: "dim" },
      "What was said is not in the ledger: it was not captured, or ledger_content is off.",
    );
  const { system = [], input = [], output = [], tools = [], citations = [] } = content;
  const asked = el(
    "div",
    { class: "messages" },
    input.map((each) => message(each, place)),
  );
  return el(
    "div",
    { class: "conversation" },
    tools.length
      ? folded(
          `${plural(tools.length, "tool")} offered`,
          tools.map((tool) => part({ kind: "Json", text: tool }, place)),
          "tools",
        )
      : null,
    system.length ? message({ role: "system", parts: system }, place) : null,
    place.earlier ? earlierOnes(asked, place) : null,
    asked,
    output.length
      ? el(
          "div",
          { class: "messages" },
          output.map((each) => message(each, place, true)),
        )
      : el("p", { class: "dim" }, "No answer is in the record."),
    citations.length ? sources(citations) : null,
  );
}

/** Returns what the answer cites. Addresses stay text: whoever wrote them, nothing here leads there. */
function sources(citations) {
  return el(
    "section",
    { class: "message", "aria-label": "Sources" },
    el("h3", {}, el("span", { class: "role" }, "Sources")),
    el(
      "ol",
      { class: "sources" },
      citations.map(({ more, title, url }) =>
        more
          ? el("li", { class: "dim" }, `and ${count(more)} more: in the raw record`)
          : el(
              "li",
              {},
              title && text(title) !== text(url) ? [name(text(title)), " "] : null,
              url ? el("span", { class: "dim" }, name(text(url))) : null,
            ),
      ),
    ),
  );
}

function earlierOnes(asked, place) {
  let { earlier } = place;
  const more = button("", async () => {
    const found = await ask("call", { id: place.id, before: earlier }, place.signal);
    asked.prepend(...found.messages.map((each) => message(each, place)));
    earlier = found.earlier;
    tell();
  });
  const tell = () => {
    more.textContent = `Show earlier messages (${count(earlier)})`;
    more.hidden = !earlier;
  };
  tell();
  return more;
}

function message(given, place, isAnswer = false) {
  if (given.more) return el("p", { class: "dim" }, `and ${count(given.more)} more: in the raw record`);
  const title = [
    el("span", { class: "role" }, name(given.role)),
    given.name ? [" ", name(given.name)] : null,
    isAnswer ? el("span", { class: "badge good" }, "answer") : null,
    given.finish_reason ? el("span", { class: "dim" }, " ", name(given.finish_reason)) : null,
  ];
  return el(
    "article",
    { class: "message", data: { role: given.role } },
    el("h3", {}, title),
    given.parts.map((each) => part(each, place)),
  );
}

function part(given, place) {
  const prose = (value) => longText(value ?? "", place);
  const code = (value) => longText(value ?? "", { ...place, isCode: true });
  switch (given.kind) {
    case "Text":
      return prose(given.content);
    case "Reasoning":
      return folded("Reasoning", prose(given.content), "reasoning");
    case "ToolCall":
      return el(
        "div",
        { class: "tool" },
        el(
          "p",
          { class: "tool-name" },
          "calls ",
          el("code", {}, name(given.name ?? "?")),
          given.id ? el("span", { class: "dim" }, " ", name(given.id)) : null,
        ),
        given.arguments === undefined ? null : code(given.arguments),
      );
    case "ToolCallResponse":
      return el(
        "div",
        { class: "tool" },
        el(
          "p",
          { class: "tool-name" },
          "answer of the tool",
          given.id ? el("span", { class: "dim" }, " ", name(given.id)) : null,
        ),
        given.response === undefined ? null : code(given.response),
      );
    case "Media":
      return el("p", { class: "media" }, media(given));
    case "Json":
      return code(given.text);
    default:
      return el(
        "p",
        { class: "dim" },
        given.more
          ? `and ${count(given.more)} more parts: in the raw record`
          : "a part of a kind that this page does not know",
      );
  }
}

function media(given) {
  const facts = [
    given.modality,
    given.mime_type,
    given.size === undefined ? null : `${count(given.size)} bytes`,
    given.uri,
    given.file_id,
  ].filter(Boolean);
  return [
    "▣ ",
    name(facts.map((each) => each.cut ?? each).join(" · ")),
    el("span", { class: "dim" }, " (its bytes are never kept)"),
  ];
}

const folded = (title, body, kind) => el("details", { class: `folded ${kind}` }, el("summary", {}, title), body);
