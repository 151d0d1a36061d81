"""How many calls are in flight, as other processes see it."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest

from orobserve.ledger import flights as module
from orobserve.ledger.flights import Flights, in_flight
from orobserve.testing import Scenario, Simulator
from tests.delivery.clocks import VirtualClock
from tests.ledger.records import call, stored
from tests.scripts.programs import run_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Telemetry


@pytest.fixture
def path(tmp_path: Path) -> Path:
    stored(tmp_path / "ledger.db", [call(1)])
    return tmp_path / "ledger.db"


class Pair:
    """Two processes, as far as the ledger can tell."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clocks = [VirtualClock(), VirtualClock()]
        self.flights = [Flights(path, clock) for clock in self.clocks]

    def step(self, which: int = 0) -> tuple[int, int]:
        """Let a second pass, and look."""
        clock = self.clocks[which]
        clock.until_waiting()
        done = threading.Event()
        clock.on_wait = done.set
        clock.advance(1.0)
        done.wait(0.5)  # unset where it sleeps until the next call: that wait has no end
        return self.seen

    @property
    def seen(self) -> tuple[int, int]:
        return tuple(in_flight(self.path, self.clocks[0].epoch()))  # type: ignore[return-value]


@pytest.fixture
def pair(path: Path) -> Iterator[Pair]:
    made = Pair(path)
    yield made
    for each in made.flights:
        each.close()
        if each._thread is not None:
            each._thread.join(10)


def test_all_processes_are_added_up(pair: Pair) -> None:
    assert pair.seen == (0, 0)
    first, second = pair.flights
    first.begin()
    first.begin()
    assert pair.seen == (0, 0)  # not before a second has passed
    assert pair.step() == (2, 1)
    second.begin()
    assert pair.step(1) == (3, 2)
    first.end()
    assert pair.step() == (2, 2)


def test_what_a_killed_process_has_noted_is_soon_stale(pair: Pair) -> None:
    pair.flights[1].begin()
    assert pair.step(1) == (1, 1)
    pair.clocks[0].seconds += 10
    assert pair.seen == (0, 0)


def test_a_call_that_lasts_stays_seen(pair: Pair) -> None:
    pair.flights[0].begin()
    assert [pair.step() for _ in range(12)] == [(1, 1)] * 12


def test_quick_calls_are_never_written(path: Path) -> None:
    flights = Flights(path, VirtualClock())
    flights.begin()
    flights.end()
    flights._clock.advance(1.0)  # type: ignore[attr-defined]
    flights.close()
    assert flights._thread is not None
    flights._thread.join(10)
    with closing(sqlite3.connect(path)) as connection:
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'in_flight'").fetchone()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_none_of_its_parents(path: Path) -> None:
    source = """
    import os, sys
    from pathlib import Path
    from orobserve.ledger.flights import Flights
    flights = Flights(Path(sys.argv[1]))
    flights.begin()
    child = os.fork()
    if not child:
        assert flights._count == 0 and flights._thread is None
        flights.begin()
        assert flights._count == 1
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert flights._count == 1
    """
    run_program(source, str(path))


def test_an_open_stream_is_in_flight(
    sim: Simulator, telemetry: Telemetry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STEP", 0.01)
    path = tmp_path / "ledger.db"
    telemetry.instrument(hosts=[sim.root], ledger=path)
    sim.next(Scenario(hold_after=1))
    body = {"model": "openai/gpt-4o", "stream": True, "messages": [{"role": "user", "content": "What is up?"}]}

    def until(calls: int) -> None:
        deadline = time.monotonic() + 20
        while not path.exists() or in_flight(path, time.time_ns()).calls != calls:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)

    headers = {"Authorization": "Bearer sk-or-v1-x"}
    with httpx.stream("POST", f"{sim.url}/chat/completions", json=body, headers=headers, timeout=30) as response:
        lines = response.iter_lines()
        next(lines)
        until(1)
        lines.close()
    until(0)
