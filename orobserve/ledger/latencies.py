"""How long the calls that a filter finds have taken, all together; `series` has it over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orobserve.ledger import database
from orobserve.ledger.filters import where
from orobserve.ledger.percentiles import percentile

if TYPE_CHECKING:
    from pathlib import Path

    from orobserve.ledger.filters import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Seconds, at most 5 % off (see `percentiles`): to the last byte, and to the first chunk with content."""

    p50: float | None
    p95: float | None
    first_chunk_p50: float | None
    first_chunk_p95: float | None


def latencies(path: Path, wanted: Filter) -> Latencies:
    """Return the latencies of the calls that a filter finds.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    condition, values = where(wanted)
    counts: tuple[dict[int, int], dict[int, int]] = ({}, {})
    sql = f"SELECT duration_bin, first_chunk_bin, count(*) FROM calls WHERE {condition} GROUP BY 1, 2"  # noqa: S608
    with database.reading(path) as connection:
        for *bins, count in connection.execute(sql, values):
            for counted, number in zip(counts, bins, strict=True):
                if number is not None:
                    counted[number] = counted.get(number, 0) + count
    duration, first_chunk = counts
    return Latencies(
        p50=percentile(duration, 0.5),
        p95=percentile(duration, 0.95),
        first_chunk_p50=percentile(first_chunk, 0.5),
        first_chunk_p95=percentile(first_chunk, 0.95),
    )
