"""How long the calls that a filter finds have taken, all together; `series` has it over time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orobserve.ledger import database
from orobserve.ledger.percentiles import percentile
from orobserve.ledger.rollups import BINS, bins_of
from orobserve.ledger.sources import bins_from

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
    source = bins_from((), wanted)
    counts: tuple[Counter[int | None], Counter[int | None]] = (Counter(), Counter())
    with database.reading(path) as connection:
        for sql in source.kept:
            for row in connection.execute(sql, source.values):
                for counter, kept in zip(counts, row, strict=True):
                    counter.update(bins_of(kept))
        for sql in source.calls:
            grouped = f"SELECT {', '.join(BINS)}, sum(sign) FROM ({sql}) GROUP BY 1, 2"  # noqa: S608 - names of ours
            for *bins, number in connection.execute(grouped, source.values):
                for counter, each in zip(counts, bins, strict=True):
                    counter[each] += number
    duration, first_chunk = ({bin_: number for bin_, number in each.items() if bin_ is not None} for each in counts)
    return Latencies(
        p50=percentile(duration, 0.5),
        p95=percentile(duration, 0.95),
        first_chunk_p50=percentile(first_chunk, 0.5),
        first_chunk_p95=percentile(first_chunk, 0.95),
    )
