"""Series: the points are those of plain Python, and percentiles are as near as they say."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orobserve.ledger.filters import Filter
from orobserve.ledger.percentiles import bin_of, percentile
from orobserve.ledger.query import Reader
from orobserve.ledger.series import OTHER, STEPS
from tests.exporters.generations import STARTED_AT
from tests.ledger.records import DAY, stored
from tests.ledger.test_query import figures, group_of, mixed, totals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve.generation import Generation


@pytest.fixture(scope="module")
def calls() -> list[Generation]:
    return mixed(1_500)


@pytest.fixture(scope="module")
def reader(calls: list[Generation], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    stored(path, calls)
    with Reader(path) as opened:
        yield opened


def near(found: float | None, durations: list[float], part: float) -> bool:
    """Tell whether a percentile is at most 5 % off the duration at that place."""
    if found is None or not durations:
        return found is None and not durations
    return math.isclose(found, sorted(durations)[math.ceil(part * len(durations)) - 1], rel_tol=0.05)


@pytest.mark.parametrize("wanted", [Filter(), Filter(since=STARTED_AT - 3 * DAY), Filter(user="ada")])
@pytest.mark.parametrize("by", [None, "model", "provider", "api_key", "user", "session", "tag"])
@pytest.mark.parametrize("step", STEPS)
def test_points(step: str, by: str | None, wanted: Filter, reader: Reader, calls: list[Generation]) -> None:
    expected: dict[tuple[int, Any], list[Generation]] = defaultdict(list)
    top = [each.group[by] for each in reader.sums((by,), wanted)[:2]] if by else [None]
    for each in calls:
        at = each.timing.started_at
        if (wanted.since and at < wanted.since) or (wanted.user and each.request.user != wanted.user):
            continue
        for group in group_of(each, by) if by else [None]:
            expected[at // STEPS[step] * STEPS[step], group if group in top else OTHER].append(each)
    found = reader.series(step, by, wanted, top=2)
    assert [each.start for each in found] == sorted(each.start for each in found)
    assert {(each.start, each.group) for each in found} == set(expected)
    for point in found:
        made = expected[point.start, point.group]
        sums = point.sums
        assert figures(sums) == totals(made)
        assert sums.group == ({by: point.group} if by else {})
        latencies = [each.timing.duration for each in made]
        assert near(point.latency_p50, latencies, 0.5)
        assert near(point.latency_p95, latencies, 0.95)
        assert near(point.latency_p99, latencies, 0.99)
        chunks = [each for each in (each.timing.time_to_first_chunk for each in made) if each is not None]
        assert near(point.first_chunk_p50, chunks, 0.5)
        assert near(point.first_chunk_p95, chunks, 0.95)


def test_mistakes(reader: Reader) -> None:
    with pytest.raises(ValueError, match="not of week by None"):
        reader.series("week")
    with pytest.raises(ValueError, match="not of day by day"):
        reader.series("day", "day")


@given(st.lists(st.integers(1, 10**14), min_size=1, max_size=50), st.sampled_from([0.01, 0.5, 0.95, 0.99, 1]))
def test_percentiles_are_at_most_5_percent_off(durations: list[int], part: float) -> None:
    counts: dict[int, int] = defaultdict(int)
    for each in durations:
        counts[bin_of(each) or 0] += 1
    assert near(percentile(counts, part), [each / 1e9 for each in durations], part)
