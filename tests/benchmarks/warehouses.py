"""What databases and object stores take: `python tests/benchmarks/warehouses.py --help`.

Real sockets, real engines in processes of their own: ClickHouse's engine behind a front of the tests, PostgreSQL, and
moto for S3, all on the machine that also encodes. The floor of each figure is what encoding the same rows takes alone,
measured in the same run.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))  # the tests' own servers and samples

from orobserve.delivery.destination import Destination
from orobserve_exporters.clickhouse import ClickHouse
from orobserve_exporters.postgres import Postgres
from orobserve_exporters.s3 import S3
from tests.exporters import postgres_server, stores
from tests.exporters.generations import CHAT
from tests.support.otlp import make
from tests.support.programs import Program, free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orobserve import Generation

_MEGABYTE = 1024  # of what getrusage counts in
_WAITING = 5_000  # generations in the queue, at the most: the benchmark waits where an application would lose them
_SAMPLE = 2_000  # generations that are encoded for the floor
_DOWN = 2.0  # seconds between a crash and the restart
_LIMIT = 3_000  # seconds


@dataclass
class Store:
    """A running server, and how its content is counted."""

    program: Program
    exporter: Any
    encode: Callable[[list[Generation]], object]
    count: Callable[[], tuple[int, int]]  # rows or objects, and distinct generations among them
    restore: Callable[[], object] | None = None  # what has to be made again after a crash: all else is gone too


@contextmanager
def clickhouse(folder: Path) -> Iterator[Store]:
    """Run ClickHouse's engine."""
    import httpx

    (port,) = free_ports(1)
    front = str(Path(stores.__file__).parent / "clickhouse_front.py")
    command = [sys.executable, front, str(port), str(folder / "data"), "default", ""]
    exporter = make(ClickHouse, host=f"http://127.0.0.1:{port}")

    def count() -> tuple[int, int]:
        asked = {"query": "SELECT count(), uniqExact(SPAN_ID) FROM OPENROUTER_TRACES"}
        headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": ""}
        rows, distinct = httpx.post(f"http://127.0.0.1:{port}", params=asked, headers=headers, timeout=60).text.split()
        return int(rows), int(distinct)

    with Program(command, folder, {}, "ready") as program:
        yield Store(program, exporter, exporter.encode, count)


@contextmanager
def postgres(folder: Path) -> Iterator[Store]:
    """Run PostgreSQL."""
    import psycopg

    with postgres_server.postgres() as program:
        exporter = make(Postgres, url=program.url)

        def count() -> tuple[int, int]:
            with psycopg.connect(program.url) as connection:
                found = connection.execute("SELECT count(*), count(DISTINCT span_id) FROM openrouter_traces").fetchone()
            assert found is not None
            return int(found[0]), int(found[1])

        yield Store(program, exporter, exporter.payloads, count)


@contextmanager
def s3(folder: Path, form: str = "object") -> Iterator[Store]:
    """Run moto, which keeps its objects in memory: what it has does not survive."""
    moto = stores.Moto()
    with stores.server(folder, moto.url) as program:
        bucket = moto.bucket()
        exporter = make(S3, **moto.settings, bucket_name=bucket, format=form)

        def count() -> tuple[int, int]:
            client = moto.client("s3")
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
            if form == "object":
                return len(keys), len({key.rpartition("gen-")[2] for key in keys})
            bodies = [gzip.decompress(client.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]
            calls = [json.loads(line)["observations"][0]["id"] for body in bodies for line in body.splitlines()]
            return len(calls), len(set(calls))

        yield Store(program, exporter, exporter.payloads, count, lambda: moto.bucket(bucket))


@contextmanager
def s3_files(folder: Path) -> Iterator[Store]:
    """Run moto, for a compressed file per batch."""
    with s3(folder, "jsonl") as found:
        yield found


STORES = {"clickhouse": clickhouse, "postgres": postgres, "s3": s3, "s3-jsonl": s3_files}


def measure(store: Store, number: int, *, kills: bool) -> dict[str, Any]:
    """Deliver so many generations, with a crash half-way if asked for, and return the figures."""
    sample = [_numbered(n) for n in range(_SAMPLE)]
    size, start = store.exporter.LIMITS.items, time.perf_counter()
    for first in range(0, _SAMPLE, size):
        store.encode(sample[first : first + size])
    floor = (time.perf_counter() - start) / _SAMPLE
    destination = Destination("under-test", store.exporter, lambda call: call)
    start, before, down = time.perf_counter(), 0, 0.0
    for n in range(number):
        if kills and n == number // 2:
            store.program.kill()
            before = destination.state.delivered if store.restore else 0
            time.sleep(_DOWN)
            store.program.start()
            if store.restore:
                store.restore()
            down = _DOWN
        while destination.state.queued >= _WAITING:
            time.sleep(0.005)
        destination.offer(_numbered(n))
    destination.wait(destination.hurry(), time.monotonic() + _LIMIT)
    took = time.perf_counter() - start
    state = destination.state
    destination.close(time.monotonic())
    destination.join(time.monotonic() + 10)
    rows, distinct = store.count()
    return {
        "generations": number,
        "delivered": state.delivered,
        "dropped": dict(state.dropped),
        "retried": state.retried,
        "gone_with_the_servers_memory": before,
        "stored": rows,
        "stored_distinct": distinct,
        "lost": number - before - distinct,
        "seconds": round(took - down, 1),
        "generations_per_second": round(number / (took - down)),
        "encoding_alone_per_second": round(1 / floor),
        "ratio": round(number * floor / (took - down), 2),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEGABYTE),
    }


def _numbered(n: int) -> Generation:
    trace, second = f"{n // 3 + 1:032x}", 1_000_000_000
    timing = replace(CHAT.timing, started_at=CHAT.timing.started_at + n * second // 50, ended_at=CHAT.timing.ended_at)
    return replace(CHAT, id=f"gen-{n}", span_id=f"{n + 1:016x}", trace_id=trace, timing=timing)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", choices=list(STORES))
    parser.add_argument("--generations", type=int, default=100_000)
    parser.add_argument("--kill", action="store_true", help="kill the server half-way, and start it again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, STORES[options.store](Path(folder)) as store:
        print(json.dumps(measure(store, options.generations, kills=options.kill), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
