"""`orobserve demo`, as people and as machines read it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from orobserve.cli.main import main
from orobserve.testing import Simulator


def test_the_table_shows_every_call_and_the_total(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    for shown in ("chat, streamed", "cache hit", "rate_limit_exceeded", "provider_unavailable", "cancelled"):
        assert shown in out
    assert "14 calls, 2 errors, total spend $" in out
    assert "unknown" not in out  # OpenRouter's own records have told what the responses had not
    assert "\x1b[" not in out  # no colours where nobody looks


def test_json_agrees_with_itself_and_with_the_bill(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    costs = [call["cost"] for call in report["calls"] if call["cost"] is not None]
    assert report["total"] == pytest.approx(sum(costs), rel=1e-12)
    assert report["unpriced"] == 0
    assert report["total"] == pytest.approx(report["bill"], rel=1e-12)
    by_purpose = {call["shows"]: call for call in report["calls"]}
    assert by_purpose["response cache, again"]["cost"] == 0
    assert by_purpose["messages, streamed"]["cost"] > 0  # not in the response, but in the record
    assert {call["cost_source"] for call in report["calls"] if call["cost"]} == {"generation"}
    assert by_purpose["fallback model"]["model"] != by_purpose["chat"]["model"]
    assert by_purpose["chat, streamed"]["time_to_first_chunk"] > 0
    assert by_purpose["aborted stream"]["outcome"] == "cancelled"
    assert by_purpose["rate limit"]["error"] == "rate_limit_exceeded"
    assert all(call["generation_id"] for call in report["calls"])


def test_without_any_sdk_plain_httpx_makes_the_calls() -> None:
    code = (
        "import importlib.util as u, sys; found = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name in ('openai', 'anthropic') else found(name, *rest)\n"
        "from orobserve.cli.main import main; sys.exit(main(['demo', '--json']))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    calls = json.loads(run.stdout)["calls"]
    assert len(calls) == 14
    assert {call["client"] for call in calls} == {"httpx"}


def test_live_needs_a_key(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    assert main(["demo", "--live"]) == 2
    error = capsys.readouterr().err
    assert "OPENROUTER_API_KEY" in error
    assert "Fix: export OPENROUTER_API_KEY" in error


def test_live_makes_three_calls(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with Simulator() as simulator:
        monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-v1-live-canary")
        monkeypatch.setenv("OPENROUTER_BASE_URL", simulator.url)
        assert main(["demo", "--live", "--json"]) == 0
        out = capsys.readouterr().out
        report = json.loads(out)
        assert [call["shows"] for call in report["calls"]] == ["chat", "chat, streamed", "responses"]
        assert report["total"] == float(simulator.bill)
        assert "bill" not in report  # only OpenRouter knows it
        assert "canary" not in out


@pytest.mark.parametrize("arguments", [[], ["--help"], ["demo", "--help"]])
def test_help_teaches(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if arguments:
        with pytest.raises(SystemExit, match="0"):
            main(arguments)
    else:
        assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "usage: orobserve" in out
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in out


def test_an_unknown_command_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["demonstrate"])
    assert "demo" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m orobserve destinations list | head -1"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert run.stderr == ""
