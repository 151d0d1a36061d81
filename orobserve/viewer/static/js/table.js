// A table that its head sorts, and the links that hand out what is shown.
import { el, fill } from "./dom.js";
import { wanted } from "./place.js";

/** Returns a table. `columns`: { title, number, value(row), cell(row) }; unknown values go last either way. */
export function sortable(columns, rows, label) {
  const body = el("tbody", {});
  const heads = columns.map((column) =>
    el(
      "th",
      { scope: "col", class: column.number ? "number" : "" },
      el("button", { type: "button", class: "sort", on: { click: () => sort(column) } }, column.title),
    ),
  );
  let chosen = null;
  let isDown = true;

  const draw = (shown) =>
    fill(
      body,
      shown.map((row) =>
        el(
          "tr",
          {},
          columns.map((column, index) =>
            el(
              index ? "td" : "th",
              { class: column.number ? "number" : "name", scope: index ? null : "row" },
              column.cell(row),
            ),
          ),
        ),
      ),
    );

  function sort(column) {
    isDown = chosen === column ? !isDown : Boolean(column.number);
    chosen = column;
    heads.forEach((head, index) => {
      if (columns[index] === column) head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    draw([...rows].sort((one, other) => order(column.value(one), column.value(other))));
  }

  function order(one, other) {
    if (one === null || one === undefined) return other === null || other === undefined ? 0 : 1;
    if (other === null || other === undefined) return -1;
    const found = typeof one === "number" ? one - other : String(one).localeCompare(String(other));
    return isDown ? -found : found;
  }

  draw(rows);
  return scrolling(el("table", { "aria-label": label }, el("thead", {}, el("tr", {}, heads)), body), label);
}

/** Returns a table inside a frame that scrolls sideways where there is no room, by the keyboard too. */
export function scrolling(table, label) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);
}

/** Returns the links that hand out what is shown. */
export function downloads(kind, given = wanted()) {
  return el(
    "span",
    { class: "downloads" },
    ["csv", "json"].map((form) =>
      el("a", { href: `/download/${kind}.${form}?${given}`, download: true }, `Download ${form.toUpperCase()}`),
    ),
  );
}
