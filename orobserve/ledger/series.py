"""Sums and latencies over time: a point for each step and group that has calls. Steps are of UTC."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orobserve.ledger import schema
from orobserve.ledger.columns import DAY
from orobserve.ledger.filters import Filter, where
from orobserve.ledger.percentiles import percentile
from orobserve.ledger.sums import GROUPS, Sum, summed, sums

if TYPE_CHECKING:
    import sqlite3

STEPS = {"minute": 60 * 10**9, "hour": 3_600 * 10**9, "day": DAY}  # nanoseconds
OTHER = "(other)"
_KINDS = tuple(name for name in GROUPS if name != "day")


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
        step: a name of `STEPS`.
        by: a name of `sums.GROUPS` but `day`, or None for one group of all. By `tag`, a call counts for each.
        wanted: which calls.
        top: how many groups are told apart; the others are one.

    Raises:
        ValueError: there is no such step or group.
    """
    if step not in STEPS or by not in {None, *_KINDS}:
        raise ValueError(f"a series is of {', '.join(STEPS)} by {', '.join(_KINDS)}; not of {step} by {by}")
    ranked = [each.group[by] for each in sums(connection, (by,), wanted)[:top]] if by else [None]
    places = {group: place for place, group in enumerate(ranked)}
    condition, values = where(wanted)
    source = "calls, json_each(calls.tags) AS given" if by == "tag" else "calls"
    column = {None: "NULL", "tag": "given.value"}.get(by, f"calls.{by}")
    values |= {"step": STEPS[step], "top": json.dumps(ranked), "none": None in places, "other": OTHER}
    group = f"""CASE WHEN {column} IN (SELECT value FROM json_each(:top)) THEN {column}
        WHEN {column} IS NULL AND :none THEN NULL ELSE :other END"""  # noqa: S608 - names of ours
    grouped = f"started_at / :step AS start, {group} AS its"
    rest = f"FROM {source} WHERE {condition} GROUP BY start, its"
    counted = ", ".join(f"sum({value})" for value in schema.SUMS.values())
    found = connection.execute(f"SELECT {grouped}, {counted} {rest}", values).fetchall()
    bins: dict[str, Any] = {}
    for name in ("duration", "first_chunk"):
        bins[name] = defaultdict(dict)
        rows = connection.execute(f"SELECT {grouped}, {name}_bin, count({name}_bin) {rest}, 3", values)
        for start, key, number, count in rows:
            if number is not None:
                bins[name][start, key][number] = count
    points = []
    for start, key, *rest_ in found:
        latency, first = bins["duration"][start, key], bins["first_chunk"][start, key]
        points.append(
            Point(
                start=start * STEPS[step],
                group=key,
                sums=summed((by,), (key, *rest_)) if by else summed((), rest_),
                latency_p50=percentile(latency, 0.5),
                latency_p95=percentile(latency, 0.95),
                latency_p99=percentile(latency, 0.99),
                first_chunk_p50=percentile(first, 0.5),
                first_chunk_p95=percentile(first, 0.95),
            )
        )
    return sorted(points, key=lambda each: (each.start, places.get(each.group, top)))
