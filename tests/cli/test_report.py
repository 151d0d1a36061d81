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
from orobserve.generation import CacheInfo, Cost, Error, Usage
from orobserve.ledger.store import Keep
from orobserve.ledger.writer import Ledger
from tests.exporters.warehouse_calls import Expected, calls
from tests.ledger.records import exact, stored

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
    assert " ".join(lines[0].split()) == "key model calls errors tokens in out cost"  # and nothing that no call tells
    assert any(line.startswith("production") for line in lines)
    assert any("+ ?" in line for line in lines)  # the calls of unknown cost
    assert "whose cost is unknown (?)" in lines[-1]


def test_json_and_filters(expected: Expected, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(report(capsys, "--by", "day", "--key", "staging", "--tag", "team=growth", "--json"))
    (row,) = found["rows"]
    assert (row["calls"], row["errors"], row["cost"]) == (1, 1, None)
    assert found["total"]["unpriced"] == 0  # it failed


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger of calls that came out of caches, whole or in part."""
    now, path = time.time_ns(), tmp_path / "ledger.db"
    first = calls(now)[0]
    usage = Usage(input_tokens=123_456_789, output_tokens=12_345_678, cache_read_input_tokens=100_000_000)
    read = Cost(total=1234.5000000000002, cache_discount=0.12345678901234567)
    written = Cost(total=0.1, cache_discount=-0.0000012)
    monkeypatch.setenv("OROBSERVE_LEDGER", str(path))
    model = "a-vendor-with-a-name/and-a-model-with-a-name-that-is-longer"
    plain = {"model": "short", "cost": None, "usage": None}
    made: tuple[dict[str, Any], ...] = (
        {"model": model, "usage": usage, "cost": read},
        {"cost": written, "usage": replace(usage, reasoning_output_tokens=1_000_000)},
        {"cost": Cost(total=0.0), "cache": CacheInfo(status="hit")},
        {"model": "failed", "error": Error(type="429")},
    )
    stored(
        path, [replace(first, id=f"gen-{at}", span_id=f"{at:016x}", **plain | each) for at, each in enumerate(made, 1)]
    )


def test_caches(cached: None, capsys: pytest.CaptureFixture[str]) -> None:
    found = {row["model"]: row for row in rows(capsys)}
    short = found["short"]
    assert (short["response_cache_hits"], Decimal(short["cache_saving"])) == ("1", Decimal("-0.0000012"))
    as_json = json.loads(report(capsys, "--json"), parse_float=Decimal)
    assert as_json["total"]["cost"] == Decimal("1234.6000000000002")
    assert as_json["total"]["cache_saving"] == exact([0.12345678901234567, -0.0000012])
    assert as_json["rows"][0]["prompt_cache_rate"] == Decimal(repr(100_000_000 / 123_456_789))
    failed = found["failed"]
    assert (failed["cost"], failed["unpriced"], failed["cache_saving"], failed["prompt_cache_rate"]) == (
        "",
        "0",
        "",
        "",
    )


def test_a_terminal_of_100_columns(
    cached: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    lines = report(capsys, "--by", "day,model").splitlines()
    assert max(map(len, lines)) <= 100
    assert " ".join(lines[0].split()) == "day (UTC) model calls errors tokens in cached hits saved cost"
    assert "a-vend…-longer" in lines[1]
    assert lines[1].split()[-3:] == ["81%", "$0.1235", "$1234.5000000000002"]
    assert lines[2].split()[-4:] == ["81%", "1", "-$0.0000012", "$0.10"]
    assert lines[3].split()[-3:] == ["?", "?", "?"]


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
