"""Reading: rows, sums to the last digit, sessions, and what is new."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import fields
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orobserve.ledger import database, money, schema
from orobserve.ledger.filters import Filter, where
from orobserve.ledger.query import Reader
from orobserve.ledger.sums import GROUPS
from tests.exporters.generations import STARTED_AT
from tests.ledger.plain import found_sums, mixed, plain_sums, totals
from tests.ledger.records import DAY, call, exact, fold, late, priced, stored, sums_are_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orobserve.generation import Generation


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


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


FILTERS = {
    "all": (Filter(), lambda _: True),
    "since": (Filter(since=STARTED_AT - 3 * DAY), lambda each: each.timing.started_at >= STARTED_AT - 3 * DAY),
    "between": (
        Filter(since=STARTED_AT - 5 * DAY, until=STARTED_AT - 2 * DAY),
        lambda each: STARTED_AT - 5 * DAY <= each.timing.started_at < STARTED_AT - 2 * DAY,
    ),
    "hour": (
        Filter(since=STARTED_AT - DAY // 12, until=STARTED_AT - DAY // 24),
        lambda each: STARTED_AT - DAY // 12 <= each.timing.started_at < STARTED_AT - DAY // 24,
    ),
    "model": (Filter(model="openai/gpt-4o"), lambda each: each.model == "openai/gpt-4o"),
    "provider": (Filter(provider="Azure"), lambda each: each.provider == "Azure"),
    "user": (Filter(user="ada"), lambda each: each.request.user == "ada"),
    "session": (Filter(session="s-2"), lambda each: each.request.session_id == "s-2"),
    "api_key": (Filter(api_key="cd"), lambda each: each.request.api_key_hash == "cd"),
    "tag": (Filter(tag="team=search"), lambda each: "team" in (each.tags or {})),
    "errors": (Filter(error=True), lambda each: each.error is not None),
    "no errors": (Filter(error=False), lambda each: each.error is None),
    "none": (Filter(model="nobody's"), lambda _: False),
}


@pytest.mark.parametrize("name", FILTERS)
def test_rows_by_filter(name: str, reader: Reader, calls: list[Generation]) -> None:
    wanted, holds = FILTERS[name]
    expected = sorted(filter(holds, calls), key=lambda each: -each.timing.started_at)
    assert [each.generation_id for each in reader.rows(wanted, limit=None)] == [each.id for each in expected]
    assert reader.rows(wanted, limit=3) == reader.rows(wanted, limit=None)[:3]
    assert {each.id for each in reader.records(wanted)} == {each.id for each in expected}


@pytest.mark.parametrize(
    "by", [(), *((name,) for name in GROUPS), ("model", "day"), ("user", "provider"), ("day", "tag")]
)
@pytest.mark.parametrize("name", FILTERS)
def test_sums(name: str, by: tuple[str, ...], reader: Reader, calls: list[Generation]) -> None:
    wanted, holds = FILTERS[name]
    found = reader.sums(by, wanted)
    assert found_sums(found) == plain_sums(filter(holds, calls), by)
    costs = [each.cost for each in found if each.cost is not None]
    assert costs == sorted(costs, reverse=True)


def test_sums_by_what_is_no_group(reader: Reader) -> None:
    with pytest.raises(ValueError, match="not by colour"):
        reader.sums(("colour",))


@given(st.lists(st.floats(0, 1000, allow_subnormal=False), max_size=20))
def test_money_is_exact(costs: list[float]) -> None:
    amounts = [money.split(cost) for cost in costs]
    found = [amount for amount in amounts if amount is not None]
    whole = money.total(
        sum(each.nano for each in found),
        sum(each.rest // money.HALF for each in found),
        sum(each.rest % money.HALF for each in found),
    )
    assert abs(Fraction(whole) - Fraction(exact(costs))) <= len(costs) * Fraction("5e-28")
    if all(cost == 0 or cost > 1e-10 for cost in costs):  # whose 17 digits end above 1e-27
        assert whole == exact(costs)


@pytest.mark.parametrize("cost", [None, float("nan"), float("inf"), -float("inf"), 1e7, True, "1"])
def test_what_is_no_cost(cost: Any) -> None:
    assert money.split(cost) is None


def test_many_small_costs(path: Path) -> None:
    costs = [0.1, 0.2, 0.00014250000000000002, 1.6e-07, 0.30000000000000004, 999_999.999, 3e-15, -0.25]
    stored(path, [*(priced(number, cost) for number, cost in enumerate(costs)), priced(99, None)])
    with Reader(path) as reader:
        (found,) = reader.sums()
        assert (found.cost, found.unpriced) == (exact(costs), 1)
        assert {each.cost for each in reader.rows()} == {*(Decimal(repr(cost)) for cost in costs), None}


def test_one_call(reader: Reader, calls: list[Generation]) -> None:
    for each in calls[:20]:
        assert each.id is not None
        assert each.span_id is not None
        assert reader.call(each.id) == reader.call(each.span_id) == each
    assert reader.call("gen-unknown") is None


def test_sessions(reader: Reader, calls: list[Generation]) -> None:
    found = {each.id: each for each in reader.sessions()}
    assert set(found) == {"s-1", "s-2"}
    mine = [each for each in calls if each.request.session_id == "s-1"]
    assert found["s-1"].began_at == min(each.timing.started_at for each in mine)
    assert found["s-1"].last_at == max(each.timing.started_at for each in mine)
    assert (found["s-1"].sums.calls, found["s-1"].sums.cost) == (len(mine), totals(mine)[4])
    assert len(reader.sessions(limit=1)) == 1
    assert reader.sessions(Filter(model="nobody's")) == []


def test_what_is_new_comes_once_and_completed_calls_again(path: Path) -> None:
    stored(path, [call(1), call(2, cost=None)])
    told: list[str] = []
    with Reader(path) as reader:

        def wait() -> bool:
            if len(told) == 4:
                return False
            stored(path, [late(call(2)), call(3)] if len(told) == 2 else [])
            return True

        for row in reader.follow(0, wait=wait):
            told.append(f"{row.generation_id} {row.cost}")  # noqa: PERF401 - `wait` looks at it
        assert told == ["gen-1 0.0042", "gen-2 None", "gen-2 0.0042", "gen-3 0.0042"]
        assert list(reader.follow(reader.cursor())) == []
        assert [each.generation_id for each in reader.follow(0, Filter(model=call(3).model))] == ["gen-3"]


def test_a_row_that_goes_is_not_taken_for_the_next(path: Path) -> None:
    stored(path, [call(1)])
    with Reader(path) as reader:
        seen = reader.cursor()
        with database.writing(path) as connection:
            connection.execute("DELETE FROM calls")
        stored(path, [call(2)])
        assert [each.generation_id for each in reader.follow(seen)] == ["gen-2"]


def test_a_file_of_version_1_is_brought_to_this_one(path: Path, calls: list[Generation]) -> None:
    stored(path, calls)
    with Reader(path) as reader:
        before = [reader.sums(("model", "day")), reader.sums(("user",))]
    with closing(sqlite3.connect(path)) as connection:
        made = re.findall(r"CREATE (TABLE|TRIGGER|VIEW) (\w+)", " ".join((*schema.STEPS[1], *schema.STEPS[2])))
        for kind, name in reversed(made):
            connection.execute(f"DROP {kind} {name}")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    with Reader(path) as reader:  # no writer has come by yet
        assert [reader.sums(("model", "day")), reader.sums(("user",))] == before
    stored(path, [call(9_999)])
    with Reader(path) as reader:
        assert reader.sums()[0].calls == len(calls) + 1
    sums_are_true(path)


def test_the_steps_make_the_same_file_as_all_at_once(tmp_path: Path) -> None:
    made = []
    for steps in (range(1, schema.VERSION + 1), (schema.VERSION,)):
        with closing(sqlite3.connect(tmp_path / f"{len(steps)}.db", isolation_level=None)) as connection:
            for step in steps:
                schema.migrate(connection, step)
                assert schema.version_of(connection) == step
            made.append(connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall())
    assert made[0] == made[1]


def test_a_step_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(path, [call(1)])
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, ("CREATE TABLE more (x)", "nonsense")))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            schema.migrate(connection, len(schema.STEPS))
        assert schema.version_of(connection) == schema.VERSION
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'more'").fetchall()


def test_there_is_none_yet(path: Path) -> None:
    with pytest.raises(database.LedgerError, match="begins with the first call"), Reader(path):
        pass


def test_a_newer_file_is_left_alone(path: Path) -> None:
    stored(path, [call(1)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(database.LedgerError, match="newer orobserve"), Reader(path):
        pass
    from orobserve.ledger.store import Keep
    from orobserve.ledger.writer import Ledger

    ledger = Ledger(path, Keep())
    ledger.offer(call(2))
    assert ledger.flush(10)
    ledger.close(5)
    assert ledger.state.dropped == {"rejected": 1}
    assert "newer orobserve" in (ledger.state.last_error or "")
    assert path.read_bytes() == before


def test_a_damaged_file_says_so_to_who_reads(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(database.LedgerError, match="not a database"), Reader(path) as reader:
        reader.rows()


def test_the_indexes_are_used(reader: Reader) -> None:
    plans = {
        "SELECT 1 FROM calls WHERE key = 'a' OR (span_id = 'b' AND started_at = 1)": "MULTI-INDEX OR",
        "SELECT 1 FROM calls WHERE started_at >= 5 ORDER BY started_at DESC": "calls_by_time",
        "SELECT 1 FROM calls WHERE session = 'a'": "calls_by_session",
        "SELECT 1 FROM calls WHERE generation_id = 'a' AND generation_id <> key": "calls_by_generation",
        f"SELECT 1 FROM calls WHERE {where(Filter(user='a'))[0]} ORDER BY started_at": "calls_by_user",
        f"SELECT 1 FROM calls WHERE {where(Filter(error=True))[0]} ORDER BY started_at": "calls_by_failure",
    }
    for sql, said in plans.items():
        plan = " ".join(str(row) for row in reader._connection.execute(f"EXPLAIN QUERY PLAN {sql}", {"user": "a"}))
        assert said in plan, plan


def test_every_field_of_a_filter_is_tested() -> None:
    used = {
        item.name for wanted, _ in FILTERS.values() for item in fields(wanted) if getattr(wanted, item.name) is not None
    }
    assert used == {item.name for item in fields(Filter)}
