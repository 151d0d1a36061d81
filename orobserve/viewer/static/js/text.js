// A long text: its beginning, and the rest in pieces, as somebody asks for them.
import { ask } from "./api.js";
import { button, el, visible } from "./dom.js";
import { count } from "./format.js";

/** Returns a text of a call. `value`: a string, or what the server has cut: `{ cut, length, path }`. */
export function longText(value, { id, signal, isCode = false } = {}) {
  const isCut = typeof value !== "string";
  const given = isCode ? { class: "text code", dir: "ltr" } : { class: "text", dir: "auto" };
  const box = el("div", { class: "long" }, el("div", given, visible(isCut ? value.cut : value)));
  if (!isCut || !id) return box;
  const path = JSON.stringify(value.path);
  let offset = [...value.cut].length; // in code points, as the server counts
  const rest = el("span", { class: "dim" });
  const tell = () =>
    (rest.textContent = ` ${count(value.length - offset)} of ${count(value.length)} characters are not shown `);
  const more = button(
    "Show more",
    async () => {
      more.disabled = true;
      const piece = await ask("part", { id, path, offset }, signal);
      offset += [...piece.text].length;
      box.insertBefore(el("div", { ...given, class: `${given.class} piece` }, visible(piece.text)), foot);
      more.disabled = false;
      more.hidden = offset >= value.length;
      tell();
    },
    { class: "small" },
  );
  tell();
  const foot = el(
    "p",
    { class: "more" },
    more,
    rest,
    el("a", { href: `/api/text?${new URLSearchParams({ id, path })}`, download: true }, "Download the whole text"),
  );
  box.append(foot);
  return box;
}
