"""The line per call and the hint: only where nobody has set up anything, and a person is looking."""

from __future__ import annotations

import io
import os
import re
import select
from contextlib import contextmanager, redirect_stderr
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

import orobserve
from orobserve import _runtime
from orobserve.generation import CacheInfo, Cost, Error, Outcome, Timing, Usage
from orobserve.telemetry.console import HINT, Console, line, money
from tests.telemetry.calls import STARTED, call, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Telemetry

PAID = Cost(charged=0.25, total=0.25)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "openai/gpt-4o · ? tokens · ? · 1.00 s"),
        ({"model": "served", "provider": "OpenAI"}, "served · via OpenAI · ? tokens · ? · 1.00 s"),
        (
            {"usage": Usage(input_tokens=1500, output_tokens=20, cache_read_input_tokens=1200), "cost": PAID},
            "openai/gpt-4o · 1500 (1200 cached) → 20 tokens · $0.25 · 1.00 s",
        ),
        ({"usage": Usage(output_tokens=20)}, "openai/gpt-4o · ? → 20 tokens · ? · 1.00 s"),
        (
            {"timing": Timing(started_at=STARTED, ended_at=STARTED + 10**9, first_chunk_at=STARTED + 250_000_000)},
            "openai/gpt-4o · ? tokens · ? · 1.00 s · first chunk 0.25 s",
        ),
        (
            {
                "timing": Timing(started_at=STARTED, ended_at=STARTED + 10**9, first_chunk_at=STARTED + 500_000_000),
                "usage": Usage(input_tokens=5, output_tokens=20),
            },
            "openai/gpt-4o · 5 → 20 tokens · ? · 1.00 s · first chunk 0.50 s · 40 tok/s",
        ),
        ({"provider": "\x1b[2J\u202e\n"}, "openai/gpt-4o · via \ufffd[2J\ufffd\ufffd · ? tokens · ? · 1.00 s"),
        ({"cache": CacheInfo(status="hit")}, "openai/gpt-4o · ? tokens · ? · 1.00 s · cache hit"),
        ({"error": Error(type="rate_limit_exceeded")}, "openai/gpt-4o · ? tokens · ? · 1.00 s · rate_limit_exceeded"),
        ({"outcome": Outcome.CANCELLED}, "openai/gpt-4o · ? tokens · ? · 1.00 s · cancelled"),
    ],
)
def test_the_line(fields: dict[str, Any], expected: str) -> None:
    assert line(record(**fields)) == expected


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (None, "?"),
        (0.0, "$0.00"),
        (0.25, "$0.25"),
        (1.5, "$1.50"),
        (12.0, "$12.00"),
        (0.000123, "$0.000123"),
        (2e-7, "$0.0000002"),
        (1234.5, "$1234.50"),
    ],
)
def test_money_shows_all_that_matters(total: float | None, expected: str) -> None:
    assert money(total) == expected


def test_colour_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.StringIO()
    Console(plain)(record())
    assert "\x1b" not in plain.getvalue()
    monkeypatch.setattr("orobserve.telemetry.console.is_terminal", lambda _: True)
    coloured = io.StringIO()
    Console(coloured)(record(error=Error(type="x")))
    assert re.fullmatch(r"\x1b\[31m.*x\x1b\[0m\n", coloured.getvalue())


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    assert _runtime._handouts.drain(5.0)
    assert _runtime._worker.flush(5.0)
    return capsys.readouterr().err


def test_asked_for(telemetry: Telemetry, capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.instrument(console=True)
    telemetry.instrument(console=True)
    call()
    assert shown(capsys).startswith("openai/gpt-4o-2024-11-20 · via OpenAI · 10 → 4 tokens · $0.25 · ")
    telemetry.instrument()
    call()
    orobserve.uninstrument()
    assert shown(capsys) == ""


@pytest.mark.parametrize("variable", ["true", "false", "auto"])
def test_by_the_environment(variable: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OROBSERVE_CONSOLE", variable)
    orobserve.instrument()
    call()
    assert (shown(capsys).count("\n")) == (variable == "true")  # no terminal here


@contextmanager
def terminal() -> Iterator[int]:
    """Put a pseudo-terminal in the place of standard error; yields the end that a person looks at."""
    pty = pytest.importorskip("pty")
    screen, inner = pty.openpty()
    with os.fdopen(inner, "w", encoding="utf-8") as stream, redirect_stderr(stream):
        yield screen
    os.close(screen)


def on(screen: int) -> str:
    assert _runtime._handouts.drain(5.0)
    assert _runtime._worker.flush(5.0)
    found = b""
    while select.select([screen], [], [], 0)[0]:
        found += os.read(screen, 65536)
    return found.decode().replace("\r\n", "\n")


def test_on_a_terminal_without_any_set_up() -> None:
    with terminal() as screen:
        orobserve.instrument()
        assert on(screen) == HINT + "\n"
        call()
        assert on(screen).count("10 → 4 tokens") == 1
        orobserve.instrument()
        assert on(screen) == "", "one hint is enough"


@pytest.mark.parametrize("how", ["argument", "global", "endpoint", "console"])
def test_on_a_terminal_with_something_set_up(how: str, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "global":
        trace.set_tracer_provider(telemetry.tracer_provider)
    if how == "endpoint":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    settings = {"argument": {"tracer_provider": telemetry.tracer_provider}, "console": {"console": False}}
    with terminal() as screen:
        orobserve.instrument(**settings.get(how, {}))
        if how != "endpoint":
            call()
        assert on(screen) == ""


def test_a_provider_that_comes_later_ends_the_lines(telemetry: Telemetry) -> None:
    with terminal() as screen:
        orobserve.instrument()
        trace.set_tracer_provider(telemetry.tracer_provider)
        call()
        assert on(screen) == HINT + "\n"
    assert len(telemetry.spans) == 1
