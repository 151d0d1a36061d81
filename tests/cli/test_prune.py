"""`orobserve prune`: what goes, what stays, and that others can write meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from orobserve.generation import Content, Message, Request, Text, Timing
from orobserve.ledger import prune, rollups
from orobserve.ledger.filters import Filter
from orobserve.ledger.query import Reader
from tests.cli.screens import Terminal, as_json, run
from tests.exporters.generations import STARTED_AT
from tests.ledger.records import DAY, call, stored

if TYPE_CHECKING:
    from pathlib import Path

    from orobserve.generation import Generation


def aged(number: int, days: int) -> Generation:
    at = STARTED_AT - days * DAY + number
    said = Content(input=(Message(role="user", parts=(Text(content=f"{number} " * 2_000),)),))
    return call(number, timing=Timing(started_at=at, ended_at=at + 1), content=said)


@pytest.fixture
def path(ledger_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fill it: five calls a day for forty days."""
    stored(ledger_path, [aged(number, number // 5) for number in range(200)])
    monkeypatch.setattr("time.time_ns", lambda: STARTED_AT + DAY // 2)
    monkeypatch.setattr(prune, "_SHARE", 0)  # nobody waits for a turn
    monkeypatch.setattr(prune, "_LEAST", 0)
    return ledger_path


def left(path: Path) -> set[int]:
    with Reader(path) as reader:
        return {int((each.generation_id or "").removeprefix("gen-")) for each in reader.rows(limit=None)}


def test_by_age(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = path.stat().st_size
    planned = as_json(capsys, "prune", "--older-than", "30d", "--dry-run")
    assert (planned["calls"], planned["left"], len(left(path))) == (50, 150, 200)
    done = as_json(capsys, "prune", "--older-than", "30d", "--yes")
    assert (done["calls"], done["left"]) == (50, 150)
    assert left(path) == set(range(150))
    assert path.stat().st_size == before - done["bytes"]
    assert 0.8 < done["bytes"] / planned["bytes"] < 1.25
    with Reader(path) as reader:  # sums are those of what is left
        (total,) = reader.sums()
        assert (total.calls, total.cost) == (150, 150 * Decimal("0.0042"))
        assert len(list(reader.records())) == 150


def test_to_a_size(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned = as_json(capsys, "prune", "--to-size", "1MB", "--dry-run")["calls"]
    done = as_json(capsys, "prune", "--to-size", "1MB", "--yes")
    assert 0.8e6 < path.stat().st_size <= 1e6
    assert abs(done["calls"] - planned) < 30
    newest = sorted(range(200), key=lambda number: (number // 5, -number))
    assert left(path) == set(newest[: done["left"]])
    assert as_json(capsys, "prune", "--to-size", "1MB", "--yes")["calls"] == 0


def test_by_filters_all_of_which_hold(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "removed 20 calls" in run(capsys, "prune", "--user", "u-1", "--older-than", "20d", "--yes")
    assert left(path) == {number for number in range(200) if number % 5 != 1 or number < 100}


def test_nothing_of_who_is_forgotten_is_left_in_the_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, said = "forget-me-9c2e", "a secret of theirs 51f0"
    content = Content(input=(Message(role="user", parts=(Text(content=said * 500),)),))
    asked = Request(model="openai/gpt-4o", user=name, session_id=f"session of {name}")
    stored(path, [call(number, request=asked, content=content, tags={"tags": [name]}) for number in range(500, 520)])
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:  # the sums that are kept know of them
        writer.execute("BEGIN IMMEDIATE")
        rollups.fold(writer, 1)
        writer.execute("COMMIT")
    assert as_json(capsys, "prune", "--user", name, "--yes")["calls"] == 20
    for file in path.parent.glob("ledger.db*"):
        assert name.encode() not in file.read_bytes()
        assert said.encode() not in file.read_bytes()


@pytest.mark.parametrize(("answer", "count"), [("y\n", 150), ("\n", 200), ("no\n", 200), ("", 200)])
def test_it_asks(
    answer: str, count: int, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    said = run(capsys, "prune", "--older-than", "30d", status=0 if count == 150 else 1)
    assert ("removed 50 calls" if count == 150 else "Remove 50 calls of 200 for good") in said
    assert len(left(path)) == count


@pytest.mark.parametrize("arguments", [(), ("--older-than", "30d"), ("--older-than", "soon"), ("--to-size", "big")])
def test_mistakes(arguments: tuple[str, ...], path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Fix:" in run(capsys, "prune", *arguments, status=2)
    assert len(left(path)) == 200


def test_others_write_between_two_chunks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "_CHUNK", 10)
    done: list[int] = []

    def others(_seconds: float) -> None:
        stored(path, [aged(1_000 + len(done), 0)])

    assert prune.prune(path, Filter(until=STARTED_AT - 30 * DAY), advance=done.append, pause=others) == 45
    assert done == [10, 10, 10, 10, 5]
    assert {number for number in left(path) if number >= 1_000} == {1_001, 1_002, 1_003, 1_004, 1_005}


def test_it_waits_for_who_is_writing(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        def end(_seconds: float) -> None:
            if other.in_transaction:
                other.execute("COMMIT")

        assert prune.prune(path, Filter(), advance=lambda _: None, pause=end) == 200
    assert left(path) == set()
