"""Servers of real products, started for the tests of one module on a free port, with their data in a fresh folder.

They come from packages that only the environment `receivers` has.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orobserve.delivery import HTTPRequest

_START = 120  # seconds in which a server must be up
_STOP = 10
_UP = "Uvicorn running on"
_PLACES = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))


def program(name: str) -> str | None:
    """Return the path of a program of this environment, or of the user's PATH."""
    return shutil.which(name, path=_PLACES)


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
    port, grpc = _free_ports(2)
    settings = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    with _running([program("phoenix") or "", "serve"], folder, settings), _client(port) as client:
        yield client


@contextmanager
def mlflow(folder: Path) -> Iterator[Client]:
    """Run the tracking server of MLflow."""
    (port,) = _free_ports(1)
    command = [program("mlflow") or "", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--default-artifact-root",
        str(folder / "files"),
    ]
    with _running(command, folder, {"MLFLOW_DISABLE_TELEMETRY": "true"}), _client(port) as client:
        yield client


def _client(port: int) -> Client:
    return Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in sockets]
    finally:
        for free in sockets:
            free.close()


@contextmanager
def _running(command: Sequence[str], folder: Path, settings: dict[str, str]) -> Iterator[None]:
    """Run a server until the block ends, with all the processes that it has started."""
    path = os.pathsep.join((str(Path(command[0]).parent), os.environ.get("PATH", "")))
    env = {"PATH": path, "HOME": str(folder), "PYTHONUNBUFFERED": "1", "DO_NOT_TRACK": "1", **settings}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    said: list[str] = []
    settled = threading.Event()  # it is up, or it has ended

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if _UP in line:
                settled.set()
        settled.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        settled.wait(_START)
        assert any(_UP in line for line in said), "the server did not start: " + "".join(said[-30:])
        yield
    finally:
        _stop(process)
        listener.join(_STOP)
        assert process.stdout is not None
        process.stdout.close()


def _stop(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP)
    with suppress(ProcessLookupError):  # MLflow's job runners outlive it
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_STOP)
