"""`orobserve tail`: the last calls, and each new one once; what is learnt of it later is an update."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orobserve.cli import tail
from orobserve.cli.main import main, parser
from orobserve.telemetry import console
from tests.cli.screens import STYLED, Terminal, harmless, hostile, run
from tests.ledger.records import call, late, priced, stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def follow(capsys: pytest.CaptureFixture[str], steps: list[Callable[[], None]], *arguments: str) -> list[Any]:
    """Return what is told while things happen; after each of them the ledger is looked at once."""
    left = iter(steps)

    def wait() -> bool:
        step = next(left, None)
        if step is not None:
            step()
        return step is not None

    assert tail.run(parser().parse_args(["tail", "--json", *arguments]), wait) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_last_ones_as_the_console_says_it(capsys: pytest.CaptureFixture[str], ledger_path: Path) -> None:
    calls = [call(number) for number in range(12)]
    stored(ledger_path, calls)
    lines = run(capsys, "tail", "--no-follow", "-n", "3").splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [f"{console.line(each)} · {each.id}" for each in calls[9:]]
    assert run(capsys, "tail", "--no-follow", "-n", "0") == ""


def test_new_ones_once_and_updates_as_such(capsys: pytest.CaptureFixture[str], ledger_path: Path) -> None:
    unknown = priced(2, None)
    nameless = replace(call(4), id=None, response_id=None, cost=None)
    stored(ledger_path, [call(1), unknown])
    found = follow(
        capsys,
        [
            lambda: stored(ledger_path, [call(3), nameless]),
            lambda: stored(ledger_path, [late(unknown, cost=priced(2, 0.5).cost)]),
            lambda: stored(ledger_path, [late(nameless, id="gen-late", cost=call(4).cost)]),
            lambda: None,
        ],
    )
    assert [(each["generation_id"], each["cost"], each["update"]) for each in found] == [
        ("gen-1", 0.0042, False),
        ("gen-2", None, False),
        ("gen-3", 0.0042, False),
        (None, None, False),
        ("gen-2", 0.5, True),
        ("gen-late", 0.0042, True),
    ]


def test_the_dearest(capsys: pytest.CaptureFixture[str], ledger_path: Path) -> None:
    costs = [0.25, None, 1e-9, 2.5, 0.25000000000000006, 0.0]
    stored(ledger_path, [priced(number, cost) for number, cost in enumerate(costs)])
    found = run(capsys, "tail", "--dearest", "-n", "4", "--json").splitlines()
    assert [json.loads(line)["generation_id"] for line in found] == ["gen-3", "gen-4", "gen-0", "gen-2"]


def test_only_what_is_asked_for(capsys: pytest.CaptureFixture[str], ledger_path: Path) -> None:
    stored(ledger_path, [call(1), call(2)])
    found = follow(capsys, [lambda: stored(ledger_path, [call(6), call(7)])], "--user", "u-1")
    assert [each["generation_id"] for each in found] == ["gen-1", "gen-6"]


def test_an_update_for_people(
    capsys: pytest.CaptureFixture[str], ledger_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(ledger_path, [priced(1, None)])
    steps = iter([True])

    def wait() -> bool:
        stored(ledger_path, [late(priced(1, 0.5))])
        return next(steps, False)

    tail.run(parser().parse_args(["tail"]), wait)
    first, second = capsys.readouterr().out.splitlines()
    assert " · ? · " in first
    assert " (update) " in second
    assert " · $0.50 · " in second


def test_ctrl_c_ends_it_quietly(
    capsys: pytest.CaptureFixture[str], ledger_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    stored(ledger_path, [call(1)])
    monkeypatch.setattr("time.sleep", interrupt)
    assert main(["tail"]) == 130
    assert capsys.readouterr().err == ""


def test_hostile_content_on_a_terminal(
    capsys: pytest.CaptureFixture[str], ledger_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(ledger_path, [hostile(1), hostile(2)])
    for arguments in ((), ("--json",)):
        assert run(capsys, "tail", "--no-follow", *arguments).count("\n") == 2
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    assert main(["tail", "--no-follow"]) == 0
    assert harmless(STYLED.sub("", screen.getvalue()))
    assert screen.getvalue().count("\x1b[31m") == 2  # they failed
