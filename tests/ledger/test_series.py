"""Series: the points are those of plain Python, and percentiles are as near as they say."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orobserve.ledger.filters import Filter
from orobserve.ledger.percentiles import bin_of, percentile
from orobserve.ledger.query import Reader
from orobserve.ledger.sources import TIMES
from tests.exporters.generations import STARTED_AT
from tests.ledger.plain import check_points, mixed, near
from tests.ledger.records import DAY, fold, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve.generation import Generation


@pytest.fixture(scope="module")
def calls() -> list[Generation]:
    return mixed(1_500)


@pytest.fixture(scope="module")
def reader(calls: list[Generation], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    stored(path, calls[:1_300])
    fold(path)
    stored(path, calls[1_300:])
    with Reader(path) as opened:
        yield opened


@pytest.mark.parametrize("wanted", [Filter(), Filter(since=STARTED_AT - 3 * DAY), Filter(user="ada")])
@pytest.mark.parametrize("by", [None, "model", "provider", "api_key", "user", "session", "tag"])
@pytest.mark.parametrize("step", TIMES)
def test_points(step: str, by: str | None, wanted: Filter, reader: Reader, calls: list[Generation]) -> None:
    top = [each.group[by] for each in reader.sums((by,), wanted)[:2]] if by else []
    meant = [
        each
        for each in calls
        if each.timing.started_at >= (wanted.since or 0) and wanted.user in {None, each.request.user}
    ]
    check_points(reader.series(step, by, wanted, top=2), meant, step, by, top)


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
