// What was said in a call, and the record itself, in two tabs.
import { conversation } from "./conversation.js";
import { el, fill } from "./dom.js";
import { longText } from "./text.js";

/** Returns the tabs of what was said: the conversation, and the raw record. */
export function said(record, { id, earlier, raw, signal }) {
  const panel = el("div", { role: "tabpanel", id: "panel", tabindex: "0" });
  const open_ = {
    conversation: () => conversation(record.content, { id, earlier, signal }),
    record: () => longText(raw, { id, signal, isCode: true }),
  };
  const made = Object.keys(open_).map((key) =>
    el(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${key}`,
        "aria-controls": "panel",
        on: { click: () => choose(key), keydown: turn },
      },
      key === "record" ? "Raw record" : "Conversation",
    ),
  );
  function choose(key) {
    for (const tab of made) {
      tab.setAttribute("aria-selected", String(tab.id === `tab-${key}`));
      tab.tabIndex = tab.id === `tab-${key}` ? 0 : -1;
    }
    panel.setAttribute("aria-labelledby", `tab-${key}`);
    fill(panel, open_[key]());
  }
  function turn(event) {
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    const other = made[(made.indexOf(event.target) + 1) % made.length];
    other.click();
    other.focus();
  }
  choose("conversation");
  return el(
    "section",
    { class: "said", "aria-label": "What was said" },
    el("div", { role: "tablist", "aria-label": "What was said" }, made),
    panel,
  );
}
