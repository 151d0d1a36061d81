"""A real Chromium, and what is looked for on each page: complaints, pixels, and what axe finds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from playwright.sync_api import Browser, Page, Playwright
    from typing_extensions import Self

AXE = Path(__file__).parent / "node" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
_DRAWN = """canvas => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const colours = new Set();
    for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) colours.add(data.slice(at, at + 3).join());
    return [...colours];
}"""


def missing() -> str | None:
    """Return what is not here that the tests need; None: all is."""
    if CHROMIUM is None:
        return "no Chromium: the Debian package `chromium`"
    return None if AXE.is_file() else "no axe-core: the tox environment `viewer` installs it"


def launched(playwright: Playwright) -> Browser:
    """Start Chromium without a window."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)


class Tab:
    """A tab that has been let in, in one of the schemes; it fails the test at the end if the browser complained."""

    def __init__(self, browser: Browser, url: str, scheme: str = "light", width: int = 1280) -> None:
        self._context = browser.new_context(
            color_scheme=scheme,  # type: ignore[arg-type]
            viewport={"width": width, "height": 900},
            reduced_motion="reduce",
            permissions=["clipboard-read", "clipboard-write"],
        )
        self._url = url
        self.base = url.partition("?")[0]
        self.complaints: list[str] = []
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self._check(request.url))

    def __enter__(self) -> Self:
        self.page.goto(self._url)
        self.page.wait_for_url(lambda url: "token" not in url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._context.close()
        if error is None:
            assert not self.complaints, self.complaints

    def _hear(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.text} ({message.location})")

    def _check(self, url: str) -> None:
        if not url.startswith((self.base, "data:")):
            self.complaints.append(f"asked for {url}")

    def open(self, path: str) -> Page:
        """Go to a page, and wait until it is drawn."""
        self.page.goto(self.base.rstrip("/") + path)
        return self.settled()

    def settled(self) -> Page:
        self.page.wait_for_selector(".page:not([aria-busy])", timeout=30_000)
        return self.page

    def query(self) -> str:
        return str(self.page.evaluate("location.search"))

    def drawn(self) -> Iterator[set[str]]:
        """Yield the opaque colours of each chart, as `r,g,b`."""
        self.page.wait_for_selector(".plot canvas")
        for canvas in self.page.query_selector_all(".plot canvas"):
            yield set(canvas.evaluate(_DRAWN))

    def colour(self, variable: str) -> str:
        """Return a colour of the style sheet as a canvas has it."""
        script = "async name => (await import('/static/js/charts.js')).colour(name)"
        return str(self.page.evaluate(script, variable)).removeprefix("rgb(").removesuffix(")").replace(" ", "")

    def findings(self) -> list[str]:
        """Return what axe finds that is serious or critical."""
        self.page.evaluate(AXE.read_text("utf-8"))
        found = self.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        return [
            f"{each['id']}: {node['html'][:160]} {node['failureSummary']}"
            for each in found["violations"]
            if each["impact"] in {"serious", "critical"}
            for node in each["nodes"]
        ]
