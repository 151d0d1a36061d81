"""Many calls: records that come late, and a server that never gives one."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from orobserve.testing import Scenario

if TYPE_CHECKING:
    from tests.enrichment.conftest import Bench

STATUS = "openrouter.enrichment.status"


def total(bench: Bench) -> Decimal:
    costs = [span.attributes["openrouter.cost.total"] for span in bench.telemetry.spans]
    return sum(map(Decimal, map(repr, costs)), Decimal(0))


def test_a_thousand_records_that_are_half_a_second_to_eight_seconds_late(bench: Bench) -> None:
    chance = random.Random(7)
    bench.instrument(enrichment_limit=4000)
    for _ in range(20):
        for _ in range(50):
            bench.sim.next(Scenario(record_after=0, record_delay=chance.uniform(0.5, 8)))
            bench.call()
        bench.advance(0.5)
    bench.advance(10)
    spans = bench.telemetry.spans
    assert len({span.attributes["openrouter.generation.id"] for span in spans}) == len(spans) == 1000
    assert {span.attributes[STATUS] for span in spans} == {"complete"}
    assert {span.attributes["openrouter.cost.source"] for span in spans} == {"generation"}
    assert total(bench) == bench.sim.bill
    assert max(span.attributes["openrouter.enrichment.delay_ms"] for span in spans) < 10_000
    assert bench.telemetry.logs == []
    assert bench.enricher.held == 0
    assert len(bench.enricher._books.waiting) == 0


@pytest.mark.parametrize("status", [404, 503])
def test_without_any_record_nothing_is_lost_and_memory_is_bounded(bench: Bench, status: int) -> None:
    bench.sim.default = Scenario(record_after=0, record_status=status)
    bench.instrument(enrichment_limit=100)
    most = 0
    for _ in range(100):
        for _ in range(10):
            bench.call()
        most = max(most, len(bench.enricher._books.waiting))
        bench.advance(0.5)
    bench.advance(70)
    spans = bench.telemetry.spans
    assert len({span.attributes["openrouter.generation.id"] for span in spans}) == len(spans) == 1000
    assert {span.attributes[STATUS] for span in spans} == {"timeout", "dropped"}
    assert total(bench) == bench.sim.bill
    assert most <= 50  # half of the places are kept for calls whose cost is unknown
    books = bench.enricher._books
    assert (len(books.waiting), len(books.due), len(books.deadlines)) == (0, 0, 0)
    outcomes = bench.telemetry.metrics["orobserve.enrichment.lookups"]
    assert {dict(labels)["outcome"] for labels in outcomes} == {"not_found" if status == 404 else "error"}


def test_a_server_that_is_gone(bench: Bench) -> None:
    """The calls went through; then nobody answers any more."""
    bench.instrument()
    for _ in range(20):
        bench.call()
    bench.sim.stop()
    bench.advance(70)
    assert [span.attributes[STATUS] for span in bench.telemetry.spans] == ["timeout"] * 20
    assert total(bench) == bench.sim.bill
