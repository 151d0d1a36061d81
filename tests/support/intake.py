"""A destination's server on the loopback interface: keeps what comes, and answers as it is told."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self


@dataclass(frozen=True)
class Taken:
    """One request; header names in lower case, the body decompressed."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Answer:
    """What the server says. The Date header is the server's own unless one is given."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


class Intake:
    """A server to be used as a context manager."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.answer = Answer()
        self.arrived = threading.Event()  # at least one request, and its answer is settled
        self._server = _Server(("127.0.0.1", 0), _Take)
        self._server.intake = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    intake: Intake


class _Take(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take a request."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        intake = self.server.intake
        headers = {name.lower(): value for name, value in self.headers.items()}
        intake.taken.append(Taken(self.command, self.path, headers, body))
        answer = intake.answer
        intake.arrived.set()
        self.send_response_only(answer.status)
        for name, value in {"Date": self.date_time_string(), **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_PUT = do_POST  # noqa: N815 - as the base class spells them

    def log_message(self, *_: object) -> None:
        """Stay silent."""
