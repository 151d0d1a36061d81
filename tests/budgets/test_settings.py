"""The setting `budgets`: what may be given where, and the calendar."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orobserve
from orobserve import budget_settings, config
from orobserve.budget_settings import PERIODS, Budget, bounds, parse
from orobserve.delivery.schema import schema

if TYPE_CHECKING:
    from pathlib import Path


def test_short_forms_json_and_the_file_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = parse("budgets", [{"amount": "50"}, {"amount": 600, "period": "month"}])
    assert config.load({}, {"OROBSERVE_BUDGETS": "50/day, $600/month"}).budgets == wanted
    as_json = json.dumps([{"amount": 50}, {"amount": 600.0, "period": "month"}])
    found = config.load({}, {"OROBSERVE_BUDGETS": as_json}).budgets
    assert [(each.amount, each.period) for each in found] == [(Decimal(50), "day"), (Decimal(600), "month")]
    (tmp_path / "orobserve.toml").write_text(
        '[[budgets]]\namount = 0.1\nby = "user"\nthresholds = [1, 0.5]\n\n[[budgets]]\namount = 2\nkey = "search"\n'
        'webhook = "$HOOK"\nnotify = true\nname = "keys"\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOK", "https://hooks.slack.example/secret")
    first, second = config.load({}).budgets
    assert first == Budget(amount=Decimal("0.1"), by="user", thresholds=(0.5, 1.0), name="$0.1 a day by user")
    assert (second.by, second.value, second.notify, second.name) == ("key", "search", True, "keys")
    assert second.webhook == "https://hooks.slack.example/secret"
    assert "secret" not in repr(second)
    assert config.load({"budgets": [first, second]}).budgets == (first, second)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("fifty", "USD"),
        ("50/fortnight", "hour, day, week, month"),
        ("-5/day", "USD"),
        ("[{", "JSON"),
        ([{"amount": 0}], "budgets[0].amount"),
        ([{"amount": float("nan")}], "above 0"),
        ([{"amount": True}], "above 0"),
        ([{"amonut": 5}], "did you mean amount?"),
        ([{"amount": 5, "period": "dya"}], "use 'day'"),
        ([{"amount": 5, "by": "colour"}], "'user'"),
        ([{"amount": 5, "user": "a", "tag": "b"}], "one of by"),
        ([{"amount": 5, "by": "key", "user": "a"}], "one of by"),
        ([{"amount": 5, "user": 7}], "budgets[0].user"),
        ([{"amount": 5, "thresholds": []}], "thresholds"),
        ([{"amount": 5, "thresholds": [0.5, "x"]}], "thresholds"),
        ([{"amount": 5, "notify": "perhaps"}], "true or false"),
        ([{"amount": 5, "webhook": "ftp://x/secret"}], "http or https"),
        ([{"amount": 5, "callback": "print"}], "in code"),
        ([["50"]], "an object"),
    ],
)
def test_mistakes_say_how_to_mend_them(value: Any, word: str) -> None:
    with pytest.raises(orobserve.ConfigurationError) as caught:
        config.load({"budgets": value})
    assert word in str(caught.value)
    assert "Fix:" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_mistake_in_the_file_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "orobserve.toml").write_text('[[budgets]]\namount = 5\n\n[[budgets]]\namount = 5\nperiod = "year"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(orobserve.ConfigurationError, match="line 6"):
        config.load({})


@given(st.sampled_from(PERIODS), st.integers(0, 4_000_000_000))
def test_periods_are_those_of_the_utc_calendar(period: str, second: int) -> None:
    start, end = bounds(period, second * 10**9 + 5)
    assert start <= second * 10**9 + 5 < end
    assert bounds(period, end - 1) == (start, end)
    first, after = (datetime.fromtimestamp(each // 10**9, timezone.utc) for each in (start, end))
    assert (first.minute, first.second) == (0, 0)
    if period != "hour":
        assert first.hour == after.hour == 0
    if period == "week":
        assert first.weekday() == 0
    if period == "month":
        assert first.day == after.day == 1
        assert (after.year - first.year) * 12 + after.month - first.month == 1


def test_editors_know_the_same_keys() -> None:
    found = schema(config.setting_fields())
    described = found["$defs"]["budget"]["properties"]
    assert {*described, "callback"} == set(budget_settings._KEYS)  # a function stands in no file
    assert described["period"]["enum"] == list(PERIODS)
    assert described["by"]["enum"] == ["none", *budget_settings.GROUPS]
