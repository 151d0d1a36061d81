// Starts, and leads from page to page. A page is `open(root, place)`: it fills `root` until `place.signal` is aborted.
import { ask } from "./api.js";
import { button, el, fill } from "./dom.js";
import { drawFilters } from "./filters.js";
import { listen } from "./keys.js";
import * as call from "./call.js";
import * as calls from "./calls.js";
import * as delivery from "./delivery.js";
import * as overview from "./overview.js";
import * as session from "./session.js";
import * as sessions from "./sessions.js";
import { address, go } from "./place.js";

const PAGES = {
  "/": [overview, "Overview"],
  "/calls": [calls, "Calls"],
  "/call": [call, "Call"],
  "/sessions": [sessions, "Sessions"],
  "/session": [session, "Session"],
  "/delivery": [delivery, "Delivery"],
};
const content = document.getElementById("content");
let ending = new AbortController();
let about;

async function show() {
  ending.abort();
  ending = new AbortController();
  const { signal } = ending;
  const [page, title] = PAGES[location.pathname] ?? PAGES["/"];
  document.title = `${title} · orobserve`;
  markPages();
  drawFilters(document.getElementById("filters"), page.filters ?? null, about);
  const root = el("div", { class: "page", "aria-busy": "true" }, el("p", { class: "loading" }, "Loading…"));
  const isSame = content.dataset.page === location.pathname;
  if (isSame)
    content.firstElementChild?.classList.add("stale"); // stays to be read until the new one is there
  else fill(content, root);
  content.dataset.page = location.pathname;
  try {
    await page.open(root, { signal, about, replace: () => content.firstElementChild === root || fill(content, root) });
    root.querySelector(":scope > .loading")?.remove();
  } catch (error) {
    if (error.name === "AbortError") return;
    fill(
      root,
      el(
        "div",
        { class: "notice", role: "alert" },
        el("h1", {}, "That did not work"),
        el("p", {}, error.message),
        button("Try again", show),
      ),
    );
  }
  if (signal.aborted) return;
  root.removeAttribute("aria-busy");
  if (content.firstElementChild !== root) fill(content, root);
}

function markPages() {
  const top = { "/call": "/calls", "/session": "/sessions" }[location.pathname] ?? location.pathname;
  for (const link of document.querySelectorAll("#pages a")) {
    const path = new URL(link.href).pathname;
    link.href = address(path);
    if (path === top) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function follow(event) {
  const link = event.target.closest?.("a[href]");
  if (
    !link ||
    event.defaultPrevented ||
    event.button ||
    event.metaKey ||
    event.ctrlKey ||
    event.shiftKey ||
    event.altKey
  )
    return;
  const to = new URL(link.href);
  if (to.origin !== location.origin || link.hasAttribute("download") || !(to.pathname in PAGES) || to.hash) return;
  event.preventDefault();
  const isNew = to.pathname !== location.pathname;
  go(to.pathname + to.search);
  if (isNew) {
    scrollTo(0, 0);
    content.focus({ preventScroll: true });
  }
}

const SCHEMES = ["auto", "light", "dark"];
const theme = document.getElementById("theme");

function setTheme(scheme) {
  if (scheme === "auto") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem("orobserve.theme");
  } else {
    document.documentElement.dataset.theme = scheme;
    localStorage.setItem("orobserve.theme", scheme);
  }
  theme.textContent = `Theme: ${scheme}`;
  dispatchEvent(new Event("theme"));
}

theme.addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? "auto";
  setTheme(SCHEMES[(SCHEMES.indexOf(now) + 1) % SCHEMES.length]);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("theme")));

document.addEventListener("click", follow);
document.addEventListener("click", (event) => {
  for (const each of document.querySelectorAll("#filters details[open]")) each.open = each.contains(event.target);
});
addEventListener("popstate", show);
addEventListener("place", show);
theme.textContent = `Theme: ${document.documentElement.dataset.theme ?? "auto"}`;
listen(document.getElementById("keys"), document.getElementById("help"));
about = await ask("about").catch((error) => ({ labels: {}, ledger: "", failure: error }));
show();
