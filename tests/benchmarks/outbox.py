"""What the outbox costs the ledger's writer and a caller's thread: `python tests/benchmarks/outbox.py --help`."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))  # the tests' own samples

import httpx

import orobserve
from orobserve.delivery.clock import Clock
from orobserve.delivery.destination import Destination
from orobserve.delivery.hub import Hub
from orobserve.delivery.letters import Fate
from orobserve.ledger import codec, database, outbox, replay
from orobserve.ledger.dispatch import Dispatch
from orobserve.ledger.filters import Filter
from orobserve.ledger.store import Keep, Store
from orobserve.ledger.transactions import transaction
from tests.benchmarks.ledger import records
from tests.ledger.offices import Product

_BATCH = 500


def writing(number: int) -> dict[str, Any]:
    """Write calls for none, one and three destinations that take them in hundreds; milliseconds of this thread."""
    made = [(each, codec.encode(each)) for each in records(number, 500)]
    taken: dict[str, Any] = {}
    for count in (0, 1, 3):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ledger.db"
            hub = Hub([Destination(f"d{each}", Product(), lambda given: given) for each in range(count)])
            dispatch = Dispatch(path, hub, clock=Clock(), nudge=lambda _: None)
            store, batches, marks = Store(path, Keep(), dispatch if count else None), [], []
            for start in range(0, number, _BATCH):
                began = time.thread_time()
                posted = store.write(made[start : start + _BATCH], 1)
                batches.append(time.thread_time() - began)
                for lane in dispatch._lanes:
                    receipts = [receipt for each in posted for to, receipt in each if to is lane]
                    dispatch.in_hand += len(receipts)
                    for first in range(0, len(receipts), 100):
                        dispatch._settled(lane, receipts[first : first + 100], Fate.DELIVERED, "")
                began = time.thread_time()
                dispatch.run()
                marks.append(time.thread_time() - began)
            taken[f"{count} destinations"] = {"write a batch": _ms(batches), "note what became of it": _ms(marks)}
    return taken


def backlog(number: int) -> dict[str, Any]:
    """Fill the outbox for a destination, look at it, and take pages from it; milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        store, made = Store(path, Keep()), [(each, codec.encode(each)) for each in records(number, 500)]
        for start in range(0, number, _BATCH):
            store.write(made[start : start + _BATCH], 1)
        destination = Destination("d", Product(), lambda given: given)
        began = time.perf_counter()
        assert replay.post(path, destination, Filter(), 1) == number
        posting = time.perf_counter() - began
        began = time.perf_counter()
        outbox.delivery_states(path)
        looking = time.perf_counter() - began
        pages = []
        for _ in range(20):
            began = time.perf_counter()
            with database.writing(path) as connection, transaction(connection):
                assert len(outbox.claim(connection, 1, 7, 400, 2)) == 400
            pages.append(time.perf_counter() - began)
    return {"fill": round(posting * 1e3), "delivery_states": round(looking * 1e3, 1), "claim 400": _ms(pages)}


def calls() -> dict[str, float]:
    """Measure whole calls by the caller's own processor time, in microseconds, without and with a ledger, in turns."""
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "cost": 0.5}
    said = [{"message": {"role": "assistant", "content": "answer " * 50}, "finish_reason": "stop"}]
    counter = iter(range(10**9))
    transport = httpx.MockTransport(
        lambda _: httpx.Response(
            200, json={"id": f"gen-{next(counter)}", "model": "m", "usage": usage, "choices": said}
        )
    )
    question = {"model": "m", "messages": [{"role": "user", "content": "question " * 50}]}
    taken: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, httpx.Client(transport=transport) as client:
        ledgers: dict[str, dict[str, Any]] = {"without": {}, "with": {"ledger": Path(folder) / "calls.db"}}
        for _, (name, given) in product(range(12), ledgers.items()):
            orobserve.instrument(console=False, enrichment="never", destinations=[Product()], **given)
            for _ in range(50):
                began = time.thread_time()
                client.post("https://openrouter.ai/api/v1/chat/completions", json=question)
                taken.setdefault(f"a call with a destination, {name} a ledger", []).append(time.thread_time() - began)
            orobserve.flush(60)
            orobserve.uninstrument()
    return {name: round(statistics.median(each) * 1e6, 1) for name, each in taken.items()}


def _ms(taken: list[float]) -> float:
    return round(statistics.median(taken) * 1e3, 2)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    given = parser.parse_args()
    found = {"writing": writing(given.records), "backlog": backlog(given.records), "calls": calls()}
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
