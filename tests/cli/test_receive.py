"""`orobserve receive`: the command from its first line to its orderly end, and what it refuses to start with."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from orobserve.cli.main import main
from orobserve.ledger.query import Reader
from tests.delivery.servers import CERTIFICATE, Answer, Server
from tests.proxy.served import JSON, broadcasts, request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "canary-token-0123456789"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where no other settings are, and no other ledger."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def configure(folder: Path, kind: str = "file", **config: str) -> None:
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in config.items())
    with (folder / "orobserve.toml").open("a") as file:
        file.write(f'[[destinations]]\ntype = "{kind}"\n[destinations.config]\n{lines}')


@contextlib.contextmanager
def receiving(folder: Path, *options: str, **environ: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command; yields the process and its first line."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OROBSERVE_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "orobserve", "receive", "--port", "0", *options],
        cwd=folder,
        env={**kept, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.wait(10)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def ended(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[str, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return out, err


def url_of(line: str) -> str:
    return str(json.loads(line)["url"])


def post(url: str, document: Any, **headers: str) -> httpx.Response:
    body = json.dumps(document).encode()
    return httpx.post(
        f"{url}/webhook", content=body, headers={"content-type": JSON, **headers}, trust_env=False, timeout=30
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_answered_200_is_delivered_before_the_end(number: int, folder: Path) -> None:
    with Server(503, 200) as server:
        configure(folder, "webhook", url=f"{server.url}/hook")
        configure(folder, "file", path="calls.jsonl")
        with receiving(folder, "--json", "--flush", "20") as (process, line):
            told = json.loads(line)
            assert [each["name"] for each in told["destinations"]] == ["webhook", "file"]
            assert told["webhook"] == f"{told['url']}/webhook"
            spans = [broadcasts(each, **{"gen_ai.prompt": "canary-prompt"}) for each in range(1, 251)]
            for start in range(0, 250, 50):
                assert post(told["url"], request(*spans[start : start + 50])).status_code == 200
            out, err = ended(process, number)
        sent = b"".join(taken.body for taken in server.requests[1:]).decode()
    stored = (folder / "calls.jsonl").read_text()
    for each in range(1, 251):
        assert f'"gen-{each}"' in stored
        assert f'"gen-{each}"' in sent
    assert json.loads(out)["ended"]["destinations"] == {
        "webhook": {"delivered": 250, "lost": 0, "due": 0},
        "file": {"delivered": 250, "lost": 0, "due": 0},
    }
    assert json.loads(out)["ended"]["ledger"] == {"delivered": 250, "lost": 0, "due": 0}
    with Reader(folder / "data" / "orobserve" / "ledger.db") as reader:
        assert {each.generation_id for each in reader.rows(limit=None)} == {f"gen-{each}" for each in range(1, 251)}
    log = [json.loads(each) for each in err.splitlines() if each.startswith("{")]
    assert [each["records"] for each in log] == [50] * 5
    assert "canary-prompt" not in err + out


def test_a_signal_between_requests(folder: Path) -> None:
    """Whatever the sender was doing just then: what it was told is taken has arrived."""
    configure(folder, path="calls.jsonl")
    taken: list[int] = []
    with receiving(folder, "--json", "--quiet") as (process, line):
        url, enough = url_of(line), threading.Event()

        def send() -> None:
            with httpx.Client(trust_env=False) as client, contextlib.suppress(httpx.TransportError):
                for number in range(1, 100_000):
                    answer = client.post(f"{url}/v1/traces", json=request(broadcasts(number)))
                    if answer.status_code == 200:
                        taken.append(number)
                    if number == 20:
                        enough.set()

        thread = threading.Thread(target=send)
        thread.start()
        assert enough.wait(20)
        ended(process)
        thread.join(20)
    stored = (folder / "calls.jsonl").read_text()
    assert len(taken) >= 20
    assert [number for number in taken if f'"gen-{number}"' not in stored] == []


@pytest.mark.parametrize("ledger", ["true", "false"])
def test_what_is_not_delivered_at_the_end_is_told(ledger: str, folder: Path) -> None:
    with Server(Answer(503)) as server:
        configure(folder, "webhook", url=server.url)
        with receiving(folder, "--flush", "0.2", "--quiet", OROBSERVE_LEDGER=ledger) as (process, line):
            assert post(line.split()[2], request(broadcasts(1))).status_code == 200
            _, err = ended(process)
    is_kept = ledger == "true"
    assert f"webhook: 0 delivered, {'0 lost, 1 still due' if is_kept else '1 lost'}" in err


def test_the_first_line_and_the_log(folder: Path) -> None:
    configure(folder, path="calls.jsonl")
    with receiving(folder, "--console") as (process, line):
        url = line.split()[2]
        assert line == (
            f"orobserve receive: {url} -> file, the ledger {folder}/data/orobserve/ledger.db. "
            f"OTLP: OTEL_EXPORTER_OTLP_ENDPOINT={url}. "
            f"Broadcast: a Webhook to {url}/webhook, or to what stands before it (--help says how).\n"
        )
        assert httpx.get(f"{url}/healthz", trust_env=False).json() == {"status": "ok"}
        post(url, request(broadcasts(1)))
        post(url, request(broadcasts(2), {"traceId": 5}))
        httpx.post(f"{url}/canary-path", trust_env=False)
        _, err = ended(process)
    calls = [said for said in err.splitlines() if said.startswith("openai/gpt-4o · ? tokens · ?")]
    lines = [said for said in err.splitlines() if said not in calls]
    assert len(calls) == 2
    assert lines[0].startswith("POST /webhook 200 ")
    assert lines[0].endswith(" ms, 1 span, 1 call")
    assert lines[1].endswith(" ms, 1 span, 1 call, 1 rejected: startTimeUnixNano is no time in nanoseconds since 1970")
    assert lines[2].startswith("POST (other) 404 ")
    assert "canary" not in err
    assert "\x1b" not in err + line
    assert lines[-1].endswith("Spans: 2 new. ledger: 2 delivered, 0 lost; file: 2 delivered, 0 lost")


def test_beyond_loopback_with_a_token(folder: Path) -> None:
    configure(folder, path="calls.jsonl")
    with receiving(folder, "--json", "--host", "0.0.0.0", OROBSERVE_RECEIVE_TOKEN=TOKEN) as (process, line):
        url = url_of(line).replace("0.0.0.0", "127.0.0.1")
        assert json.loads(line)["token"] is True
        assert post(url, request(broadcasts(1))).status_code == 401
        assert post(url, request(broadcasts(1)), authorization=f"Bearer {TOKEN}").status_code == 200
        out, err = ended(process)
    assert TOKEN not in line + out + err


def test_over_tls_with_a_token_from_a_file(folder: Path) -> None:
    configure(folder, path="calls.jsonl")
    (folder / "token").write_text(f"{TOKEN}\n")
    files = ("--tls-cert", str(CERTIFICATE), "--tls-key", str(CERTIFICATE), "--token-file", "token")
    with receiving(folder, "--json", *files) as (process, line):
        assert url_of(line).startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=str(CERTIFICATE))
        with httpx.Client(verify=trust, trust_env=False, headers={"authorization": f"Bearer {TOKEN}"}) as client:
            assert client.post(url_of(line), json=request(broadcasts(1))).status_code == 200
        ended(process)


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["receive", "--port", "0", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert TOKEN not in err
    return err


def test_without_destinations_and_ledger(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OROBSERVE_LEDGER", "false")
    said = refused(capsys)
    assert "OROBSERVE_DESTINATIONS" in said
    assert "--console" in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_beyond_loopback_without_a_token(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "OROBSERVE_RECEIVE_TOKEN" in refused(capsys, "--console", "--host", host)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--token-file", "missing"), "can be read"),
        (("--token-file", "empty"), "token_urlsafe"),
        (("--token-file", "spaces"), "token_urlsafe"),
        (("--tls-cert", "empty"), "both"),
        (("--tls-cert", "empty", "--tls-key", "empty"), "a certificate and its key"),
        (("--host", "nowhere.invalid", "--token-file", "token"), "an address of this machine"),
    ],
)
def test_settings_that_cannot_be_used(
    options: tuple[str, ...], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty").touch()
    (folder / "spaces").write_text(f"{TOKEN} {TOKEN}")
    (folder / "token").write_text(TOKEN)
    assert said in refused(capsys, "--console", *options)


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["receive", "--console", "--port", str(taken.getsockname()[1])]) == 2
    assert "in use" in capsys.readouterr().err


def test_without_the_server(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install 'orobserve[proxy]'" in refused(capsys, "--console")


def test_the_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["receive", "--help"])
    said = capsys.readouterr().out
    for word in ('{"Authorization": "Bearer <the token>"}', "/webhook", "curl -i http://127.0.0.1:4319/v1/traces"):
        assert word in said
    with pytest.raises(SystemExit):
        main(["receive", "--max-body", "none"])


def test_the_token_is_no_setting_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has it in its environment, and no use for it, is not refused."""
    from orobserve import config

    monkeypatch.setenv("OROBSERVE_RECEIVE_TOKEN", TOKEN)
    assert TOKEN not in repr(config.load({}))
