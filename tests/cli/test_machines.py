"""What programs read of all commands: the same names, all digits, nothing that a spreadsheet computes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.generation import Cost, Request, Usage
from orobserve.telemetry.console import Console, money
from tests.cli.screens import Terminal, run
from tests.ledger.records import call, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMULA = '=HYPERLINK("http://evil.example")'
COST = 0.12345678901234567
TABLES = {
    "report": ("report", "--since", "all", "--by", "user"),
    "sessions": ("sessions",),
    "turns": ("sessions", FORMULA),
    "tail": ("tail", "--no-follow"),
    "top": ("top", "--once", "--by", "user"),
    "export": ("export", "--format", "csv"),
}


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "ledger.db"
    asked = Request(model=FORMULA, user=FORMULA, session_id=FORMULA)
    usage = Usage(input_tokens=100, output_tokens=10, cache_read_input_tokens=40)
    stored(
        made,
        [
            call(
                1,
                model=FORMULA,
                provider="@x",
                request=asked,
                usage=usage,
                cost=Cost(charged=COST, total=COST, source="response"),
            )
        ],
    )
    monkeypatch.setenv("OROBSERVE_LEDGER", str(made))
    monkeypatch.chdir(tmp_path)
    return made


def objects(found: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects in a JSON document."""
    if isinstance(found, dict):
        yield found
    for each in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from objects(each)


@pytest.mark.parametrize("name", [name for name in TABLES if name not in {"export", "top"}])
def test_json_has_the_same_names_and_all_digits(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run(capsys, *TABLES[name], "--json"), parse_float=Decimal)
    names = set().union(*objects(found))
    assert {"cost", "input_tokens", "output_tokens", "cache_read_tokens", "cache_saving"} <= names
    assert not names & {"id", "cache_rate", "cache_read_input_tokens", "provider_name"}
    assert {each["cost"] for each in objects(found) if "cost" in each} == {Decimal(repr(COST))}


def test_json_of_top_has_calls_as_all_commands_have_them(capsys: pytest.CaptureFixture[str]) -> None:
    (latest,) = json.loads(run(capsys, *TABLES["top"], "--json"), parse_float=Decimal)["latest"]
    (tail,) = (json.loads(line, parse_float=Decimal) for line in run(capsys, *TABLES["tail"], "--json").splitlines())
    assert {**latest, "update": False} == tail


@pytest.mark.parametrize("name", [name for name in TABLES if name != "top"])
def test_csv_is_no_formula_and_has_all_digits(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = () if name == "export" else ("--csv",)
    (row,) = csv.DictReader(io.StringIO(run(capsys, *TABLES[name], *options)))
    assert f"'{FORMULA}" in row.values()
    assert not [value for value in row.values() if value.startswith(("=", "@", "+"))]
    assert row["cost"] == repr(COST)


def test_csv_of_top_has_a_line_for_each_group(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, *TABLES["top"], "--csv") == "at,user\n"  # the call is years old
    assert run(capsys, "destinations", "status", "--csv") == "destination\n"
    assert run(capsys, "destinations", "dead", "--csv") == "destination\n"


def test_only_one_format(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(capsys, "report", "--json", "--csv")
    assert "not allowed with" in capsys.readouterr().err


def test_an_end_before_the_beginning_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--since 9d --until 2d" in run(capsys, "report", "--since", "2d", "--until", "9d", status=2)


def test_days_come_in_their_order(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costs = [Cost(total=cost, charged=cost, source="response") for cost in (1.0, 9.0, 2.0)]
    stored(path, [call(86_400 * (2 + day), cost=cost) for day, cost in enumerate(costs)])
    rows = json.loads(run(capsys, "report", "--by", "day", "--since", "all", "--json"))["rows"]
    assert [row["cost"] for row in rows] == [COST, 1.0, 9.0, 2.0]
    assert [row["day"] for row in rows] == sorted(row["day"] for row in rows)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("arguments", [("report", "--since", "all"), ("export",), ("export", "-o", "/dev/full")])
def test_a_full_disk_is_told_in_a_line(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "orobserve", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr.splitlines()) == (1, ["orobserve: [Errno 28] No space left on device"])


def test_less_than_nothing_has_its_sign_first() -> None:
    assert [money(Decimal("-0.0021")), money(-3.0), money(None)] == ["-$0.0021", "-$3.00", "?"]


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_the_line_of_a_call_has_colour_only_where_it_is_welcome(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    Console(out)(call(1))
    assert out.getvalue().startswith("\x1b[")
    monkeypatch.setenv(variable, value)
    plain = Terminal()
    Console(plain)(call(1, model="m" * 10_000_000))
    assert "\x1b" not in plain.getvalue()
    assert len(plain.getvalue()) < 400
