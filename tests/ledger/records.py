"""Records for the ledger: many, cheap, and each another call."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

from orobserve.generation import Cost, Enrichment, Generation, Request, Timing
from orobserve.ledger import database, rollups
from orobserve.ledger.store import Keep
from orobserve.ledger.writer import Ledger
from tests.exporters.generations import CHAT, STARTED_AT

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

EVERYTHING = Keep()
SECOND = 10**9
DAY = 86_400 * SECOND
MODELS = ("openai/gpt-4o", "anthropic/claude-sonnet-4", "google/gemini-2.5-pro")


def call(number: int, **changes: Any) -> Generation:
    """Return a call of its own: another id, span and start than those of other numbers."""
    at = STARTED_AT + number * SECOND
    made = {
        "id": f"gen-{number}",
        "response_id": f"gen-{number}",
        "trace_id": f"{number + 1:032x}",
        "span_id": f"{number + 1:016x}",
        "timing": Timing(started_at=at, ended_at=at + SECOND),
        "model": MODELS[number % 3],
        "request": Request(model=MODELS[number % 3], user=f"u-{number % 5}", session_id=f"s-{number % 7}"),
        "tags": None,
    }
    return replace(CHAT, **made | changes)


def late(generation: Generation, **changes: Any) -> Generation:
    """Return what is learnt of a call after its record was handed on."""
    return replace(generation, enrichment=Enrichment(status="complete", is_late=True), **changes)


def priced(number: int, cost: float | None) -> Generation:
    return call(number, cost=None if cost is None else Cost(charged=cost, total=cost, source="response"))


def stored(path: Path, records: Iterable[Generation], **options: Any) -> None:
    """Write records to a ledger, and close it."""
    ledger = Ledger(path, options.pop("keep", EVERYTHING), **options)
    for record in records:
        ledger.offer(record)
    assert ledger.flush(30)
    ledger.close(5)
    assert not ledger.state.dropped, ledger.state


def exact(costs: Iterable[float]) -> Decimal:
    """Return a sum that nothing has rounded."""
    with localcontext() as context:
        context.prec = 400
        return sum(map(Decimal, map(repr, costs)), Decimal(0))


def fold(path: Path) -> None:
    """Bring the kept sums up to date, as every so many calls do."""
    with database.writing(path) as connection:
        rollups.fold(connection, at=0)


def sums_are_true(path: Path) -> None:
    """Check that the kept sums are those of a ledger that is filled with the same calls anew."""
    fold(path)
    with database.writing(path) as connection:
        kept = _kept(connection)
        assert not connection.execute("SELECT * FROM gone").fetchall()
        for table in KEPT:
            connection.execute(f"DELETE FROM {table}")
        connection.execute("UPDATE folded SET id = 0")
        rollups.fold(connection, at=0)
        assert kept == _kept(connection)


KEPT = ("daily", "rollup", "histogram")


def _kept(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    found = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in KEPT}
    counted = [(*key, rollups.bins_of(first), rollups.bins_of(second)) for *key, first, second in found["histogram"]]
    return {**found, "histogram": counted}
