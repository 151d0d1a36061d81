"""`orobserve test DEST`: what is wrong with a destination, and one generation that nobody takes for a real one."""

from __future__ import annotations

import json
import re
import socket
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.cli.main import main
from tests.support.intake import Answer, Intake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CANARY = "canary-0123456789"


@pytest.fixture
def intake() -> Iterator[Intake]:
    with Intake() as server:
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where no other settings are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LANGSMITH_API_KEY", raising=False)
    return tmp_path


def configure(folder: Path, url: str, *, kind: str = "webhook", name: str = "audit", more: str = "") -> None:
    """Add a destination to orobserve.toml."""
    with (folder / "orobserve.toml").open("a") as file:
        file.write(f'[[destinations]]\ntype = "{kind}"\nname = "{name}"\n{more}\n')
        file.write(f'[destinations.config]\nurl = "{url}"\nheaders = {{ X-Token = "{CANARY}" }}\n')


def told(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, Any]:
    """Return what the command says in JSON."""
    assert main(["test", *arguments, "--json"]) == status
    out, err = capsys.readouterr()
    assert CANARY not in out + err
    report: dict[str, Any] = json.loads(out)
    return report


@pytest.mark.parametrize("wanted", ["audit", "webhook"], ids=["by name", "by type"])
def test_a_connection_that_works(wanted: str, intake: Intake, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(folder, intake.url)
    report = told(capsys, wanted)
    assert (report["name"], report["type"], report["title"]) == ("audit", "webhook", "Webhook")
    assert report["ok"]
    assert report["reason"] is None
    assert report["seconds"] >= 0
    assert abs(report["clock_skew"]) < 5
    assert report["config"]["headers"]["value"] == "(hidden)"
    assert "trace" not in report
    (taken,) = intake.taken
    assert taken.headers["x-test-connection"] == "true"
    assert taken.headers["x-token"] == CANARY
    assert main(["test", wanted]) == 0
    assert re.fullmatch(r"audit \(webhook\): connection ok after \d\.\d\d s\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "the credentials are refused"), (403, "lack the permission"), (404, "check the URL"), (500, "HTTP 500")],
)
def test_what_the_server_refuses(
    status: int, said: str, intake: Intake, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(folder, intake.url)
    intake.answer = Answer(status=status, body=CANARY.encode())
    report = told(capsys, "audit", "--send-trace", status=1)
    assert said in report["reason"]
    assert "trace" not in report  # nothing is sent where it cannot arrive
    assert len(intake.taken) == 1
    assert main(["test", "audit"]) == 1
    out = capsys.readouterr().out
    assert "connection failed" in out
    assert said in out


def test_nobody_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        configure(folder, f"http://127.0.0.1:{free.getsockname()[1]}")
        assert "refused" in told(capsys, "audit", status=1)["reason"]


def test_no_tls_where_tls_was_expected(intake: Intake, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(folder, intake.url.replace("http:", "https:"))
    assert "TLS" in told(capsys, "audit", status=1)["reason"]


def test_the_test_generation(intake: Intake, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = '{field = "model", operator = "equals", value = "m"}'
    never = f"sampling_rate = 0.0001\nfilter_rules = {{groups = [{{rules = [{rule}]}}]}}"
    configure(folder, intake.url, more=never)
    sent = told(capsys, "audit", "--send-trace")["trace"]
    assert sent["ok"]
    _, taken = intake.taken
    (span,) = json.loads(taken.body)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (span["traceId"], span["spanId"]) == (sent["trace_id"], sent["span_id"])
    assert sent["trace_id"] in sent["where"]
    assert "Webhook" in sent["where"]
    text = json.dumps(span)
    assert "orobserve-test" in text
    assert "This is a test of orobserve." in text
    assert "cost" not in text  # unknown, not 0
    assert main(["test", "audit", "--send-trace"]) == 0
    assert "test generation delivered; look in Webhook: the trace " in capsys.readouterr().out


def test_the_test_generation_obeys_privacy(intake: Intake, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(folder, intake.url, more="privacy_mode = true")
    assert told(capsys, "audit", "--send-trace")["trace"]["ok"]
    assert "This is a test" not in intake.taken[-1].body.decode()


def test_a_test_generation_that_is_refused(intake: Intake, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(folder, intake.url)
    intake.answer = Answer(status=400)  # which is how a webhook may answer an empty export, but not a full one
    sent = told(capsys, "audit", "--send-trace", status=1)["trace"]
    assert not sent["ok"]
    assert "HTTP 400" in sent["reason"]
    assert main(["test", "audit", "--send-trace"]) == 1
    assert "test generation not delivered" in capsys.readouterr().out


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_wrong_clock(seconds: int, intake: Intake, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(folder, intake.url)
    intake.answer = Answer(headers={"Date": formatdate(time.time() - seconds, usegmt=True)})
    assert told(capsys, "audit")["clock_skew"] == pytest.approx(seconds, abs=5)
    assert main(["test", "audit"]) == 0
    side = "ahead of" if seconds > 0 else "behind"
    assert re.search(rf"clock is 3[56]\d\d s {side} that of audit", capsys.readouterr().out)


def test_a_type_from_the_environment_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = told(capsys, "console", "--send-trace")
    assert report["ok"]
    assert report["clock_skew"] is None  # nobody told the time


def test_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "calls.jsonl"
    (folder / "orobserve.toml").write_text(f'[[destinations]]\ntype = "file"\n[destinations.config]\npath = "{path}"\n')
    assert told(capsys, "file", "--send-trace")["trace"]["ok"]
    assert "orobserve-test" in path.read_text()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("langsmit", "langsmith"),
        ("langsmith", "LANGSMITH_API_KEY"),
        ("webhook", "several are of this type"),
        ("off", "enabled = true"),
    ],
)
def test_wrong_use(wanted: str, said: str, intake: Intake, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(folder, intake.url, name="one")
    configure(folder, intake.url, name="two")
    configure(folder, intake.url, name="off", more="enabled = false")
    assert main(["test", wanted]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Fix: " in err
    assert intake.taken == []
