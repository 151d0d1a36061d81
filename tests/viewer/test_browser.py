"""The page in a real Chromium, over real ledgers: what is drawn, what can be done, and what can do no harm."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.generation import Attempt, Cost, Enrichment, Error, Outcome, Request, Routing, Stats, Timing, Usage
from tests.ledger.records import SECOND, call, late, stored
from tests.viewer import browsers, hostile
from tests.viewer.browsers import Tab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from orobserve.generation import Generation
    from orobserve.testing import Simulator
    from tests.viewer.conftest import Served

    Serve = Callable[..., Served]

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: the tox environment `viewer` brings it")
pytestmark = pytest.mark.skipif(
    browsers.missing() is not None and "CI" not in os.environ, reason=browsers.missing() or "all is here"
)
CALL = """
import httpx, os
url = os.environ["OPENROUTER_BASE_URL"] + "/chat/completions"
body = {"model": "openai/gpt-4o", "user": "live", "messages": [{"role": "user", "content": "hello"}]}
httpx.post(url, json=body, headers={"Authorization": "Bearer sk-or-v1-canary"}).raise_for_status()
"""
PAGES = {
    "overview": "/?since=all",
    "overview by user": "/?since=30d&by=user&model=openai/gpt-4o",
    "nothing found": "/?model=none",
    "calls": "/calls",
    "call": "/call?id=gen-rich",
    "sessions": "/sessions?since=all",
    "session": "/session?id=s-1",
    "delivery": "/delivery",
    "failed call": "/call?id=gen-2",
}


@pytest.fixture
def nobody() -> str:
    """Return an address at which nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/calls"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        opened = browsers.launched(playwright)
        yield opened
        opened.close()


def recent(number: int, minutes: int, **changes: Any) -> Generation:
    """Return a call that ended so long ago."""
    at = time.time_ns() - minutes * 60 * SECOND
    return call(
        number,
        timing=Timing(started_at=at, ended_at=at + (1 + number % 3) * SECOND, first_chunk_at=at + SECOND // 4),
        **changes,
    )


def observed(sim: Simulator, ledger: Path) -> dict[str, str]:
    """Return the environment of a program whose calls go to the simulator and into a ledger."""
    named = {"OPENROUTER_BASE_URL": sim.url, "OROBSERVE_HOSTS": sim.root, "OROBSERVE_LEDGER": str(ledger)}
    return {**os.environ, **named}


def run(folder: Path, environ: dict[str, str]) -> None:
    """Run the program in a folder, observed."""
    command = [sys.executable, "-m", "orobserve", "run", "--", sys.executable, "app.py"]
    subprocess.run(command, env=environ, check=True, capture_output=True, timeout=60, cwd=folder)


def rich() -> list[Generation]:
    """Return calls of all kinds, the last three hours'."""
    failed = {"outcome": Outcome.FAILED, "cost": None, "error": Error(type="rate_limit_exceeded", message="Slow down")}
    tried = (
        Attempt(provider="Azure", status=529, latency_ms=820),
        Attempt(provider="OpenAI", status=200, latency_ms=90),
    )
    whole = replace(
        recent(900, 1, routing=Routing(attempt_count=2, attempts=tried), stats=Stats(latency_ms=90)),
        id="gen-rich",
        enrichment=Enrichment(status="complete"),
    )
    cached = [replace(whole.usage or Usage(), cache_read_input_tokens=200 * share) for share in (1, 2, 3)]
    calls = (recent(n, 180 - n * 2, usage=cached[n % 3], **(failed if n % 20 == 2 else {})) for n in range(80))
    return [*calls, whole]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(serve: Serve, browser: Browser, scheme: str) -> None:
    served = serve([*rich(), hostile.hostile(500)])
    with Tab(browser, served.page.url, scheme) as tab:
        for name, path in PAGES.items():
            tab.open(path)
            assert tab.findings() == [], name
        tab.open(PAGES["call"]).click("#tab-record")
        assert tab.findings() == []
        tab.page.keyboard.press("?")
        tab.page.wait_for_selector("dialog[open]")
        assert tab.findings() == []
    with Tab(browser, serve().page.url, scheme, width=400) as tab:
        tab.settled()
        assert tab.findings() == []
        tab.page.context.clear_cookies()
        tab.page.goto(tab.base)
        assert tab.findings() == []
        tab.complaints.clear()  # the browser reports the 403


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_drawn_in_the_schemes_colours(serve: Serve, browser: Browser, scheme: str) -> None:
    with Tab(browser, serve(rich()).page.url, scheme) as tab:
        tab.open("/?since=24h&by=model")
        charts = list(tab.drawn())
        assert len(charts) == 6
        first, second, third = (tab.colour(f"--c{number}") for number in range(3))
        spend, calls, tokens, cached, latency, errors = charts
        assert {first, second, third} <= spend
        assert {first, second, third} <= calls
        assert {first, second} <= tokens
        assert third in cached
        assert {first, tab.colour("--c3"), tab.colour("--c4")} <= latency
        assert errors & {first, second, third}
        tab.page.click("#each")
        tab.page.wait_for_selector("#each[aria-pressed=true]")
        tab.settled()
        _, _, tokens, cached, latency, _ = tab.drawn()
        assert {first, second, third} <= tokens
        assert {first, second, third} <= cached
        assert latency & {first, second}
        assert "each=1" in tab.query()
        tab.page.hover(".plot .u-over", position={"x": 300, "y": 60})
        tab.page.mouse.move(*_newest(tab))
        tip = tab.page.locator(".tip:visible").first
        assert "openai/gpt-4o" in tip.inner_text()
        tab.page.click("#theme")  # from the system's to the light one
        tab.page.click("#theme")
        dark = tab.colour("--c0")
        assert dark in next(tab.drawn())
        tab.page.reload()
        tab.settled()
        assert dark in next(tab.drawn())
        tab.open("/session?id=s-1")
        assert len(list(tab.drawn())) == 2


def _newest(tab: Tab) -> tuple[float, float]:
    box = tab.page.locator(".plot .u-over").first.bounding_box()
    assert box is not None
    return box["x"] + box["width"] - 4, box["y"] + box["height"] / 2


def test_filters_are_in_the_address_and_back_works(serve: Serve, browser: Browser) -> None:
    served = serve(rich())
    with Tab(browser, served.page.url) as tab:
        page = tab.open("/?since=24h")
        page.click("table a:has-text('openai/gpt-4o')")
        page.wait_for_selector(".chip:has-text('openai/gpt-4o')")
        assert "model=openai" in tab.query()
        expected = served.ask("sums", since="24h", model="openai/gpt-4o")["total"]["calls"]
        page.wait_for_selector(f".tile:has-text('Calls') .figure:text-is('{expected}')")
        page.click(".spans a:text-is('user')")
        page.wait_for_selector("h2:text-is('By user')")
        page.click("#pages a:has-text('Calls')")
        page.wait_for_selector("h1:text-is('Calls')")
        assert "model=openai" in tab.query()
        assert page.locator("tbody tr").count() == expected
        page.click("#filter-errors")
        page.wait_for_function(
            "() => document.querySelectorAll('tbody tr').length === document.querySelectorAll('tr.failed').length"
        )
        assert "errors=1" in tab.query()
        page.go_back()
        page.wait_for_selector("#filter-errors[aria-pressed=false]")
        page.go_back()
        page.wait_for_selector("h2:text-is('By user')")
        page.go_back()
        page.wait_for_selector("h2:text-is('By model')")
        page.go_forward()
        page.wait_for_selector("h2:text-is('By user')")
        page.click(".chip .remove")
        page.wait_for_function("() => !document.querySelector('.chip')")
        page.fill("#filter-value", "user:u-1")
        page.keyboard.press("Enter")
        page.wait_for_selector(".chip:has-text('u-1')")
        assert "user=u-1" in tab.query()
        box = page.locator(".plot .u-over").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 60, steps=4)
        page.mouse.up()
        page.wait_for_function("() => location.search.includes('until=')")
        page.wait_for_selector("details.chosen")


def test_the_table_sorts(serve: Serve, browser: Browser) -> None:
    costs = [0.2, None, 1.5, 0.1]
    records = [
        recent(n, 5, model=f"m-{n}", cost=None if cost is None else Cost(total=cost)) for n, cost in enumerate(costs)
    ]
    with Tab(browser, serve(records).page.url) as tab:
        page = tab.open("/")
        names = page.locator("tbody th bdi")
        assert names.all_inner_texts() == ["m-2", "m-0", "m-3", "m-1"]
        page.click("thead button:text-is('spend')")
        page.click("thead button:text-is('spend')")
        assert names.all_inner_texts() == ["m-3", "m-0", "m-2", "m-1"]  # what is unknown is last
        assert page.locator("th[aria-sort=ascending]").inner_text().startswith("spend")
        assert "?" in page.inner_text("tbody tr:last-child")


def test_a_call_that_is_made_meanwhile_appears(serve: Serve, browser: Browser, sim: Simulator, tmp_path: Path) -> None:
    served = serve(rich())
    (tmp_path / "app.py").write_text(CALL)
    with Tab(browser, served.page.url) as tab:
        page = tab.open("/calls")
        before = page.locator("tbody tr").count()
        run(tmp_path, observed(sim, served.path))
        page.wait_for_selector("tbody tr:first-child:has-text('live')", timeout=20_000)
        assert page.locator("tbody tr").count() == before + 1
        assert f"${sim.bill.normalize():f}" in page.inner_text("tbody tr:first-child")


def test_delivery_is_told_by_destination(
    serve: Serve, browser: Browser, sim: Simulator, tmp_path: Path, nobody: str
) -> None:
    served = serve([])
    environ = observed(sim, served.path)
    (tmp_path / "app.py").write_text(CALL)
    (tmp_path / "orobserve.toml").write_text(f"""
[[destinations]]
type = "file"
config = {{ path = "{tmp_path / "spans.jsonl"}" }}

[[destinations]]
type = "webhook"
name = "<b>down</b>"
config = {{ url = "{nobody}" }}
""")
    with Tab(browser, served.page.url) as tab:
        page = tab.open("/delivery")
        run(tmp_path, environ)
        row = "tbody tr:has-text('{}')"
        page.wait_for_selector(row.format("file") + ":has-text('fine')", timeout=20_000)
        page.wait_for_selector(row.format("<b>down</b>") + ":has-text('due')")
        assert tab.findings() == []
    with Tab(browser, serve(rich()).page.url) as tab:
        assert "No destinations" in tab.open("/delivery").inner_text("main")


def test_a_completed_call_changes_in_its_place(serve: Serve, browser: Browser) -> None:
    open_cost = recent(1, 2, cost=None)
    served = serve([recent(0, 3), open_cost, recent(2, 1)])
    with Tab(browser, served.page.url) as tab:
        page = tab.open("/calls")
        row = page.locator("tbody tr:nth-child(2)")
        assert "$" not in row.inner_text()
        page.keyboard.press("p")
        stored(served.path, [late(replace(open_cost, cost=Cost(charged=0.125, total=0.125)))])
        page.wait_for_selector("#pause[aria-pressed=true]")
        page.keyboard.press("p")
        page.wait_for_selector("tbody tr:nth-child(2):has-text('$0.125')")
        assert page.locator("tbody tr").count() == 3


def test_the_empty_page_turns_live(serve: Serve, browser: Browser) -> None:
    served = serve()
    with Tab(browser, served.page.url) as tab:
        page = tab.settled()
        assert "orobserve run -- python app.py" in page.inner_text("main")
        other = tab.page.context.new_page()
        other.goto(f"{tab.base}calls")
        other.wait_for_selector(".waiting")
        stored(served.path, [recent(0, 1)])
        other.wait_for_selector("tbody tr", timeout=20_000)
        page.bring_to_front()
        page.wait_for_selector(".tile:has-text('Calls') .figure:text-is('1')", timeout=20_000)


def test_by_the_keyboard_alone(serve: Serve, browser: Browser) -> None:
    with Tab(browser, serve(rich()).page.url) as tab:
        page = tab.open("/?since=24h")
        press = page.keyboard.press
        press("/")
        page.keyboard.type("user:u-2")
        press("Enter")
        page.wait_for_selector(".chip:has-text('u-2')")
        press("Escape")
        for letter, title in (("c", "Calls"), ("s", "Sessions"), ("d", "Delivery"), ("c", "Calls")):
            press("g")
            press(letter)
            page.wait_for_selector(f"h1:text-is('{title}')")
        tab.settled()
        for key in "jjjk":
            press(key)
        assert page.evaluate("[...document.querySelectorAll('a.row-link')].indexOf(document.activeElement)") == 1
        press("Enter")
        page.wait_for_selector("[role=tablist]")
        press("?")
        page.wait_for_selector("dialog[open]:has-text('Keyboard')")
        press("Escape")
        page.wait_for_selector("dialog:not([open])", state="attached")
        page.focus("#tab-conversation")
        press("ArrowRight")
        page.wait_for_selector("#tab-record[aria-selected=true]")
        press("g")
        press("o")
        page.wait_for_selector(".tiles")


def test_a_call_tells_all(serve: Serve, browser: Browser) -> None:
    with Tab(browser, serve(rich()).page.url) as tab:
        page = tab.open("/call?id=gen-rich")
        text = page.inner_text("main")
        for said in (
            "$0.0042",
            "Azure",
            "529",
            "820 ms",
            "60%",
            "Be brief.",
            "It went well.",
        ):
            assert said in text, said
        assert not page.is_visible("text=Read it first.")
        page.click("summary:has-text('Reasoning')")
        assert page.is_visible("text=Read it first.")
        page.click("button:text-is('Copy id')")
        assert page.evaluate("navigator.clipboard.readText()") == "gen-rich"
        page.click("#tab-record")
        assert '"total": 0.0042' in page.inner_text("#panel")
        page.click("main .facts a:has-text('s-4')")
        page.wait_for_selector("h1:has-text('Session s-4')")
        with page.expect_download() as download:
            page.click("text=Download CSV")
        assert download.value.suggested_filename == "orobserve-calls.csv"
        tab.open("/call?id=none")
        assert "not in the ledger" in page.inner_text("[role=alert]")
        tab.complaints.clear()  # the browser reports the 404


def test_hostile_content_does_nothing(serve: Serve, browser: Browser) -> None:
    bad = hostile.hostile(1)
    served = serve([replace(bad, timing=recent(1, 1).timing)])
    with Tab(browser, served.page.url) as tab:
        key = served.ask("calls")["rows"][0]["key"]
        for path in ("/", "/?by=user", "/?by=tag", "/?by=session", "/calls", "/sessions", "/delivery"):
            page = tab.open(path)
            _is_harmless(tab)
        tab.open("/calls").click("a.row-link")
        page.wait_for_selector("[role=tablist]")
        assert page.evaluate("new URLSearchParams(location.search).get('id')") == key
        for each in page.query_selector_all("main summary"):
            each.click()
        _is_harmless(tab)
        said = page.inner_text(".conversation")
        for text in (hostile.SCRIPT, hostile.IMAGE, hostile.LINK, hostile.FORMULA, hostile.FAMILY):
            assert text in said
        assert (
            page.locator(".conversation .text").first.evaluate("each => getComputedStyle(each).unicodeBidi")
            == "isolate"
        )
        page.click("#tab-record")
        _is_harmless(tab)
        page.click("main .facts a")
        page.wait_for_selector("h1:has-text('Session')")
        _is_harmless(tab)


def _is_harmless(tab: Tab) -> None:
    page = tab.page
    assert page.evaluate("window.owned") is None
    assert page.title().endswith("· orobserve")
    assert page.query_selector("main script, main img, main svg, main iframe, main object, main style") is None
    assert page.evaluate("[...document.links].every(each => each.protocol === 'http:' && each.host === location.host)")
    shown = page.evaluate("document.body.textContent")
    assert not set(shown) & set("\u202e\x1b\x07\x00\u200b\U000e0041\ud83d")
    if "invoice" in shown:
        assert "invoiceRLOfdp.exe" in shown


def test_ten_megabytes_stay_quick(serve: Serve, browser: Browser) -> None:
    served = serve([hostile.long()])
    with Tab(browser, served.page.url) as tab:
        page = tab.open("/call?id=gen-long")
        nodes = page.evaluate("document.body.textContent.length")
        assert nodes < 200_000
        more = page.locator(".more button").last
        for times in (1, 2, 3):
            more.click()
            page.wait_for_function(f"() => document.querySelectorAll('.piece').length === {times}")
        shown = page.locator(".long").last.evaluate("each => each.textContent")
        assert shown.startswith(hostile.LONG[:620_000])
        assert page.locator(".message").count() == 201
        page.click("button:has-text('Show earlier messages (251)')")
        page.wait_for_selector("button:has-text('(51)')")
        assert page.locator(".message").count() == 401
        page.click("button:has-text('(51)')")
        page.wait_for_selector("button:has-text('earlier')", state="hidden")
        assert page.locator(".message").first.inner_text().endswith("question 0")


@pytest.mark.parametrize("path", ["/?since=all", "/calls", "/call?id=gen-rich", "/session?id=s-1"])
def test_nothing_is_cut_off_on_a_phone(serve: Serve, browser: Browser, path: str) -> None:
    with Tab(browser, serve(rich()).page.url, width=390) as tab:
        page = tab.open(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_server_that_has_ended_is_said_to_have(serve: Serve, browser: Browser) -> None:
    served = serve(rich())
    with Tab(browser, served.page.url) as tab:
        page = tab.open("/calls")
        served.page.server.should_exit = True
        page.wait_for_selector(".offline .brand", timeout=20_000)
        page.click("#pages a:has-text('Sessions')")
        page.wait_for_selector("[role=alert]:has-text('orobserve ui')")
        tab.complaints.clear()  # the browser reports the refused connection


def test_the_session_of_a_key_is_named_by_its_label(serve: Serve, browser: Browser) -> None:
    asked = Request(model="m", api_key_hash="b" * 64)
    with Tab(browser, serve([recent(1, 1, request=asked)]).page.url) as tab:
        page = tab.open("/?by=key")
        page.click("table a:has-text('staging')")
        page.wait_for_selector(".chip:has-text('key staging')")
        assert f"key={'b' * 64}" in tab.query()
