"""Calls of every kind, and what plain Python says that they come to."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from orobserve.generation import CacheInfo, Cost, Error, Request, Timing, Usage
from orobserve.ledger.series import OTHER
from orobserve.ledger.sources import TIMES
from tests.exporters.generations import STARTED_AT
from tests.ledger.records import DAY, call, exact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orobserve.generation import Generation
    from orobserve.ledger.series import Point
    from orobserve.ledger.sums import Sum


def mixed(count: int, seed: int = 7) -> list[Generation]:
    """Return calls over ten days, with every kind of gap."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        at = STARTED_AT - chance.randrange(10 * DAY)
        cost = chance.choice([None, 0.0, chance.random() / 1000, chance.randrange(10**6) / 10**9])
        made.append(
            call(
                number,
                timing=Timing(
                    started_at=at,
                    ended_at=at + chance.randrange(10**10),
                    first_chunk_at=chance.choice([None, at + chance.randrange(10**9)]),
                ),
                cost=None
                if cost is None
                else Cost(total=cost, cache_discount=chance.choice([None, chance.uniform(-1, 2) / 1000])),
                usage=chance.choice(
                    [
                        None,
                        Usage(input_tokens=chance.randrange(9999)),
                        Usage(output_tokens=3),
                        Usage(input_tokens=5000, cache_read_input_tokens=chance.randrange(5000)),
                    ]
                ),
                cache=chance.choice([None, CacheInfo(status="hit"), CacheInfo(status="miss")]),
                error=Error(type="429") if chance.random() < 0.1 else None,
                provider=chance.choice([None, "OpenAI", "Azure"]),
                request=Request(
                    model="m",
                    user=chance.choice([None, "ada", "grace"]),
                    session_id=chance.choice([None, "s-1", "s-2"]),
                    api_key_hash=chance.choice([None, "ab", "cd"]),
                ),
                tags=chance.choice([None, {"tags": ["beta", "x"]}, {"team": "search", "tags": ["beta"]}]),
            )
        )
    return made


def group_of(record: Generation, name: str) -> list[Any]:
    asked = record.request
    return {
        "day": [datetime.fromtimestamp(record.timing.started_at // 10**9, timezone.utc).date()],
        "model": [record.model],
        "provider": [record.provider],
        "api_key": [asked.api_key_hash],
        "user": [asked.user],
        "session": [asked.session_id],
        "tag": [*(record.tags or {}).get("tags", ()), *(["team=search"] if "team" in (record.tags or {}) else [])],
    }[name]


def totals(records: list[Generation]) -> tuple[Any, ...]:
    costs = [each.cost.total for each in records if each.cost is not None and each.cost.total is not None]
    savings = [each.cost.cache_discount for each in records if each.cost and each.cost.cache_discount is not None]
    telling = [each.usage for each in records if each.usage and each.usage.cache_read_input_tokens is not None]
    cached, told = [each.cache_read_input_tokens or 0 for each in telling], [each.input_tokens or 0 for each in telling]
    given = [each.usage.input_tokens for each in records if each.usage and each.usage.input_tokens is not None]
    return (
        len(records),
        sum(each.error is not None for each in records),
        sum(each.cost is None and not each.failed for each in records),
        sum(given) if given else None,
        exact(costs) if costs else None,
        exact(savings) if savings else None,
        sum(each.cache == CacheInfo(status="hit") for each in records),
        sum(cached) / sum(told) if sum(told) else None,
    )


def figures(found: Sum) -> tuple[Any, ...]:
    return (
        *(found.calls, found.errors, found.unpriced, found.input_tokens, found.cost),
        *(found.cache_saving, found.response_cache_hits, found.prompt_cache_rate),
    )


def plain_sums(records: Iterable[Generation], by: Sequence[str]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return the figures by the values of the groups; a call counts once for each of its tags."""
    groups: dict[tuple[Any, ...], list[Generation]] = defaultdict(list)
    for each in records:
        keys: list[tuple[Any, ...]] = [()]
        for column in by:
            keys = [(*key, value) for key in keys for value in group_of(each, column)]
        for key in keys:
            groups[key].append(each)
    return {key: totals(members) for key, members in groups.items()}


def found_sums(found: Iterable[Sum]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return the same of what the ledger says."""
    return {tuple(each.group.values()): figures(each) for each in found}


def check_points(
    points: Sequence[Point], records: Iterable[Generation], step: str, by: str | None, top: Sequence[str | None]
) -> None:
    """Check that points are those of these records, and that percentiles are as near as they say."""
    expected: dict[tuple[int, Any], list[Generation]] = defaultdict(list)
    for each in records:
        for group in group_of(each, by) if by else [None]:
            start = each.timing.started_at // TIMES[step] * TIMES[step]
            expected[start, group if not by or group in top else OTHER].append(each)
    assert [each.start for each in points] == sorted(each.start for each in points)
    assert {(each.start, each.group) for each in points} == set(expected)
    for point in points:
        members = expected[point.start, point.group]
        assert figures(point.sums) == totals(members)
        assert point.sums.group == ({by: point.group} if by else {})
        latencies = [each.timing.duration for each in members]
        assert near(point.latency_p50, latencies, 0.5)
        assert near(point.latency_p95, latencies, 0.95)
        assert near(point.latency_p99, latencies, 0.99)
        chunks = [each for each in (each.timing.time_to_first_chunk for each in members) if each is not None]
        assert near(point.first_chunk_p50, chunks, 0.5)
        assert near(point.first_chunk_p95, chunks, 0.95)


def near(found: float | None, durations: list[float], part: float) -> bool:
    """Tell whether a percentile is at most 5 % off the duration at that place."""
    if found is None or not durations:
        return found is None and not durations
    return math.isclose(found, sorted(durations)[math.ceil(part * len(durations)) - 1], rel_tol=0.05)
