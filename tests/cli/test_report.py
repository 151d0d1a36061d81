"""`orobserve report` over a real ledger; its figures are those worked out apart from it."""

from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.cli.main import main
from orobserve.ledger.store import Keep
from orobserve.ledger.writer import Ledger
from tests.exporters.warehouse_calls import Expected, calls

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {"production": "a" * 64, "staging": "b" * 64, "finance": "c" * 64}


@pytest.fixture
def expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Expected:
    now, path = time.time_ns(), tmp_path / "ledger.db"
    ledger = Ledger(path, Keep())
    for call in calls(now):
        key = KEYS.get(call.request.api_key_name or "")
        ledger.offer(replace(call, request=replace(call.request, api_key_hash=key)))
    assert ledger.flush(20)
    ledger.close(5)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OROBSERVE_LEDGER", str(path))
    labels = "".join(f'"{hash_}" = "{name}"\n' for name, hash_ in KEYS.items() if name != "finance")
    (tmp_path / "orobserve.toml").write_text(f"[api_key_labels]\n{labels}")
    return Expected(now)


def report(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(["report", *arguments]) == status
    out, error = capsys.readouterr()
    return out if status == 0 else error


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(report(capsys, *arguments, "--csv"))))


def test_by_key_as_the_warehouses_have_it(expected: Expected, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, "--by", "key", "--since", "30d")
    named = {"production": "production", "staging": "staging", "finance": "c" * 8, None: ""}
    assert [(row["api_key"], Decimal(row["cost"]), int(row["input_tokens"])) for row in found] == [
        (named[key], cost, tokens) for key, _, cost, tokens, _ in expected.usage_by_key()
    ]


def test_by_user(expected: Expected, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, "--by", "user")
    assert [(row["user"], Decimal(row["cost"])) for row in found] == [
        (row[0], row[4]) for row in expected.user_activity()
    ]


def test_the_table(expected: Expected, capsys: pytest.CaptureFixture[str]) -> None:
    text = report(capsys, "--by", "key,model", "--since", "30d")
    lines = text.splitlines()
    assert " ".join(lines[0].split()) == "key model calls errors tokens in cached out reasoning cost"
    assert any(line.startswith("production") for line in lines)
    assert any("+ ?" in line for line in lines)  # the calls of unknown cost
    assert "whose cost is unknown (?)" in lines[-1]


def test_json_and_filters(expected: Expected, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(report(capsys, "--by", "day", "--key", "staging", "--tag", "team=growth", "--json"))
    (row,) = found["rows"]
    assert (row["calls"], row["errors"], row["cost"]) == (1, 1, None)
    assert found["total"]["unpriced"] == 0  # it failed


def test_no_calls(expected: Expected, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(capsys, "--model", "nobody/nothing") == "no calls\n"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(("--by", "colour"), "--by"), (("--since", "yesterday"), "--since"), (("--by", ","), "--by")],
)
def test_mistakes(
    expected: Expected, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], word: str
) -> None:
    error = report(capsys, *arguments, status=2)
    assert word in error
    assert "Fix:" in error


def test_where_there_is_no_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OROBSERVE_LEDGER", str(tmp_path / "none.db"))
    assert "orobserve run -- CMD" in report(capsys, status=2)
    assert not (tmp_path / "none.db").exists()


def test_hostile_names_reach_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (call,) = calls(time.time_ns())[:1]
    path = tmp_path / "ledger.db"
    ledger = Ledger(path, Keep())
    ledger.offer(replace(call, request=replace(call.request, user="\x1b[2J\u202eevil\r\n")))
    assert ledger.flush(20)
    ledger.close(5)
    monkeypatch.setenv("OROBSERVE_LEDGER", str(path))
    text = report(capsys, "--by", "user")
    assert not {"\x1b", "\u202e", "\r"} & set(text)
    assert "evil" in text
