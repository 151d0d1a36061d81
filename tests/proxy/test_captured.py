"""What Broadcast tells of calls that a process of this machine has captured itself, before it or after it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orobserve.delivery.destination import Destination
from orobserve.delivery.hub import Hub
from orobserve.generation import Cost, Timing
from orobserve.ledger.query import Reader
from orobserve.ledger.store import Keep
from orobserve.ledger.writer import Ledger
from orobserve.proxy.intake import Intake
from orobserve.receivers import Receivers
from tests.delivery.clocks import EPOCH, VirtualClock
from tests.delivery.exporters import Updating, names
from tests.delivery.servers import Server
from tests.exporters.generations import CHAT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orobserve import Generation

HOLD = 13.0
BROADCAST = replace(
    CHAT,
    name="broadcast",
    timing=Timing(started_at=EPOCH - 10**9, ended_at=EPOCH),
    trace_id="b" * 32,
    span_id="b" * 16,
)
LOCAL = replace(BROADCAST, name="local", trace_id="a" * 32, span_id="a" * 16)


class Receiving:
    """An intake with a destination that updates, and the ledger that a process of the application writes too."""

    def __init__(self, path: Path, server: Server) -> None:
        self.clock, self.server, self.path = VirtualClock(), server, path
        self.own, self.application = Ledger(path, Keep(), clock=self.clock), Ledger(path, Keep())
        self.hub = Hub([Destination("d", Updating(server.url), lambda record: record, linger=0.0)])
        self.intake = Intake(Receivers(self.own, self.hub), hold=HOLD)

    def capture(self, record: Generation) -> None:
        self.application.offer(record)
        assert self.application.flush(10)

    def pass_time(self) -> None:
        self.clock.until_waiting()
        self.clock.advance(HOLD)

    def end(self) -> list[str]:
        """End, and return what the destination got."""
        assert self.intake.close(self.clock.now() + 1000) == 0
        for ledger in (self.own, self.application):
            ledger.close(10)
        assert self.hub.close(10)
        return [name for request in self.server.requests for name in names(request)]

    def stored(self) -> list[Generation]:
        with Reader(self.path) as reader:
            return list(reader.records())


@pytest.fixture
def receiving(tmp_path: Path) -> Iterator[Receiving]:
    with Server() as server:
        yield Receiving(tmp_path / "ledger.db", server)


def test_a_call_that_was_captured_before_is_not_delivered_again(receiving: Receiving) -> None:
    receiving.capture(LOCAL)
    assert receiving.intake.offer([BROADCAST]) == 1
    receiving.pass_time()
    assert receiving.end() == []
    assert receiving.intake.counts == {"new": 0, "captured": 1}
    assert [record.name for record in receiving.stored()] == ["local"]


def test_nor_one_that_is_captured_after_it_has_come(receiving: Receiving) -> None:
    """Its process waits for OpenRouter's record, and Broadcast does not."""
    receiving.intake.offer([BROADCAST])
    receiving.clock.until_waiting()
    receiving.capture(LOCAL)
    receiving.pass_time()
    assert receiving.end() == []


def test_one_that_nobody_has_captured_is_delivered_when_it_might_have_been(receiving: Receiving) -> None:
    receiving.intake.offer([BROADCAST])
    receiving.clock.until_waiting()
    assert receiving.clock.waits == [HOLD]
    assert receiving.server.requests == []
    receiving.clock.advance(HOLD)
    assert receiving.end() == ["broadcast"]
    assert [record.name for record in receiving.stored()] == ["broadcast"]


def test_a_cost_that_only_broadcast_knows_completes_the_captured_call(receiving: Receiving) -> None:
    receiving.capture(replace(LOCAL, cost=None))
    receiving.intake.offer([replace(BROADCAST, cost=Cost(charged=0.25, total=0.25, source="generation"))])
    receiving.pass_time()
    assert receiving.end() == ["broadcast"]
    (stored,) = receiving.stored()
    assert stored.cost is not None
    assert (stored.cost.total, stored.span_id) == (0.25, LOCAL.span_id)


def test_a_call_that_ended_long_ago_waits_for_nobody(receiving: Receiving) -> None:
    old = replace(BROADCAST, timing=Timing(started_at=EPOCH - 10**12, ended_at=EPOCH - 10**11))
    receiving.intake.offer([old])
    receiving.server.wait(1)
    assert HOLD not in receiving.clock.waits
    assert receiving.end() == ["broadcast"]


def test_the_end_waits_for_nobody(receiving: Receiving) -> None:
    receiving.intake.offer([BROADCAST])
    assert receiving.end() == ["broadcast"]


def test_what_comes_twice_is_one(receiving: Receiving) -> None:
    for _ in range(2):
        receiving.intake.offer([BROADCAST, BROADCAST])
    assert receiving.end() == ["broadcast"]
