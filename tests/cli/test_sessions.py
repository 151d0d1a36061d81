"""`orobserve sessions`: its figures are those worked out apart from it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.cli.main import main
from orobserve.generation import Cost, Error, Outcome, Request, Timing, Usage
from tests.cli.screens import STYLED, Terminal, as_json, hostile, run
from tests.exporters.generations import STARTED_AT
from tests.ledger.records import SECOND, call, exact, stored

if TYPE_CHECKING:
    from pathlib import Path

    from orobserve.generation import Generation

# Of the session s-0: provider, cost, input tokens and those from a cache; a failed call, then one of unknown cost.
TURNS: list[tuple[str | None, float | None, int | None, int | None]] = [
    ("Azure", 0.1, 100, 0),
    ("Azure", 0.2, 200, 100),
    (None, None, None, None),
    ("OpenAI", 0.00014250000000000002, 300, None),
    ("OpenAI", None, 400, 300),
    ("Azure", 0.3, 500, 0),
]


def turn(number: int, provider: str | None, cost: float | None, given: int | None, cached: int | None) -> Generation:
    made = call(
        number * 7,
        model="openai/gpt-4o",
        provider=provider,
        cost=None if cost is None else Cost(charged=cost, total=cost),
        usage=None if given is None else Usage(input_tokens=given, output_tokens=10, cache_read_input_tokens=cached),
    )
    if provider is None:
        made = replace(made, error=Error(type="502"), outcome=Outcome.FAILED)
    return made


@pytest.fixture(autouse=True)
def _ledger(ledger_path: Path) -> None:
    turns = [turn(number, *each) for number, each in enumerate(TURNS)]
    # Another model between: what it is served by is no switch.
    other = replace(turns[1], id="gen-other", response_id="gen-other", span_id="ab" * 8, model="other/model", cost=None)
    at = STARTED_AT + 8 * SECOND
    other = replace(other, provider="Anthropic", usage=None, timing=Timing(started_at=at, ended_at=at + SECOND))
    stored(ledger_path, [*turns, other, call(1), call(8), call(2)])


def test_all(capsys: pytest.CaptureFixture[str]) -> None:
    found = {each["session"]: each for each in as_json(capsys, "sessions")}
    assert set(found) == {"s-0", "s-1", "s-2"}
    mine = found["s-0"]
    assert (mine["calls"], mine["errors"], mine["unpriced"], mine["provider_switches"]) == (7, 1, 2, 2)
    assert mine["models"] == ["openai/gpt-4o", "other/model"]
    assert mine["providers"] == ["Anthropic", "Azure", "OpenAI"]
    assert mine["seconds"] == 36
    assert mine["prompt_cache_rate"] == 400 / 1200  # of the calls that tell
    assert mine["cost"] == float(exact(cost for _, cost, _, _ in TURNS if cost is not None))


def test_machines_and_people_get_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["session"]: row for row in csv.DictReader(io.StringIO(run(capsys, "sessions", "--csv")))}
    assert Decimal(rows["s-0"]["cost"]) == Decimal("0.60014250000000000002")
    lines = run(capsys, "sessions").splitlines()
    (mine,) = (line for line in lines if line.startswith("s-0 "))
    assert "$0.60014250000000000002 + ?" in mine
    assert " 33% " in mine


def test_one_in_order_with_the_cost_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "sessions", "s-0")
    assert [each["generation_id"] for each in found] == [
        *("gen-0", "gen-7", "gen-other", "gen-14", "gen-21", "gen-28", "gen-35")
    ]
    assert [each["switched_from"] for each in found] == [None, None, None, None, "Azure", None, "OpenAI"]
    so_far = [(each["cost_so_far"], each["unpriced_so_far"]) for each in found]
    assert so_far == [(0.1, 0), (0.3, 0), (0.3, 1), (0.3, 1), (0.3001425, 1), (0.3001425, 2), (0.6001425, 2)]
    lines = run(capsys, "sessions", "s-0").splitlines()
    assert "was Azure" in lines[5]
    assert "502" in lines[4]
    assert "$0.60014250000000000002 + ?" in lines[7]


def test_what_is_typed_next_is_whole_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, ledger_path: Path) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "150")
    made = call(50, request=Request(session_id="a-session-of-thirty-characters"), model="m" * 60)
    stored(ledger_path, [replace(made, id="gen-1764126029-AbCdEfGhIjKlMnOpQrSt")])
    for arguments, word in (
        ((), "a-session-of-thirty-characters"),
        (("a-session-of-thirty-characters",), "gen-1764126029-AbCd"),
    ):
        screen = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout", screen)
            assert main(["sessions", *arguments]) == 0
        lines = STYLED.sub("", screen.getvalue()).splitlines()
        assert any(word in line for line in lines)
        assert max(map(len, lines)) <= 150


def test_filters_and_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert [each["session"] for each in as_json(capsys, "sessions", "--limit", "1")] == ["s-0"]
    assert [each["session"] for each in as_json(capsys, "sessions", "--session", "s-2")] == ["s-2"]
    (found,) = as_json(capsys, "sessions", "--errors")
    assert (found["session"], found["calls"]) == ("s-0", 1)
    assert run(capsys, "sessions", "--model", "nobody/nothing") == "no sessions\n"


def test_one_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert "`orobserve sessions` lists them" in run(capsys, "sessions", "s-none", status=2)


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--csv",)])
def test_hostile_names(capsys: pytest.CaptureFixture[str], ledger_path: Path, arguments: tuple[str, ...]) -> None:
    made: Any = hostile(100)
    stored(ledger_path, [replace(made, content=None)])
    assert "evil" in run(capsys, "sessions", *arguments)
    session = as_json(capsys, "sessions")[0]["session"]
    assert "evil" in run(capsys, "sessions", session, *arguments)


def test_without_a_ledger(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OROBSERVE_LEDGER", str(tmp_path / "none.db"))
    for command in ("sessions", "tail", "export", "prune --older-than 1d", "show gen-1"):
        assert "orobserve run -- CMD" in run(capsys, *command.split(), status=2)
    assert not (tmp_path / "none.db").exists()
