"""Who is told of what has been spent, and how often: exactly once, whatever comes when."""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orobserve.budget_settings import Budget, bounds, parse
from orobserve.budgets.notices import Notices, desktop_command
from orobserve.budgets.watch import Watch
from orobserve.delivery.clock import Clock
from orobserve.generation import Error, Outcome, Timing
from orobserve.ledger.store import Keep
from orobserve.ledger.writer import Ledger
from orobserve.proxy.intake import Intake
from orobserve.receivers import Receivers
from tests.delivery.clocks import VirtualClock
from tests.ledger.records import DAY, SECOND, call, late, priced, stored
from tests.scripts.programs import CALL as SAME_CALL
from tests.scripts.programs import run_program

if TYPE_CHECKING:
    from orobserve.budgets import Alert
    from orobserve.generation import Generation

PATIENCE = 30.0
CALL = SAME_CALL.replace('"gen-1"', '"gen-" + __import__("uuid").uuid4().hex')  # each another call


class Then(Clock):
    """The time at which the calls were made."""

    def __init__(self) -> None:
        self.moment = NOON

    def epoch(self) -> int:
        return self.moment


class Told:
    """Watches with the same budgets, and all that they tell."""

    def __init__(self, *given: Any, path: Path | None = None, watches: int = 1, labels: Any = None) -> None:
        self.alerts: list[Alert] = []
        budgets = [replace(each, callback=self.alerts.append) for each in parse("budgets", list(given))]
        self.ledgers = [Ledger(path, Keep()) for _ in range(watches)] if path else [None] * watches
        self.watches = [
            Watch(budgets, labels or {}, ledger=ledger, clock=Then(), notices=Notices(VirtualClock(skips=True)))
            for ledger in self.ledgers
        ]

    def offer(self, *calls: Generation, by: int = 0) -> None:
        ledger = self.ledgers[by]
        for each in calls:
            if ledger is not None:
                ledger.offer(each)
            self.watches[by].offer(each)
        assert self.watches[by].flush(PATIENCE)

    def close(self) -> None:
        for ledger, watch in zip(self.ledgers, self.watches, strict=True):
            if ledger is not None:
                ledger.close(5.0)
            watch.close(5.0)

    @property
    def reached(self) -> list[tuple[str | None, float, Decimal]]:
        return [(each.group, each.threshold, each.spent) for each in self.alerts]


@pytest.fixture(params=["alone", "ledger"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "ledger.db" if request.param == "ledger" else None


def at(number: int, moment: int, cost: float | None, **changes: Any) -> Generation:
    return replace(priced(number, cost), timing=Timing(started_at=moment, ended_at=moment + SECOND), **changes)


NOON = 20_000 * DAY + 12 * 3600 * SECOND  # 2024-10-04, a Friday


def test_each_threshold_once_in_each_period(place: Path | None) -> None:
    told = Told("1/day", path=place)
    told.offer(at(1, NOON, 0.5), at(2, NOON, 0.25))
    assert told.alerts == []
    told.offer(at(3, NOON, 0.1))
    told.offer(at(4, NOON, 0.1))
    told.offer(at(5, NOON, 5.0))
    assert told.reached == [(None, 0.8, Decimal("0.85")), (None, 1.0, Decimal("5.95"))]
    told.offer(at(6, NOON + DAY, 2.0))
    assert [each[1] for each in told.reached[2:]] == [1.0]  # of several at once the highest
    assert told.alerts[-1].period_start == datetime(2024, 10, 5, tzinfo=timezone.utc)
    told.close()


def test_past_periods_are_forgotten_a_day_after_their_end() -> None:
    told = Told({"amount": 1, "by": "user", "period": "hour"})
    (watch,) = told.watches
    for hour in range(60):
        watch._clock.moment = NOON + hour * 3600 * SECOND  # type: ignore[attr-defined]
        user = replace(call(0).request, user=f"u-{hour}")
        told.offer(at(hour, NOON + hour * 3600 * SECOND, 0.9, request=user))
    assert len(told.alerts) == 60
    assert len(watch._seen._sums) <= 26
    assert len(watch._told) <= 26
    told.close()


def test_by_user_key_and_tag(place: Path | None) -> None:
    keys = {"a" * 64: "search"}
    told = Told(
        {"amount": 1, "by": "user", "thresholds": [1]},
        {"amount": 1, "key": "search", "thresholds": [1]},
        {"amount": 1, "by": "key", "thresholds": [2]},
        {"amount": 1, "tag": "team=growth", "thresholds": [1]},
        path=place,
        labels=keys,
    )
    asked = call(0).request
    calls = [
        at(1, NOON, 0.9, request=replace(asked, user="ada", api_key_hash="a" * 64)),
        at(2, NOON, 0.9, request=replace(asked, user="bob", api_key_hash="b" * 64), tags={"team": "growth"}),
        at(3, NOON, 1.2, request=replace(asked, user="ada", api_key_hash="b" * 64), tags={"team": "other"}),
        at(4, NOON, 0.3, request=replace(asked, user=None, api_key_hash="a" * 64), tags={"team": "growth"}),
    ]
    told.offer(*calls)
    assert {(each.budget.name, each.group, each.spent) for each in told.alerts} == {
        ("$1 a day by user", "ada", Decimal("2.1")),
        ("$1 a day of key search", "search", Decimal("1.2")),
        ("$1 a day by key", "b" * 8, Decimal("2.1")),
        ("$1 a day of tag team=growth", "team=growth", Decimal("1.2")),
    }
    told.close()


def test_unknown_costs_are_told_of_and_never_counted(place: Path | None, caplog: pytest.LogCaptureFixture) -> None:
    failed = at(2, NOON, None, outcome=Outcome.FAILED, error=Error(type="rate_limit_exceeded"))
    told = Told({"amount": 1, "name": "\x1b[2J\u202eall"}, path=place)
    with caplog.at_level(logging.WARNING, "orobserve"):
        told.offer(at(1, NOON, None), at(3, NOON, None), failed, at(4, NOON, 0.9))
        told.close()
    (alert,) = told.alerts
    assert (alert.unpriced, alert.spent) == (2, Decimal("0.9"))
    assert "the cost of 2 calls more is unknown (?)" in caplog.text
    assert "$0.90 of $1.00 spent since 2024-10-04 00:00 UTC" in caplog.text
    assert not {"\x1b", "\u202e"} & set(caplog.text)


def test_a_late_cost_counts_by_its_difference(place: Path | None) -> None:
    told = Told("1/day", path=place)
    told.offer(at(1, NOON, 0.7))
    told.offer(late(at(1, NOON, 0.75)), at(1, NOON, 0.7))  # OpenRouter's record says more; the first comes again
    assert told.alerts == []
    told.offer(late(at(1, NOON, 0.85)))
    assert told.reached == [(None, 0.8, Decimal("0.85"))]
    told.close()


def test_a_restart_forgets_nothing_and_tells_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    stored(path, [at(1, NOON, 0.7)])
    first = Told("1/day", path=path)
    first.offer(at(2, NOON, 0.2))
    first.close()
    second = Told("1/day", {"amount": 3}, path=path)
    second.offer(at(3, NOON, 0.05))
    second.offer(at(4, NOON, 0.05))
    second.close()
    assert [first.reached, second.reached] == [[(None, 0.8, Decimal("0.9"))], [(None, 1.0, Decimal("1.0"))]]


def test_what_is_noticed_where_the_ledger_cannot_be_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "taken").touch()
    told = Told("1/day", path=tmp_path / "taken" / "ledger.db")
    told.offer(at(1, NOON, 0.9))
    told.close()
    assert told.reached == [(None, 0.8, Decimal("0.9"))]


STEPS = st.lists(
    st.tuples(
        st.integers(0, 7),  # the call
        st.sampled_from([None, 0.0, 0.1, 0.3, 0.5]),  # its cost, if it is told
        st.booleans(),  # whether it is learnt late
        st.integers(0, 1),  # by which of two processes
        st.integers(0, 2),  # on which day
    ),
    min_size=1,
    max_size=14,
)


@pytest.mark.parametrize("shared", [False, True])
@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_exactly_once_in_any_order(shared: bool, steps: list[tuple[int, float | None, bool, int, int]]) -> None:
    """What is known of the calls decides which thresholds were reached: each is told once, of several the highest."""
    with tempfile.TemporaryDirectory() as folder:
        told = Told("1/day", path=Path(folder) / "ledger.db" if shared else None, watches=2 if shared else 1)
        days: dict[int, int] = {}
        costs: dict[int, Decimal] = {}
        highest: dict[int, float] = {}
        wanted: list[tuple[int, float]] = []
        for number, cost, is_late, process, day in steps:
            moment = NOON + days.setdefault(number, day) * DAY
            made = at(number, moment, cost)
            is_new = number not in costs
            told.offer(late(made) if is_late and not is_new else made, by=process if shared else 0)
            if cost is not None and (is_new or is_late or costs[number] < 0):
                costs[number] = Decimal(repr(cost))
            elif is_new:
                costs[number] = Decimal(-1)
            on = days[number]
            sums = sum((costs[each] for each in costs if days[each] == on and costs[each] >= 0), Decimal(0))
            reached = max([each for each in (0.8, 1.0) if sums >= Decimal(repr(each))], default=0.0)
            if reached > highest.get(on, 0.0):
                highest[on] = reached
                wanted.append((bounds("day", NOON + on * DAY)[0], reached))
        told.close()
    found = sorted((int(each.period_start.timestamp()) * 10**9, each.threshold) for each in told.alerts)
    assert found == sorted(wanted)


def test_the_desktop_gets_arguments_and_no_commands() -> None:
    told = Told({"amount": 1, "tag": "$(touch x);`id`'\"<b>"})
    told.offer(at(1, NOON, 1.0, tags={"tags": ["$(touch x);`id`'\"<b>"]}))
    told.close()
    alert = told.alerts[0]
    linux, mac = desktop_command(alert, "linux"), desktop_command(alert, "darwin")
    assert linux[:4] == ["notify-send", "--app-name=orobserve", "--urgency=critical", "--"]
    assert "$(touch x);`id`" in linux[-1]
    assert "<b>" not in linux[-1]
    assert not any("touch" in part for part in mac[:-2])
    assert desktop_command(alert, "win32") == []


def test_a_desktop_that_hangs_or_fails_keeps_nothing_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "notify-send"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$(dirname "$0")/said"\nexit 3\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    told = Told({"amount": 1, "notify": True, "thresholds": [1], "name": "-x $(id)"})
    told.offer(at(1, NOON, 1.0))
    told.close()
    assert "-x $(id)" in (tmp_path / "said").read_text()


def test_the_name_is_kept_from_two_budgets_alike(tmp_path: Path) -> None:
    told = Told("1/day", "1/day", path=tmp_path / "ledger.db")
    told.offer(at(1, NOON, 1.0))
    told.close()
    assert len(told.alerts) == 2


def test_budget_by_value_survives_being_given_again() -> None:
    (budget,) = parse("budgets", [{"amount": 1, "user": "ada"}])
    assert parse("budgets", [budget]) == (budget,)
    assert isinstance(budget, Budget)


def test_costs_are_exact() -> None:
    told = Told({"amount": "0.3", "thresholds": [1]})
    told.offer(*(at(number, NOON, 0.1) for number in range(2)))
    assert told.alerts == []
    told.offer(at(3, NOON, 0.1))
    told.close()
    assert told.reached == [(None, 1.0, Decimal("0.3"))]


def test_what_broadcast_tells_counts_too() -> None:
    told = Told("1/day")
    intake = Intake(Receivers(watch=told.watches[0]))
    intake.offer([at(1, NOON, None), at(2, NOON, 0.5)])
    intake.offer([at(1, NOON, 0.4)])  # the same call, told again with its cost
    assert told.watches[0].flush(PATIENCE)
    told.close()
    assert told.reached == [(None, 0.8, Decimal("0.9"))]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_counts_its_own() -> None:
    source = f"""
import os
import httpx, orobserve
{CALL}
orobserve.instrument(budgets="1/day")
call(httpx)
assert orobserve.flush(20.0)
child = os.fork()
if not child:
    call(httpx)
    assert orobserve.flush(20.0)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
call(httpx)
"""
    assert run_program(source).stderr.count("100% reached") == 1  # of the parent, at its second call
