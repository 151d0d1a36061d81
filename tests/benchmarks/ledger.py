"""What the ledger costs, holds and survives: `python tests/benchmarks/ledger.py --help`."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))  # the tests' own samples and programs

import httpx

import orobserve
from orobserve.generation import Content, Cost, Generation, Message, Request, Text, Timing, Usage
from orobserve.ledger import codec
from orobserve.ledger.filters import Filter
from orobserve.ledger.query import Reader
from orobserve.ledger.store import Keep, Store
from orobserve.ledger.sums import GROUPS
from orobserve.ledger.writer import Ledger
from tests.exporters.generations import STARTED_AT
from tests.ledger import programs
from tests.ledger.records import DAY, call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MODELS = [f"vendor-{number % 7}/model-{number}" for number in range(20)]
_PROVIDERS = [f"Provider {number}" for number in range(10)]
_TAGS = [f"feature-{number}" for number in range(20)]
_SESSIONS, _AT_ONCE = 5_000, 160  # about a day's sessions go on at the same time
_LIMIT = 300  # milliseconds that an answer may take
_WORKERS = 8
_AUTHORIZED = {"authorization": "Bearer sk-or-v1-benchmark"}


def records(number: int, characters: int) -> Iterator[Generation]:
    """Make calls over 30 days, with so much said in each."""
    chance = random.Random(1)
    said = Content(
        input=(Message(role="user", parts=(Text(content="q" * (characters // 2)),)),),
        output=(Message(role="assistant", parts=(Text(content="a" * (characters // 2)),)),),
    )
    for each in range(number):
        at = STARTED_AT - 30 * DAY + each * 30 * DAY // number
        taken = int(chance.lognormvariate(1, 0.8) * 10**9)
        model, tokens = chance.choice(_MODELS), chance.randrange(9999)
        cost = chance.randrange(10**7) / 10**9
        yield call(
            each,
            timing=Timing(started_at=at, ended_at=at + taken, first_chunk_at=at + taken // 5),
            model=model,
            provider=chance.choice(_PROVIDERS),
            request=Request(
                model=model,
                user=f"user-{chance.randrange(200)}",
                session_id=f"session-{(each * _SESSIONS // number + chance.randrange(_AT_ONCE)) % _SESSIONS}",
                api_key_hash=f"{chance.randrange(5):064x}",
            ),
            cost=Cost(charged=cost, total=cost, cache_discount=cost / 10, source="response"),
            usage=Usage(
                input_tokens=tokens,
                output_tokens=chance.randrange(999),
                total_tokens=1,
                cache_read_input_tokens=tokens // 3,
            ),
            content=said if characters else None,
            tags={"tags": chance.sample(_TAGS, chance.randrange(4))},
        )


def volume(folder: Path, number: int, characters: int) -> dict[str, Any]:
    """Fill a ledger, and ask it."""
    path = folder / "ledger.db"
    store, batch, began = Store(path, Keep()), [], (time.perf_counter(), time.thread_time())
    writing = 0.0
    for each in records(number, characters):
        batch.append((each, codec.encode(each)))
        if len(batch) == 500:
            start = time.thread_time()
            store.write(batch, 0)
            writing += time.thread_time() - start
            batch = []
    if batch:
        store.write(batch, 0)
    figures: dict[str, Any] = {
        "generations": number,
        "characters said in each": characters,
        "written per second, encoding included": round(number / (time.perf_counter() - began[0])),
        "microseconds of the processor for each": round((time.thread_time() - began[1]) / number * 1e6, 1),
        "of which in the database's transactions": round(writing / number * 1e6, 1),
        "bytes per generation": round(path.stat().st_size / number),
        "bytes of JSON in each": len(codec.encode(each)),
    }
    with Reader(path) as reader:
        taken = {name: _median(ask, reader) for name, ask in _questions(number).items()}
        assert reader.sums()[0].calls == number
    figures[f"milliseconds, median of 7, and of the processor; at most {_LIMIT}"] = taken
    figures["slower than that"] = [name for name, (each, _) in taken.items() if each > _LIMIT]
    return figures


def _questions(number: int) -> dict[str, Callable[[Reader], Any]]:
    """Return what reports and overviews ask; the bounds are at no full hour."""
    made: dict[str, Callable[[Reader], Any]] = {}
    bounds = {"7 d": Filter(since=STARTED_AT - 7 * DAY), "30 d": Filter(since=STARTED_AT - 30 * DAY), "ever": Filter()}
    for by, (since, wanted) in product(GROUPS, bounds.items()):
        made[f"report by {by}, {since}"] = lambda reader, by=by, wanted=wanted: (  # type: ignore[misc]
            reader.sums((by,), wanted),
            reader.sums((), wanted),
        )
    for by, (step, days) in product((None, *GROUPS[1:]), (("day", 30), ("hour", 1), ("hour", 7), ("minute", 1 / 24))):
        wanted = Filter(since=STARTED_AT - int(days * DAY))
        name = f"series by {by} per {step}, {round(days * 24)} h"
        made[name] = lambda reader, by=by, step=step, wanted=wanted: reader.series(step, by, wanted)  # type: ignore[misc]
    return made | {
        "report by model and day, 30 d": lambda reader: reader.sums(("model", "day"), bounds["30 d"]),
        "report by user, one model, 7 d": lambda reader: reader.sums(
            ("user",), replace(bounds["7 d"], model=_MODELS[0])
        ),
        "report by model, one user, ever": lambda reader: reader.sums(("model",), Filter(user="user-7")),
        "report by model, one tag, 7 d": lambda reader: reader.sums(("model",), replace(bounds["7 d"], tag=_TAGS[0])),
        "report by model, errors, ever": lambda reader: reader.sums(("model",), Filter(error=True)),
        "newest sessions": lambda reader: reader.sessions(),
        "newest sessions, 7 d": lambda reader: reader.sessions(bounds["7 d"]),
        "newest rows": lambda reader: reader.rows(),
        "newest rows of a user": lambda reader: reader.rows(Filter(user="user-7")),
        "newest rows of nobody": lambda reader: reader.rows(Filter(user="nobody")),
        "newest rows with a tag": lambda reader: reader.rows(Filter(tag=_TAGS[0])),
        "newest rows with a tag that none has": lambda reader: reader.rows(Filter(tag="none")),
        "newest rows of a session": lambda reader: reader.rows(Filter(session="session-7")),
        "newest rows of a model": lambda reader: reader.rows(Filter(model=_MODELS[0])),
        "newest errors": lambda reader: reader.rows(Filter(error=True)),
        "one call": lambda reader: reader.call(f"gen-{number // 2}"),
        "one call by its span": lambda reader: reader.call(f"{number // 2 + 1:016x}"),
    }


def _median(ask: Callable[[Reader], Any], reader: Reader) -> list[float]:
    taken = []
    for _ in range(7):
        start = time.perf_counter(), time.thread_time()
        ask(reader)
        taken.append((time.perf_counter() - start[0], time.thread_time() - start[1]))
    return [round(statistics.median(each) * 1e3, 1) for each in zip(*taken, strict=True)]


def offering(folder: Path, number: int) -> dict[str, float]:
    """Measure what a caller's thread pays for one record, in microseconds: offering it, and a whole observed call."""
    made = [call(each) for each in range(number)]
    ledger = Ledger(folder / "offers.db", Keep())
    ledger._worker.capacity = number
    taken = []
    for each in made:
        start = time.perf_counter()
        ledger.offer(each)
        taken.append(time.perf_counter() - start)
    ledger.flush(120)
    ledger.close(5)
    return {
        "offer, median": round(statistics.median(taken) * 1e6, 2),
        "offer, 99 %": round(statistics.quantiles(taken, n=100)[98] * 1e6, 2),
        **_calls(folder),
    }


def _calls(folder: Path) -> dict[str, float]:
    """Compare whole calls by this thread's own processor time, with and without a ledger, in turns."""
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "cost": 0.5}
    said = [{"message": {"role": "assistant", "content": "answer " * 50}, "finish_reason": "stop"}]
    counter = iter(range(10**9))
    transport = httpx.MockTransport(
        lambda _: httpx.Response(
            200, json={"id": f"gen-{next(counter)}", "model": "m", "usage": usage, "choices": said}
        )
    )
    question = {"model": "m", "messages": [{"role": "user", "content": "question " * 50}]}
    ledgers: dict[str, dict[str, Any]] = {
        "without": {},
        "with, no content": {"ledger": folder / "calls.db", "ledger_content": False},
        "with": {"ledger": folder / "calls.db"},
    }
    taken: dict[str, list[float]] = {}
    with _records_to_come() as host, httpx.Client(transport=transport) as client:
        for mode, (name, given) in [*product(("always", "never"), ledgers.items())] * 8:
            orobserve.instrument(console=False, enrichment=mode, hosts=[host], **given)
            gc.collect()
            for _ in range(20):  # more of them would not all be held
                start = time.thread_time()
                client.post(f"http://{host}/api/v1/chat/completions", json=question, headers=_AUTHORIZED)
                taken.setdefault(f"call {name}, enrichment {mode}", []).append(time.thread_time() - start)
            orobserve.flush(60)
            orobserve.uninstrument()
    return {name: round(statistics.median(each) * 1e6, 1) for name, each in taken.items()}


@contextlib.contextmanager
def _records_to_come() -> Iterator[str]:
    """Serve no record yet, to whoever asks for one: calls are held, and end on a thread of the library's own."""

    class NotYet(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), NotYet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def survival(folder: Path, kills: int) -> dict[str, Any]:
    """Have eight processes write, and kill one every second."""
    path, logs = folder / "killed.db", folder / "logs"
    logs.mkdir()
    started, running = 0, []

    def start() -> None:
        nonlocal started
        command = [sys.executable, programs.__file__, str(path), str(started), str(programs.SPACE)]
        with (logs / str(started)).open("w") as log:
            running.append(subprocess.Popen(command, stdout=log))
        started += 1

    began = time.perf_counter()
    for _ in range(_WORKERS):
        start()
    for each in range(kills):
        time.sleep(1)
        victim = running.pop(each % _WORKERS)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        start()
    for process in running:
        process.send_signal(signal.SIGKILL)
        process.wait()
    seconds = time.perf_counter() - began
    lines = [line for log in logs.iterdir() for line in log.read_text().splitlines(keepends=True)]
    accepted = {int(line) + each for line in lines if line.endswith("\n") for each in range(programs.BATCH)}
    with closing(sqlite3.connect(path)) as connection:
        whole = connection.execute("PRAGMA integrity_check").fetchall()
    with Reader(path) as reader:
        found = {int((row.generation_id or "")[4:]) for row in reader.rows(limit=None)}
    return {
        "kills": kills,
        "seconds": round(seconds),
        "accepted": len(accepted),
        "accepted and lost": len(accepted - found),
        "integrity": whole[0][0],
        "set aside": len(list(folder.glob("*damaged*"))),
        "records per second": round(len(found) / seconds),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--characters", type=int, default=500, help="said in each call")
    parser.add_argument("--offers", type=int, default=8_000)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--only", choices=["volume", "offering", "survival"])
    given = parser.parse_args()
    parts: dict[str, Callable[[Path], Any]] = {
        "offering": lambda folder: offering(folder, given.offers),
        "survival": lambda folder: survival(folder, given.kills),
        "volume": lambda folder: volume(folder, given.records, given.characters),
    }
    for name, part in parts.items():
        if given.only in {None, name}:
            with tempfile.TemporaryDirectory() as folder:
                print(json.dumps({name: part(Path(folder))}, indent=2), flush=True)


if __name__ == "__main__":
    main()
