"""`orobserve doctor`: every fact with its source, what is wrong first and with its fix, and no secret anywhere."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
from email.utils import formatdate
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest

import orobserve
from orobserve import _guard, _runtime
from orobserve._guard import guard
from orobserve.capture import _patches
from orobserve.cli import examination
from orobserve.cli.main import main
from orobserve.delivery.destination import Destination
from orobserve.delivery.hub import Hub
from orobserve.receivers import Receivers
from orobserve_exporters.console import Console
from tests.ledger import records
from tests.support.intake import Answer, Intake
from tests.telemetry.calls import record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Telemetry

CANARY = "canary-0123456789"


@pytest.fixture
def intake() -> Iterator[Intake]:
    with Intake() as server:
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where no other settings are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OROBSERVE_ENRICHMENT", raising=False)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], status: int = 0) -> dict[str, Any]:
    """Return what the command says in JSON."""
    assert main(["doctor", "--json"]) == status
    out, err = capsys.readouterr()
    assert CANARY not in out + err
    report: dict[str, Any] = json.loads(out)
    return report


def row(report: dict[str, Any], name: str) -> tuple[Any, str]:
    """Return a setting's value and its source."""
    (found,) = [row for row in report["settings"] if row["name"] == name]
    return found["value"], found["source"]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_plain_machine(capsys: pytest.CaptureFixture[str]) -> None:
    report = told(capsys)
    assert report["versions"]["orobserve"] == metadata.version("orobserve")
    assert report["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert report["versions"]["httpx"] == metadata.version("httpx")
    assert {"openai", "anthropic", "openrouter", "httpx2", "langchain-openrouter"} <= report["versions"].keys()
    methods = {hook["method"]: hook["hooked"] for hook in report["hooks"]}
    assert methods.items() >= {("httpx.Client.send", False), ("httpx2.AsyncClient.send", False)}
    assert (report["telemetry"]["traces"], report["destinations"]) == (None, [])
    assert {item["source"] for item in report["settings"]} == {"default"}
    (problem,) = report["problems"]
    assert problem["is_warning"]
    assert "nothing is set up" in problem["what"]


def test_sources(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "orobserve.toml").write_text('hosts = ["gw.corp"]\nmetric_limit = 7\nsemconv = "next"\n')
    monkeypatch.setenv("OROBSERVE_METRIC_LIMIT", "8")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    report = told(capsys)
    assert row(report, "hosts") == (["gw.corp"], "file (orobserve.toml, line 1)")
    assert row(report, "semconv") == ("next", "file (orobserve.toml, line 3)")
    assert row(report, "metric_limit") == (8, "environment (OROBSERVE_METRIC_LIMIT)")
    variable = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    assert row(report, "content") == ("span_only", f"environment ({variable})")
    assert row(report, "metadata_limit") == (24, "default")
    assert report["telemetry"]["variables"] == {variable: "SPAN_ONLY"}


def test_inside_a_program(telemetry: Telemetry, capsys: pytest.CaptureFixture[str]) -> None:
    def mask(content: Any) -> Any:
        return content

    telemetry.instrument(mask=mask, api_key_labels={"a" * 64: f"sk-or-v1-{CANARY}"}, metadata_limit=3)
    report = told(capsys)
    assert row(report, "metadata_limit") == (3, "argument")
    assert row(report, "mask")[0].endswith("mask")
    assert "REDACTED" in json.dumps(row(report, "api_key_labels")[0])
    assert all(hook["hooked"] for hook in report["hooks"])


def test_destinations_are_asked(
    folder: Path, intake: Intake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = free_port()
    (folder / "orobserve.toml").write_text(
        f'[[destinations]]\ntype = "webhook"\nname = "good"\n[destinations.config]\nurl = "{intake.url}"\n'
        f'headers = {{ Authorization = "Bearer {CANARY}" }}\n'
        f'[[destinations]]\ntype = "webhook"\nname = "bad"\n[destinations.config]\nurl = "http://127.0.0.1:{bad}"\n'
        '[[destinations]]\ntype = "webhook"\nname = "off"\nenabled = false\n'
        f'[[destinations]]\ntype = "langsmith"\n[destinations.config]\nendpoint = "{intake.url}"\n'
    )
    monkeypatch.setenv("LANGSMITH_API_KEY", CANARY)
    report = told(capsys, status=1)
    rows = {row["name"]: row for row in report["destinations"]}
    assert {name: row["ok"] for name, row in rows.items()} == {"good": True, "bad": False, "langsmith": True}
    assert rows["good"]["config"]["headers"] == {"value": "(hidden)", "source": "given"}
    assert rows["good"]["config"]["url"] == {"value": intake.url, "source": "given"}
    assert rows["good"]["config"]["method"] == {"value": "POST", "source": "default"}
    assert rows["langsmith"]["config"]["api_key"] == {"value": "(hidden)", "source": "environment (LANGSMITH_API_KEY)"}
    (problem,) = report["problems"]
    assert problem["what"].startswith("destination bad: the connection is refused")
    assert "orobserve test bad" in problem["fix"]
    assert row(report, "destinations")[0] == ["good", "bad", "off", "langsmith"]
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("error    destination bad: the connection is refused")
    assert out.splitlines()[1].strip().startswith("Fix: ")
    assert f"good.url={intake.url}, given\n" in out
    assert CANARY not in out


def test_a_wrong_clock_is_a_warning(folder: Path, intake: Intake, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "orobserve.toml").write_text(
        f'[[destinations]]\ntype = "webhook"\n[destinations.config]\nurl = "{intake.url}"\n'
    )
    for seconds, warned in ((1, False), (90, True)):
        intake.answer = Answer(headers={"Date": formatdate(time.time() - seconds, usegmt=True)})
        report = told(capsys)
        assert [problem["is_warning"] for problem in report["problems"]] == [True] * warned
        assert ("ahead of that of webhook" in json.dumps(report["problems"])) is warned
        assert main(["doctor"]) == 0
        assert ("no problems found\n" in capsys.readouterr().out) is not warned


@pytest.mark.parametrize(
    ("variables", "said", "is_warning"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:{free}"}, "nobody answers at OTEL_EXPORTER", False),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:{grpc}"}, "is the port of gRPC", True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://{host}", "OTEL_EXPORTER_OTLP_PROTOCOL": "xml"}, "'xml'", False),
        ({"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED is true", True),
        ({"OROBSERVE_CONTNT": "true"}, "OROBSERVE_CONTNT", False),
        ({"OROBSERVE_DESTINATIONS": "langsmith"}, "LANGSMITH_API_KEY", False),
        ({"OROBSERVE_CONFIG": "none.toml"}, "none.toml", False),
    ],
)
def test_problems(
    variables: dict[str, str],
    said: str,
    is_warning: bool,
    intake: Intake,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = int(intake.url.rpartition(":")[2])
    monkeypatch.setattr(examination, "_GRPC_PORT", port)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(free=free_port(), grpc=port, host="127.0.0.1"))
    monkeypatch.delenv("LANGSMITH_API_KEY", raising=False)
    found = told(capsys, status=0 if is_warning else 1)["problems"]
    (problem,) = [problem for problem in found if said in problem["what"] + problem["fix"]]
    assert problem["is_warning"] is is_warning
    assert problem["fix"]
    assert [item["is_warning"] for item in found] == sorted(item["is_warning"] for item in found)


def test_where_telemetry_goes(
    intake: Intake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], telemetry: Telemetry
) -> None:
    from opentelemetry import trace

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", intake.url.replace("//", f"//user:{CANARY}@"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization={CANARY}")
    told_of = told(capsys)["telemetry"]
    assert told_of["traces"] == f"OTLP to {intake.url.replace('//', '//(hidden)@')}"
    assert told_of["variables"]["OTEL_EXPORTER_OTLP_HEADERS"] == "(hidden)"
    trace.set_tracer_provider(telemetry.tracer_provider)
    assert told(capsys)["telemetry"]["traces"] == "opentelemetry.sdk.trace.TracerProvider"


@pytest.mark.swallows
def test_what_this_process_has_swallowed(capsys: pytest.CaptureFixture[str]) -> None:
    with guard:
        raise ZeroDivisionError(CANARY)
    report = told(capsys, status=1)
    ((cause, times),) = report["process"]["swallowed"].items()
    assert ("ZeroDivisionError" in cause, times) == (True, 1)
    assert main(["doctor"]) == 1
    assert "errors of orobserve: 1" in capsys.readouterr().out
    _guard.reset()


def test_what_this_process_has_lost(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    destination = Destination("audit", Console({"stream": "stderr"}), lambda generation: generation)
    hub = Hub([destination])
    hub.close(0.0)
    hub.offer(record())
    _runtime._state["receivers"] = Receivers(hub=hub)
    report = told(capsys, status=1)
    (state,) = report["process"]["destinations"]
    assert (state["name"], state["queued"], state["delivered"], state["dropped"]) == ("audit", 0, 0, {"shutdown": 1})
    assert "destination audit: 1 generations were lost" in report["problems"][0]["what"]
    assert main(["doctor"]) == 1
    assert "name audit, type console, queued 0" in capsys.readouterr().out


def test_a_library_that_is_another_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    gone = _patches.Point("http.client", "HTTPConnection", "fetch", "http_client", "replace_request")
    monkeypatch.setattr(_patches, "unfit", {gone})
    problem = told(capsys, status=1)["problems"][0]
    assert "calls of http are not seen: this version has no http.client.HTTPConnection.fetch" in problem["what"]


class Terminal(io.StringIO):
    """Standard output of somebody who looks."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_colour", "expected"), [(None, True), ("1", False), ("", False)])
def test_colours(no_colour: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_colour is not None:
        monkeypatch.setenv("NO_COLOR", no_colour)
    assert main(["doctor"]) == 0
    assert ("\x1b[" in sys.stdout.getvalue()) is expected  # type: ignore[attr-defined]


def test_no_colours_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "\x1b[" not in out
    for title in ("Installed", "Hooks", "OpenTelemetry", "Destinations", "This process", "Settings"):
        assert f"\n{title}\n" in out


def test_as_a_command(folder: Path, intake: Intake) -> None:
    (folder / "orobserve.toml").write_text(
        f'[[destinations]]\ntype = "webhook"\n[destinations.config]\nurl = "{intake.url}"\n'
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OROBSERVE_"))}
    command = [sys.executable, "-m", "orobserve", "doctor", "--json"]
    done = subprocess.run(command, env=kept, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert [row["ok"] for row in report["destinations"]] == [True]
    assert report["problems"] == []
    assert report["versions"]["orobserve"] == orobserve.__version__


def test_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it is and what is in it; who else can read it, what was set aside, what a destination has refused."""
    path = tmp_path / "ledger.db"
    monkeypatch.setenv("OROBSERVE_LEDGER", str(path))
    main(["doctor"])
    assert f"{path}: no file yet; written always" in capsys.readouterr().out
    records.stored(path, [records.call(number) for number in range(3)])
    path.chmod(0o644)
    (tmp_path / "ledger.db.damaged-20261126T000000-1").touch()
    main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["ledger"]["calls"] == 3
    told = " ".join(problem["what"] for problem in report["problems"])
    assert "others can read the ledger" in told
    assert "damaged-20261126T000000-1" in told
