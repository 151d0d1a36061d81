"""What we send, taken by a real OTLP receiver (rotel, written in Rust by others), and what it says it has got."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import signal
import socket
import subprocess
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from orobserve.delivery import Verdict
from orobserve.delivery.exporter import HTTPResponse
from orobserve_exporters.otel_collector import OTelCollector
from tests.exporters.generations import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve_exporters._otlp import OTLPExporter

_rotel = importlib.util.find_spec("rotel")
pytestmark = pytest.mark.skipif(_rotel is None, reason="rotel is not installed")
START_SECONDS = 60


class Agent:
    """A rotel agent that prints all it receives."""

    def __init__(self, port: int, process: subprocess.Popen[str]) -> None:
        self.port = port
        self._process = process
        self._lines: list[str] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()

    def wait_for(self, text: str, start: int = 0) -> list[str]:
        """Return the lines since `start`, as soon as one of them has the text."""
        with self._changed:
            found = self._changed.wait_for(lambda: any(text in line for line in self._lines[start:]), START_SECONDS)
            assert found, f"rotel never said {text!r}: " + "\n".join(self._lines[start:])
            return self._lines[start:]

    @property
    def said(self) -> int:
        """How many lines it has printed."""
        return len(self._lines)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in sockets]


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    assert _rotel is not None
    assert _rotel.origin
    http, grpc = _free_ports(2)
    command = [str(Path(_rotel.origin).parent / "rotel-agent"), "start"]
    command += ["--otlp-http-endpoint", f"127.0.0.1:{http}", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"]
    command += ["--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={"NO_COLOR": "1"}
    )
    with process:
        started = Agent(http, process)
        started.wait_for("Starting Rotel")
        yield started
        process.send_signal(signal.SIGTERM)
        process.wait(START_SECONDS)


class JSONCollector(OTelCollector):
    JSON = True


def _post(exporter: OTLPExporter, body: bytes, headers: dict[str, str]) -> HTTPResponse:
    transport = httpx.HTTPTransport(retries=20)  # the agent says that it starts before it listens
    with httpx.Client(transport=transport, trust_env=False) as client:
        answer = client.post(exporter.url(), content=body, headers=headers)
    return HTTPResponse(status=answer.status_code, headers=dict(answer.headers), body=answer.content)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("kind", [OTelCollector, JSONCollector], ids=["protobuf", "json"])
def test_every_span_arrives_as_it_was_sent(agent: Agent, kind: type[OTelCollector], compressed: bool) -> None:
    service = f"{kind.__name__}-{compressed}"
    exporter = kind({"endpoint": f"http://127.0.0.1:{agent.port}", "service_name": service})
    samples = [sample for name, sample in SAMPLES.items() if name != "huge"]
    samples.append(replace(SAMPLES["private"], tags={"last": service}))
    request, before = exporter.encode(samples), agent.said
    headers = {**request.headers, **({"Content-Encoding": "gzip"} if compressed else {})}
    response = _post(exporter, gzip.compress(request.body) if compressed else request.body, headers)
    assert exporter.judge(response).verdict is Verdict.DELIVERED
    assert exporter.judge(response).rejected == 0
    text = "\n".join(agent.wait_for(f"trace.metadata.last: Str({service})", before))
    assert f"service.name: Str({service})" in text
    spans = [span for sample in samples for span in exporter.spans(sample)]
    assert re.findall(r"^    ID             : (\w+)$", text, re.MULTILINE) == [span.span_id for span in spans]
    assert re.findall(r"^Start time: (\d+)$", text, re.MULTILINE) == [str(span.start) for span in spans]
    for said in (
        "gen_ai.usage.cost: Double(0.0042)",
        "gen_ai.usage.input_tokens: Int(1000)",
        "openrouter.cost.total: Double(0)",
        "user.id: Str(Ünï 👩‍👩‍👧)",
        "gen_ai.request.stream: Bool(true)",
        "Status code    : STATUS_CODE_ERROR",
        "Status message : Rate limit exceeded",
        "Name: exception",
        "Kind           : SPAN_KIND_CLIENT",
    ):
        assert said in text, said


@pytest.mark.parametrize("kind", [OTelCollector, JSONCollector], ids=["protobuf", "json"])
def test_the_probe_passes(agent: Agent, kind: type[OTelCollector]) -> None:
    exporter = kind({"endpoint": f"http://127.0.0.1:{agent.port}/v1/traces", "service_name": None})
    probe = exporter.probe()
    assert exporter.judge_probe(_post(exporter, probe.body, dict(probe.headers))).verdict is Verdict.DELIVERED


def test_the_receiver_is_strict(agent: Agent) -> None:
    """Otherwise its consent would prove nothing."""
    exporter = JSONCollector({"endpoint": f"http://127.0.0.1:{agent.port}", "service_name": None})
    request = json.loads(exporter.encode([SAMPLES["chat"]]).body)
    request["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["kind"] = "SPAN_KIND_CLIENT"
    response = _post(exporter, json.dumps(request).encode(), {"Content-Type": "application/json"})
    assert exporter.judge(response).verdict is Verdict.REJECTED
