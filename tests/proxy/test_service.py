"""Probes, metrics, the access log, and the command from its help to SIGTERM."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orobserve.cli.main import main
from orobserve.proxy.access_log import AccessLog, Entry
from orobserve.testing import Scenario, Simulator
from tests.proxy.origin import connect, head, read, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.proxy.conftest import Running
    from tests.proxy.origin import Origin

ROOT = Path(__file__).parent.parent.parent
BODY = json.dumps({"model": "openai/gpt-4o", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
KEY = "Authorization: Bearer sk-or-v1-canary"
OUTCOME = re.compile(r'"openrouter\.stream\.outcome", ?"value": ?\{"stringValue": ?"(\w+)"')
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\S+Z POST /api/v1/chat/completions 200 \d+ B \d+\.\d ms gen-\S+\n")


def test_probes(origin: Origin, start: Callable[..., Running]) -> None:
    running = start(origin.url)
    assert json.loads(running.ask(request("GET", "/healthz"), "GET").body) == {"status": "ok"}
    assert json.loads(running.ask(request("GET", "/readyz"), "GET").body) == {"status": "ready"}
    running.proxy.app.draining = True
    answer = running.ask(request("GET", "/readyz"), "GET")
    assert (answer.status, json.loads(answer.body)) == (503, {"status": "draining"})
    assert running.ask(request("GET", "/healthz"), "GET").status == 200
    assert origin.requests == []


def test_metrics_for_prometheus(sim: Simulator, start: Callable[..., Running]) -> None:
    running = start(sim.root)
    running.ask(request(headers=[KEY], body=BODY))
    found = running.ask(request("GET", "/metrics"), "GET").body.decode()
    assert re.search(
        r'^openrouter_client_cost_USD_total\{.*gen_ai_request_model="openai/gpt-4o".*\} 0\.000\d+$', found, re.MULTILINE
    )
    assert "gen_ai_client_token_usage" in found
    assert "process_resident_memory_bytes" in found
    assert "canary" not in found
    accepts = "Accept: application/openmetrics-text;version=1.0.0"
    exposed = running.ask(request("GET", "/metrics", [accepts]), "GET").body.decode()
    assert exposed.endswith("# EOF\n"), "which can hold exemplars"


def test_a_line_per_call(sim: Simulator, start: Callable[..., Running]) -> None:
    running = start(sim.root)
    running.ask(request(headers=[KEY], body=BODY))
    running.ask(request("GET", "/healthz"), "GET")  # a probe is no call
    running.stop()
    assert LOG_LINE.fullmatch(running.log.getvalue()), running.log.getvalue()


def test_a_generation_id_cannot_forge_a_line(origin: Origin, start: Callable[..., Running]) -> None:
    origin.play([head(200, "X-Generation-Id: gen-1\tGET /forged 200\x85", "Content-Length: 0")])
    running = start(origin.url)
    running.ask(request("GET", "/x"), "GET")
    running.stop()
    assert running.log.getvalue().count(" ") == 8
    assert "gen-1?GET?/forged?200?" in running.log.getvalue()


def test_colours_only_where_they_are_welcome() -> None:
    for coloured in (True, False):
        stream = io.StringIO()
        AccessLog(as_json=False, stream=stream, coloured=coloured, now=lambda: 0.5).write(
            Entry("GET", "/x", 200, 3, 0.1)
        )
        status = "\x1b[32m200\x1b[0m" if coloured else "200"
        assert stream.getvalue() == f"1970-01-01T00:00:00.500Z GET /x {status} 3 B 100.0 ms\n"


# The command.


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["proxy", "--help"])
    out = capsys.readouterr().out
    for taught in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "X-Orobserve-User", "--allow-token-file", "/readyz"):
        assert taught in out
    assert "OROBSERVE_PROXY_MAX_BODY" in out


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--listen", "0.0.0.0:0"], {}, "OROBSERVE_PROXY_KEY"),
        (["--listen", "0.0.0.0:0"], {"OROBSERVE_PROXY_KEY": "sk-or-v1-canary"}, "allow-list of client tokens"),
        (["--listen", "[::]:0"], {"OROBSERVE_PROXY_KEY": "sk-or-v1-canary"}, "allow-list of client tokens"),
        ([], {"OROBSERVE_PROXY_TOKENS": "token-canary-0123456789"}, "OROBSERVE_PROXY_KEY"),
        (["--allow-token-file", "/nowhere"], {}, "a file that exists"),
        ([], {"OROBSERVE_PROXY_TOKENS": "canary"}, "16 characters"),
        (["--upstream", "ftp://x"], {}, "an http or https URL"),
        (["--upstream", "https://user:canary@x"], {}, "an http or https URL"),
        (["--listen", "4141"], {}, "HOST:PORT"),
        (["--tls-cert", __file__], {}, "certificate and key together"),
        ([], {"OROBSERVE_PROXY_LISTN": "canary"}, "did you mean OROBSERVE_PROXY_LISTEN?"),
        (["--max-body", "much"], {}, "a whole number"),
    ],
)
def test_what_is_not_safe_does_not_start(
    arguments: list[str],
    environment: dict[str, str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["proxy", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "canary" not in error.replace("user:canary", "")


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["proxy", "--listen", f"127.0.0.1:{taken.getsockname()[1]}"]) == 2
    assert "choose another port" in capsys.readouterr().err


def test_without_the_extra(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "orobserve.proxy.serve")
    monkeypatch.delattr("orobserve.proxy.serve")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["proxy"]) == 2
    assert "pip install 'orobserve[proxy]'" in capsys.readouterr().err


def test_the_other_commands_need_none_of_it() -> None:
    code = "import sys; import orobserve.cli.main; print(sorted({'uvicorn', 'starlette', 'h2'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "[]"


class Command:
    """The command in a process of its own."""

    def __init__(self, upstream: str, folder: Path, *arguments: str) -> None:
        self.records = folder / "records.jsonl"
        config = folder / "orobserve.toml"
        config.write_text(f'[[destinations]]\ntype = "file"\nconfig = {{ path = "{self.records}" }}\n')
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OROBSERVE_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orobserve", "proxy", "--listen", "127.0.0.1:0", "--upstream", upstream, *arguments],
            env={
                **clean,
                "OROBSERVE_ENRICHMENT": "never",
                "OROBSERVE_CONFIG": str(config),
                "PYTHONUNBUFFERED": "1",
            },
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.process.stderr.readline())
        assert found is not None
        self.port = int(found[1])

    def end(self) -> tuple[str, str]:
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=30)

    def outcomes(self) -> list[str]:
        if not self.records.exists():
            return []
        return OUTCOME.findall(self.records.read_text("utf-8"))


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    made: list[Command] = []

    def run(upstream: str, *arguments: str) -> Command:
        made.append(Command(upstream, tmp_path, *arguments))
        return made[-1]

    yield run
    for each in made:
        each.process.kill()
        each.process.communicate()


def streams(port: int, number: int) -> list[socket.socket]:
    """Open streams, each of which has begun."""
    found = [connect(port) for _ in range(number)]
    for sock in found:
        sock.sendall(request(headers=[KEY], body=BODY))
    for sock in found:
        assert sock.recv(1, socket.MSG_PEEK)
    return found


def test_sigterm_lets_the_calls_in_flight_end(command: Callable[..., Command]) -> None:
    with Simulator() as sim:
        sim.default = Scenario(chunks=20, chunk_delay=0.05)
        running = command(sim.root)
        opened = streams(running.port, 30)
        ending = threading.Thread(target=running.end)
        ending.start()
        answers = [read(sock) for sock in opened]
        ending.join()
        for sock in opened:
            sock.close()
    assert all(answer.whole and answer.body.endswith(b"data: [DONE]\n\n") for answer in answers)
    assert running.process.returncode == 0
    assert running.outcomes() == ["completed"] * 30
    with pytest.raises(ConnectionRefusedError):
        connect(running.port)


def test_what_does_not_end_in_time_is_ended(command: Callable[..., Command]) -> None:
    with Simulator() as sim:
        sim.default = Scenario(hold_after=2)
        running = command(sim.root, "--drain", "0.3", "--json")
        opened = streams(running.port, 10)
        out, err = running.end()
        answers = [read(sock) for sock in opened]
        for sock in opened:
            sock.close()
    assert not any(answer.whole for answer in answers)
    assert running.process.returncode == 0
    assert running.outcomes() == ["cancelled"] * 10
    assert [json.loads(line)["status"] for line in out.splitlines()] == [200] * 10
    assert "Traceback" not in err
    assert "canary" not in out + err


def test_a_second_signal_ends_it_at_once(command: Callable[..., Command]) -> None:
    with Simulator() as sim:
        sim.default = Scenario(hold_after=2)
        running = command(sim.root, "--drain", "60")
        opened = streams(running.port, 3)
        running.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(ConnectionError):  # as it is once it has heard the first
            while True:
                connect(running.port).close()
        running.end()
        for sock in opened:
            sock.close()
    assert running.process.returncode == 0
    assert running.outcomes() == ["cancelled"] * 3


def test_a_client_that_does_not_read_does_not_hold_up_the_end(command: Callable[..., Command], origin: Origin) -> None:
    def play(sock: socket.socket) -> None:
        sock.sendall(head(200, "Content-Type: text/event-stream"))
        while True:
            sock.sendall(b": comment\n\n" * 10_000)

    origin.play(play)
    running = command(origin.url, "--drain", "0.3")
    opened = streams(running.port, 1)
    running.end()
    opened[0].close()
    assert running.process.returncode == 0
    assert running.outcomes() == ["cancelled"]
