"""Servers of real products, started for the tests of one module.

They come from packages that only the environment `receivers` has.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.programs import Program, free_ports, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orobserve.delivery import HTTPRequest

_UP = "Uvicorn running on"


class Client(httpx.Client):
    """A client of one server, which takes requests as exporters make them."""

    def deliver(self, request: HTTPRequest) -> httpx.Response:
        """Send a request; the server must be the one that the exporter was made for."""
        assert request.url.startswith(str(self.base_url).rstrip("/"))
        return self.request(request.method, request.url, content=request.body, headers=dict(request.headers))

    def read(self, path: str, **sent: Any) -> Any:
        """Return the JSON of an answer; what is sent makes it a POST."""
        answer = self.post(path, json=sent) if sent else self.get(path)
        return answer.raise_for_status().json()


@contextmanager
def phoenix(folder: Path) -> Iterator[Client]:
    """Run Arize Phoenix."""
    port, grpc = free_ports(2)
    settings = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    with Program([program("phoenix") or "", "serve"], folder, settings, _UP), _client(port) as client:
        yield client


@contextmanager
def mlflow(folder: Path) -> Iterator[Client]:
    """Run the tracking server of MLflow."""
    (port,) = free_ports(1)
    command = [program("mlflow") or "", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--default-artifact-root",
        str(folder / "files"),
    ]
    with Program(command, folder, {"MLFLOW_DISABLE_TELEMETRY": "true"}, _UP), _client(port) as client:
        yield client


def _client(port: int) -> Client:
    return Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
