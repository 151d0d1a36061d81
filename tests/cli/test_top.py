"""`orobserve top` over real ledgers, and on a real (pseudo) terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.cli import top
from orobserve.cli.main import main
from orobserve.cli.top_frame import dollars
from orobserve.generation import Error, Outcome, Timing, Usage
from orobserve.ledger.flights import Flights
from tests.delivery.clocks import VirtualClock
from tests.ledger.records import DAY, SECOND, call, priced, stored
from tests.scripts.programs import program_env

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orobserve.generation import Generation

NOW = 1_795_000_000 * SECOND  # 2026-11-18 11:06:40 UTC, a Wednesday
HOSTILE = "\x1b[2J\u202eevil\r\n" + "x" * 500


def made(number: int, ago: float, cost: float | None, user: str = "ada", **changes: Any) -> Generation:
    at = NOW - round(ago * SECOND)
    asked = replace(call(number).request, user=user)
    return replace(
        priced(number, cost),
        timing=Timing(started_at=at, ended_at=at + 2 * SECOND),
        usage=Usage(input_tokens=100, output_tokens=30),
        request=asked,
        **changes,
    )


CALLS = [
    made(0, 10, 1.25, model="a/dear"),
    made(1, 100, 0.25, model="b/cheap", user="bob"),
    made(2, 200, None, model="b/cheap"),
    made(3, 20, None, model="b/cheap", outcome=Outcome.FAILED, error=Error(type="rate_limit_exceeded")),
    made(4, 1000, 2.0, model="c/earlier"),
    made(5, 20 * 3600, 4.0, model="a/dear"),  # yesterday
    made(6, 40 * 86_400, 8.0, model="a/dear"),  # another month
]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger.db"
    stored(path, CALLS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OROBSERVE_LEDGER", str(path))
    monkeypatch.setattr(time, "time_ns", lambda: NOW)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(["top", *arguments]) == status
    out, error = capsys.readouterr()
    return error if status else out


def test_one_frame(ledger: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setitem(sys.modules, "rich", None)  # not needed for it
    lines = run(capsys, "--once", "--budget", "5/day").splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24
    assert lines[0] == "orobserve top  2026-11-18 11:06:40 UTC  in flight 0"
    # 1.5 USD, 4 calls and 120 tokens in five minutes
    assert lines[1] == "now    $0.300 + ?/min  ($18.00/h)  0.8 calls/min  0.4 tok/s  1 error"
    assert lines[2] == "today  $3.50 + ? (5 calls, 1 unpriced)   month  $7.50 + ?"
    assert lines[3].startswith("$/min  ")
    assert lines[3].endswith("peak $2.00")
    assert "$3.50 + 1 ? of $5.00 (70%)" in lines[5]
    table = [" ".join(line.split()) for line in lines[7:11]]
    assert table == [
        "by model, last 5 min $/min share calls/min out tok/s errors today",
        "a/dear $0.250 83% 0.2 0.1 $1.25",
        "b/cheap $0.0500 17% 0.6 0.3 1 $0.250 + ?",
        "c/earlier $2.00",
    ]
    latest = lines[lines.index("latest calls") + 1 :]
    assert [line[:8] for line in latest[:2]] == ["11:06:30", "11:06:20"]
    assert "rate_limit_exceeded" in latest[1]
    assert " ? " in latest[1]


def test_json(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run(capsys, "--json", "--once", "--by", "user", "--budget", "1/hour"))
    assert found["window"] == {
        "calls": 4,
        "errors": 1,
        "unpriced": 1,
        "input_tokens": 400,
        "output_tokens": 120,
        "cost": 1.5,
    }
    assert [(each["name"], each["window"]["cost"], each["today"]["cost"]) for each in found["groups"]] == [
        ("ada", 1.25, 3.25),
        ("bob", 0.25, 0.25),
    ]
    assert found["budgets"] == [
        {"name": "$1 an hour", "period": "hour", "group": None, "amount": 1.0, "spent": 1.5, "unpriced": 1}
    ]
    assert (found["today"]["cost"], found["month"]["cost"]) == (3.5, 7.5)
    assert (len(found["minutes"]), sum(cost or 0 for cost in found["minutes"])) == (60, 3.5)
    assert found["latest"][0]["cost"] == 1.25


def test_bars_of_the_settings_show_the_dearest(
    ledger: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OROBSERVE_BUDGETS", '[{"amount": 2, "by": "user", "name": "each"}]')
    text = run(capsys, "--once")
    assert "ada: each" in text
    assert "of $2.00 (162%)" in text
    assert text.index("ada: each") < text.index("bob: each")


def test_calls_in_flight_of_another_process(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clock = VirtualClock()
    clock.seconds += (NOW - clock.epoch()) / SECOND
    flights = Flights(ledger, clock)
    flights.begin()
    flights.begin()
    clock.until_waiting()
    noted = threading.Event()
    clock.on_wait = noted.set  # the next wait begins when it is written
    clock.advance(1.0)
    assert noted.wait(10)
    try:
        assert "in flight 2" in run(capsys, "--once")
    finally:
        flights.close()
        assert flights._thread is not None
        flights._thread.join(10)


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (200, 60)])
def test_hostile_names_and_any_size(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hostile.db"
    stored(path, [made(each, each, 0.1, user=f"{HOSTILE}{each}", model=f"{each}{HOSTILE}") for each in range(40)])
    monkeypatch.setattr(time, "time_ns", lambda: NOW)
    for name, value in {"OROBSERVE_LEDGER": str(path), "COLUMNS": str(size[0]), "LINES": str(size[1])}.items():
        monkeypatch.setenv(name, value)
    text = run(capsys, "--once", "--by", "user", "--budget", ",".join(["1/day"] * 30))
    assert not {"\x1b", "\u202e", "\r"} & set(text)
    lines = text.splitlines()
    assert len(lines) <= size[1]
    assert max(map(len, lines)) <= size[0]
    assert any("evil" in line for line in lines)


def test_an_empty_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stored(tmp_path / "old.db", [made(0, 100 * DAY / SECOND, 1.0)])
    monkeypatch.setenv("OROBSERVE_LEDGER", str(tmp_path / "old.db"))
    text = run(capsys, "--once", "--budget", "1")
    assert "$0.00/min" in text
    assert "today  $0.00 (0 calls)" in text
    assert "$0.00 of $1.00 (0%)" in text


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(("--by", "colour"), "model, provider, key"), (("--interval", "0"), "above 0"), (("--budget", "lots"), "USD")],
)
def test_mistakes(ledger: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], word: str) -> None:
    error = run(capsys, *arguments, status=2)
    assert word in error
    assert "Fix:" in error


def test_without_a_ledger_or_rich(
    ledger: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top, "is_terminal", lambda _stream: True)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert "pip install 'orobserve[cli]'" in run(capsys, status=2)
    monkeypatch.setenv("OROBSERVE_LEDGER", str(ledger) + "-none")
    assert "orobserve run -- CMD" in run(capsys, "--once", status=2)


def test_amounts_at_a_glance() -> None:
    shown = {"0": "$0.00", "1234.567": "$1,234.57", "0.25": "$0.250", "0.05": "$0.0500", "0.000322875": "$0.000323"}
    assert {text: dollars(Decimal(text)) for text in shown} == shown
    assert dollars(None) == "?"


class Terminal:
    """The command on a terminal of 80x24."""

    def __init__(self, path: Path, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orobserve", "top", "--interval", "0.2", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=program_env({"OROBSERVE_LEDGER": str(path), "TERM": "xterm-256color"}),
            start_new_session=True,
        )
        self.text = ""

    def until(self, word: str) -> None:
        """Read until a text has been shown."""
        start, deadline = len(self.text), time.monotonic() + 30
        while word not in self.text[start:]:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{word!r} never came: {self.text[start:]!r}"
            self.text += os.read(self.master, 65_536).decode()

    def end(self) -> int:
        """Wait for its end, and return its exit status; the terminal must be as it was."""
        self.until("\x1b[?1049l")
        status = self.process.wait(30)
        assert termios.tcgetattr(self.slave) == self.before
        assert "Traceback" not in self.text
        assert self.text.rfind("\x1b[?25h") > self.text.rfind("\x1b[?25l")  # the cursor is there again
        return status

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    stored(tmp_path / "ledger.db", CALLS)
    made_ = Terminal(tmp_path / "ledger.db")
    yield made_
    made_.close()


def test_live_keys(terminal: Terminal) -> None:
    terminal.until("by model")
    assert "\x1b[?1049h" in terminal.text
    os.write(terminal.master, b"b")
    terminal.until("by provider")
    os.write(terminal.master, b"q")
    assert terminal.end() == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_signals_leave_the_screen_as_it_was(terminal: Terminal, number: signal.Signals, status: int) -> None:
    terminal.until("by model")
    terminal.process.send_signal(number)
    assert terminal.end() == status
