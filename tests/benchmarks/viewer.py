"""How long the viewer's pages take over a large ledger, in Chromium: `tox run -e viewer -- ...` has what it needs.

`python tests/benchmarks/viewer.py --records 1000000` fills a ledger first, which takes minutes; `--ledger FILE` takes
one that is there.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))  # the tests' own samples and programs

from playwright.sync_api import sync_playwright

from orobserve.ledger import codec
from orobserve.ledger.query import Reader
from orobserve.ledger.store import Keep, Store
from orobserve.viewer.serve import Page
from tests.benchmarks import ledger
from tests.viewer import browsers
from tests.viewer.browsers import Tab

_BATCH = 2_000
_TIMES = 3


def fill(path: Path, number: int) -> None:
    """Write that many calls of the last thirty days."""
    ledger.STARTED_AT = time.time_ns()
    store, batch = Store(path, Keep()), []
    for each in ledger.records(number, 500):
        batch.append((each, codec.encode(each)))
        if len(batch) == _BATCH:
            store.write(batch, 0)
            batch = []
    if batch:
        store.write(batch, 0)


def pages(path: Path) -> dict[str, str]:
    """Return what is loaded: names and addresses."""
    with Reader(path) as reader:
        row = reader.rows(limit=1)[0]
        print(f"{reader.sums()[0].calls:,} calls, {path.stat().st_size / 1e9:.1f} GB")
    return {
        "overview, 24 hours": "/?since=24h",
        "overview, 7 days": "/?since=7d",
        "overview, 30 days": "/?since=30d",
        "overview, all, by key": "/?since=all&by=key",
        "overview, 30 days, by user": "/?since=30d&by=user",
        "overview, 30 days, by tag": "/?since=30d&by=tag",
        "overview, 30 days, of one user": f"/?since=30d&user={row.user}",
        "overview, 7 days, of one model": f"/?since=7d&model={row.model}",
        "calls": "/calls",
        "calls of one user": f"/calls?user={row.user}",
        "calls, errors only": "/calls?errors=1",
        "sessions, 7 days": "/sessions",
        "session": f"/session?id={row.session}",
        "call": f"/call?id={row.key}",
        "delivery": "/delivery",
    }


def measure(tab: Tab, address: str) -> tuple[float, float]:
    """Return the seconds until there are figures to read, and until all is drawn."""
    start = time.perf_counter()
    tab.page.goto(tab.base.rstrip("/") + address)
    tab.page.wait_for_selector(".tiles, tbody tr, [role=tablist], .notice", timeout=120_000)
    first = time.perf_counter() - start
    tab.settled()
    return first, time.perf_counter() - start


def main() -> None:
    """Print a line for each page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--ledger", type=Path, help="one that is there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = given.ledger or Path(folder) / "ledger.db"
        if given.ledger is None:
            fill(path, given.records)
        addresses = pages(path)
        page = Page(path, {}, port=0)
        thread = threading.Thread(target=page.run)
        thread.start()
        print(f"\n{'seconds, median of three':32}{'figures':>10}{'all drawn':>12}")
        with Tab(browsers.launched(playwright), page.url) as tab:
            for name, address in addresses.items():
                taken = [measure(tab, address) for _ in range(_TIMES)]
                first, whole = (statistics.median(each) for each in zip(*taken, strict=True))
                print(f"{name:32}{first:10.2f}{whole:12.2f}", flush=True)
        page.server.should_exit = True
        thread.join()


if __name__ == "__main__":
    main()
