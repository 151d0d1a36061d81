"""Runs small programs in a process of their own, and receives what they export over OTLP."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typing_extensions import Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

ROOT = Path(__file__).parent.parent.parent
_TIMEOUT = 60.0  # seconds


def program_env(env: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the settings of whoever runs the tests; look-ups are off unless asked for."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OROBSERVE_", "COV_CORE"))
    }
    return {**clean, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'exporters'}", "OROBSERVE_ENRICHMENT": "never", **env}


def run_program(
    source: str, *arguments: str, env: Mapping[str, str] | None = None, fails: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a program and return its result; its exit status must be as expected, and warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", dedent(source), *arguments],
        env=program_env(env or {}),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    assert (done.returncode != 0) is fails, done.stderr
    return done


class Receiver:
    """An OTLP/HTTP endpoint on the loopback interface."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        received = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def env(self) -> dict[str, str]:
        """What sends an application's telemetry here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}"}

    def of(self, path: str) -> list[bytes]:
        return [body for found, body in self.requests if found == path]

    @property
    def spans(self) -> list[Span]:
        """The spans that arrived."""
        parsed = [ExportTraceServiceRequest.FromString(body) for body in self.of("/v1/traces")]
        return [
            span
            for request in parsed
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def metric_names(self) -> set[str]:
        """The names of the metrics that arrived."""
        parsed = [ExportMetricsServiceRequest.FromString(body) for body in self.of("/v1/metrics")]
        return {
            metric.name
            for request in parsed
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


# A call that needs no network, for programs that import httpx themselves.
CALL = """
def transport(library):
    body = {"id": "gen-1", "model": "openai/gpt-4o", "usage": {"prompt_tokens": 3, "completion_tokens": 4, "cost": 0.5}}
    return library.MockTransport(lambda request: library.Response(200, json=body))

def call(library):
    with library.Client(transport=transport(library), verify=False) as client:
        question = {"model": "openai/gpt-4o", "messages": []}
        return client.post("https://openrouter.ai/api/v1/chat/completions", json=question)
"""
