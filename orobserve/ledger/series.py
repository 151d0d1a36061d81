"""Sums and latencies over time: a point for each step and group that has calls. Steps are of UTC."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orobserve.ledger.percentiles import percentile
from orobserve.ledger.rollups import bins_of
from orobserve.ledger.sources import KINDS, TIMES, bins_from, sums_from
from orobserve.ledger.sums import Sum, summed, summing, sums

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from typing import TypeAlias

    from orobserve.ledger.filters import Filter

    _Cells: TypeAlias = dict[tuple[int, str | None], tuple[Counter[int | None], Counter[int | None]]]

OTHER = "(other)"
_RANKED = """WHEN g1 IN (SELECT value FROM json_each(:top)) THEN g1
    WHEN g1 IS NULL AND :none THEN NULL ELSE :other"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What the calls of a group that started in a step of time come to.

    Attributes:
        start: of the step, in nanoseconds since the epoch.
        group: None: there is none, or these calls have no value of it. `OTHER`: all groups beyond the dearest ones.
        sums: what they come to; its `group` is by the name of what was grouped by.
        latency_p50: seconds from the request's start to its last byte, at most 5 % off (see `percentiles`).
        first_chunk_p50: seconds to the first chunk with content, likewise; of the streamed calls.
    """

    start: int
    group: str | None
    sums: Sum
    latency_p50: float | None
    latency_p95: float | None
    latency_p99: float | None
    first_chunk_p50: float | None
    first_chunk_p95: float | None


def series(connection: sqlite3.Connection, step: str, by: str | None, wanted: Filter, top: int) -> list[Point]:
    """Return the points, by time; those of one time by what their groups cost in all, the dearest first.

    Args:
        connection: to a ledger.
        step: a name of `TIMES`.
        by: a name of `sums.GROUPS` but `day`, or None for one group of all. By `tag`, a call counts for each.
        wanted: which calls.
        top: how many groups are told apart; the others are one.

    Raises:
        ValueError: there is no such step or group.
    """
    if step not in TIMES or by not in {None, *KINDS}:
        raise ValueError(f"a series is of {', '.join(TIMES)} by {', '.join(KINDS)}; not of {step} by {by}")
    ranked = [each.group[by] for each in sums(connection, (by,), wanted)[:top]] if by else [None]
    places = {group: place for place, group in enumerate(ranked)}
    groups = (step, by) if by else (step,)
    source = sums_from(groups, wanted)
    named = f"CASE {_RANKED} END" if by else "NULL"
    given = {"top": json.dumps(ranked), "none": None in places, "other": OTHER}
    rows = connection.execute(summing(("g0", named), source), {**source.values, **given}).fetchall()
    cells = _cells(connection, groups, wanted, places)
    points = [
        Point(
            start=start * TIMES[step],
            group=group,
            sums=summed((by,), (group, *rest)) if by else summed((), rest),
            **_percentiles("latency", cells[start, group][0], (50, 95, 99)),
            **_percentiles("first_chunk", cells[start, group][1], (50, 95)),
        )
        for start, group, *rest in rows
        if rest[0]
    ]
    return sorted(points, key=lambda each: (each.start, places.get(each.group, top)))


def _cells(
    connection: sqlite3.Connection, by: tuple[str, ...], wanted: Filter, places: Mapping[str | None, int]
) -> _Cells:
    """Return the numbers of calls by bin of duration, and by bin of the first chunk, of each time and group."""
    source = bins_from(by, wanted)
    cells: _Cells = defaultdict(lambda: (Counter(), Counter()))

    def cell(start: int, group: str | None = None) -> tuple[Counter[int | None], Counter[int | None]]:
        return cells[start, group if group in places else OTHER]

    for sql in source.kept:
        for *key, durations, first_chunks in connection.execute(sql, source.values):
            for counter, kept in zip(cell(*key), (durations, first_chunks), strict=True):
                counter.update(bins_of(kept))
    for sql in source.calls:
        for *key, duration, first_chunk, sign in connection.execute(sql, source.values):
            for counter, number in zip(cell(*key), (duration, first_chunk), strict=True):
                counter[number] += sign
    return cells


def _percentiles(name: str, counts: Mapping[int | None, int], parts: tuple[int, ...]) -> dict[str, Any]:
    known = {number: count for number, count in counts.items() if number is not None and count}
    return {f"{name}_p{part}": percentile(known, part / 100) for part in parts}
