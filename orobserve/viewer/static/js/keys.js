// The keyboard: single keys outside fields, `g` and a letter for pages, j and k along the rows of a list.
import { button, el, fill } from "./dom.js";
import { address, go } from "./place.js";

const PLACES = {
  o: ["/", "overview"],
  c: ["/calls", "calls"],
  s: ["/sessions", "sessions"],
  d: ["/delivery", "delivery"],
};
const SHORTCUTS = [
  ["/", "filter"],
  ["j  k", "down and up in a list"],
  ["Enter", "open what is chosen"],
  ["p", "pause or resume the live list"],
  ...Object.entries(PLACES).map(([key, [, label]]) => [`g ${key}`, label]),
  ["?", "this help"],
  ["Esc", "close, or leave a field"],
];
const PATIENCE = 1500; // milliseconds between `g` and its letter

export function listen(dialog, opener) {
  let begun = 0;
  const help = () => {
    const rows = SHORTCUTS.map(([key, label]) => [
      el(
        "dt",
        {},
        key
          .split(" ")
          .filter(Boolean)
          .map((each) => el("kbd", {}, each)),
      ),
      el("dd", {}, label),
    ]);
    fill(
      dialog,
      el("h2", { id: "keys-title" }, "Keyboard"),
      el("dl", { class: "keys" }, rows),
      button("Close", () => dialog.close()),
    );
    dialog.showModal();
  };
  opener.addEventListener("click", help);

  document.addEventListener("keydown", (event) => {
    const isField = event.target.closest?.("input, select, textarea");
    if (event.key === "Escape") {
      document.querySelectorAll("#filters details[open]").forEach((each) => each.removeAttribute("open"));
      if (isField) event.target.blur();
      return;
    }
    if (isField || event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (begun && Date.now() - begun < PATIENCE && PLACES[event.key]) {
      go(address(PLACES[event.key][0]));
      begun = 0;
      return event.preventDefault();
    }
    begun = event.key === "g" ? Date.now() : 0;
    const run = {
      "/": focusFilter,
      "?": help,
      j: () => step(1),
      k: () => step(-1),
      p: () => document.getElementById("pause")?.click(),
    }[event.key];
    if (!run) return;
    event.preventDefault();
    run();
  });
}

function focusFilter() {
  document.getElementById("filter-value")?.focus();
}

/** Moves the focus to the next or the previous row's link: Enter follows it then by itself. */
function step(by) {
  const links = [...document.querySelectorAll("main a.row-link")];
  const now = links.indexOf(document.activeElement);
  const next = links[now < 0 ? 0 : Math.min(Math.max(now + by, 0), links.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}
