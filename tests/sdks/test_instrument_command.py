"""`opentelemetry-instrument python app.py` traces an application that has never heard of orobserve."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.sdks.calls import MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from orobserve.testing import Simulator

APP = f"""
import sys, {{module}} as http
answer = http.post(
    sys.argv[1] + "/chat/completions",
    headers={{{{"authorization": "Bearer k"}}}},
    json={{{{"model": "{MODEL}", "messages": [{{{{"role": "user", "content": "hello"}}}}]}}}},
)
assert answer.status_code == 200
assert not any(name.partition(".")[0] == "orobserve" for name in vars())
"""


class Receiver(ThreadingHTTPServer):
    """Takes what is exported over OTLP/HTTP."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def metric_names(self) -> set[str]:
        return {
            metric.name
            for request in self.metrics
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


class _Take(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        kept, kind = (
            (self.server.traces, ExportTraceServiceRequest)
            if self.path == "/v1/traces"
            else (self.server.metrics, ExportMetricsServiceRequest)
        )
        kept.append(kind.FromString(body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("module", ["httpx", "httpx2"])
def test_no_line_of_code(module: str, sim: Simulator, receiver: Receiver, tmp_path: Path) -> None:
    found = {point.name: point.value for point in entry_points(group="opentelemetry_instrumentor")}
    assert found.get("openrouter") == "orobserve.instrumentor:OpenRouterInstrumentor", (
        "orobserve itself must be installed in this environment (tox does, or: pip install --no-deps -e .)"
    )
    command = shutil.which("opentelemetry-instrument", path=str(Path(sys.executable).parent))
    assert command, "the package opentelemetry-instrumentation is missing"
    app = tmp_path / "app.py"
    app.write_text(APP.format(module=module))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OROBSERVE_"))}
    endpoint = f"http://127.0.0.1:{receiver.server_port}"
    done = subprocess.run(
        [command, sys.executable, str(app), sim.url],
        env={**kept, "OROBSERVE_HOSTS": sim.url, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SERVICE_NAME": "shop"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (span,) = receiver.spans
    told = {item.key: item.value for item in span.attributes}
    assert span.name == f"chat {MODEL}"
    assert told["openrouter.cost.total"].double_value == float(sim.bill)
    names = [item.value.string_value for item in receiver.traces[0].resource_spans[0].resource.attributes]
    assert "shop" in names
    assert {"openrouter.client.cost", "gen_ai.client.operation.duration"} <= receiver.metric_names
