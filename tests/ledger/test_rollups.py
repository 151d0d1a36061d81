"""Kept sums: whatever is written, completed later, removed and folded, they tell what plain Python does."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from orobserve import spend
from orobserve.generation import Cost, Timing
from orobserve.ledger import codec, database, rollups
from orobserve.ledger.filters import Filter
from orobserve.ledger.query import Reader
from orobserve.ledger.store import Keep, Store
from orobserve.ledger.sums import GROUPS
from tests.exporters.generations import STARTED_AT
from tests.ledger.plain import check_points, found_sums, mixed, plain_sums
from tests.ledger.records import DAY, call, fold, late, stored, sums_are_true

if TYPE_CHECKING:
    from pathlib import Path

    from orobserve.generation import Generation

_BY = [(), *((name,) for name in GROUPS), ("day", "model"), ("day", "tag"), ("model", "provider", "api_key")]


def remove_oldest(path: Path, count: int) -> None:
    with database.writing(path) as connection:
        connection.execute("DELETE FROM calls WHERE id IN (SELECT id FROM calls ORDER BY started_at LIMIT ?)", (count,))


def check(path: Path, calls: list[Generation]) -> None:
    since, until = STARTED_AT - 7 * DAY, STARTED_AT - DAY - DAY // 7
    meant = [each for each in calls if since <= each.timing.started_at < until]
    with Reader(path) as reader:
        for by in _BY:
            assert found_sums(reader.sums(by)) == plain_sums(calls, by)
            assert found_sums(reader.sums(by, Filter(since=since, until=until))) == plain_sums(meant, by)
        for step, group in (("day", "model"), ("hour", "provider"), ("day", "tag"), ("day", None)):
            top = [each.group[group] for each in reader.sums((group,))[:8]] if group else []
            check_points(reader.series(step, group), calls, step, group, top)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens(seed: int, tmp_path: Path) -> None:
    chance, path = random.Random(seed), tmp_path / "ledger.db"
    todo, known = mixed(400, seed), {}
    store = Store(path, Keep())
    while todo:
        batch = [todo.pop() for _ in range(min(len(todo), chance.randrange(1, 80)))]
        batch += [
            late(before, cost=Cost(total=chance.random(), cache_discount=-0.1), provider="Late")
            for before in chance.sample(list(known.values()), min(len(known), chance.randrange(9)))
        ]
        store.write([(each, codec.encode(each)) for each in batch], 0)
        known.update((each.id, each) for each in batch)
        if chance.random() < 0.3:
            fold(path)
        if chance.random() < 0.3:
            count = chance.randrange(40)
            remove_oldest(path, count)
            for each in sorted(known.values(), key=lambda each: each.timing.started_at)[:count]:
                del known[each.id]
        if chance.random() < 0.3:
            check(path, list(known.values()))
    check(path, list(known.values()))
    sums_are_true(path)
    check(path, list(known.values()))
    remove_oldest(path, len(known))
    check(path, [])
    sums_are_true(path)  # and nothing is left of them


def test_they_are_folded_every_so_many_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups.fold, "__defaults__", (100,))
    path = tmp_path / "ledger.db"
    for start in range(0, 250, 50):
        stored(path, [call(number) for number in range(start, start + 50)])
    with database.writing(path) as connection:
        assert connection.execute("SELECT id FROM folded").fetchone() == (200,)
        connection.execute("DELETE FROM calls WHERE id <= 150")
    stored(path, [call(999)])
    with database.writing(path) as connection:
        assert connection.execute("SELECT id, (SELECT count(*) FROM gone) FROM folded").fetchone() == (251, 0)
        assert connection.execute("SELECT sum(calls) FROM daily").fetchone() == (101,)


def test_the_summary_of_a_run_agrees(tmp_path: Path) -> None:
    calls = mixed(300)
    stored(tmp_path / "ledger.db", calls)
    found = spend.total(spend.by_model(map(spend.facts, calls)).values())
    with Reader(tmp_path / "ledger.db") as reader:
        (total,) = reader.sums()
    assert (found.calls, found.errors, found.unpriced, found.cost) == (
        *(total.calls, total.errors, total.unpriced),
        total.cost,
    )
    failed = [each for each in calls if each.failed and (each.cost is None or each.cost.total is None)]
    assert failed
    assert spend.total(spend.by_model(map(spend.facts, failed)).values()).cost is None
    assert spend.total([]).cost == 0


def test_calls_before_1970_and_after_2116_spoil_no_sum(tmp_path: Path) -> None:
    odd = [call(1, timing=Timing(started_at=-5, ended_at=3)), call(2, timing=Timing(started_at=2**70, ended_at=2**70))]
    stored(tmp_path / "ledger.db", odd)
    fold(tmp_path / "ledger.db")
    with Reader(tmp_path / "ledger.db") as reader:
        assert [(each.start, each.sums.calls) for each in reader.series("day")] == [(0, 2)]
