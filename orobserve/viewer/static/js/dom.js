// Makes elements. Text only ever becomes text: nothing here, or elsewhere, reads a string as HTML.

/** Returns an element. `given`: `class`, `on` (listeners), `data`, properties or attributes; children: nodes or strings. */
export function el(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "on") for (const [event, run] of Object.entries(value)) made.addEventListener(event, run);
    else if (name === "data") Object.assign(made.dataset, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  append(made, children);
  return made;
}

export function append(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child);
  }
}

export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

// What a reader cannot see, or what changes how its neighbours are seen: controls, bidi controls, zero-width characters,
// tags, lone surrogates. Joiners between letters or emoji are how some scripts are written, and stay.
const HIDDEN = new RegExp(
  "([\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5" +
    "\\u180b-\\u180f\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb" +
    "\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e0fff}\\p{Cs}]" +
    "|(?<![\\p{L}\\p{M}\\p{Extended_Pictographic}\\p{Emoji_Modifier}\\ufe0f])[\\u200c\\u200d])\\1*",
  "gu",
);
const NAMES = {
  0x1b: "ESC",
  0: "NUL",
  0x7: "BEL",
  0x8: "BS",
  0x7f: "DEL",
  0xad: "SHY",
  0x200b: "ZWSP",
  0x200c: "ZWNJ",
  0x200d: "ZWJ",
  0x200e: "LRM",
  0x200f: "RLM",
  0x202a: "LRE",
  0x202b: "RLE",
  0x202c: "PDF",
  0x202d: "LRO",
  0x202e: "RLO",
  0x2066: "LRI",
  0x2067: "RLI",
  0x2068: "FSI",
  0x2069: "PDI",
  0xfeff: "BOM",
};

function mark(run) {
  const point = run.codePointAt(0);
  const code = `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
  const count = run.length / String.fromCodePoint(point).length;
  return el("span", { class: "hidden-mark", title: code }, (NAMES[point] ?? code) + (count > 1 ? `×${count}` : ""));
}

/** Returns a text as nodes, with what is invisible in it shown as marks. */
export function visible(text) {
  const made = document.createDocumentFragment();
  let seen = 0;
  for (const found of text.matchAll(HIDDEN)) {
    made.append(text.slice(seen, found.index), mark(found[0]));
    seen = found.index + found[0].length;
  }
  made.append(text.slice(seen));
  return made;
}

/** Returns a name that a user or a peer has chosen, kept apart from the text around it. */
export function name(text, given = {}) {
  if (text === null || text === undefined) return el("span", { class: "unknown" }, "–");
  const most = 120;
  const shown = text.length > most ? `${text.slice(0, most)}…` : text;
  return el(
    "bdi",
    { ...given, title: given.title ?? (text.length > most ? text.slice(0, 1000) : null) },
    visible(shown),
  );
}

export function button(label, run, given = {}) {
  return el("button", { type: "button", ...given, on: { click: run } }, label);
}
