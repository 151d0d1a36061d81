"""A real server on the loopback interface that answers by a script, and keeps what it got.

    with Server(503, Answer(429, {"retry-after": "7"}), 200) as server:
        ...                                  # POST to server.url + "/anything"
        server.wait(3)                       # until three requests are in; fails after 10 s
        server.requests[0].body              # decompressed; `.raw` as it came

Each answer serves one request, in the order of arrival over all connections; the last one serves all that follow, and
without any it is 200. An answer is a status or an `Answer`:

    Answer(429, {"retry-after": "7"}, b"slow down")
    Answer(302, {"location": "/other"})
    Answer(ending=Ending.CLOSE)              # close without a word
    Answer(ending=Ending.BLACK_HOLE)         # read the request and never answer, until the server is left
    Answer(ending=Ending.TORN)               # promise a longer body than is sent, then close
    Answer(ending=Ending.NO_HTTP)            # answer something that is not HTTP
    Answer(after=event)                      # slow: answer once the event is set
    Answer(after_head=event)                 # send the head and half of the body, the rest once the event is set

`Server(..., tls=True)` speaks TLS with the certificate `CERTIFICATE` (for 127.0.0.1 and localhost), which nobody trusts
unless SSL_CERT_FILE names it. `free_port()` returns the URL of a port where nobody listens. Leaving the server closes
every connection and sets free who waits.
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

if TYPE_CHECKING:
    from collections.abc import Mapping

CERTIFICATE = Path(__file__).parent / "loopback.pem"
_TIMEOUT = 10.0  # real seconds


class Ending(Enum):
    """How an answer ends."""

    NORMAL = "normal"
    CLOSE = "close"
    BLACK_HOLE = "black hole"
    TORN = "torn"
    NO_HTTP = "no HTTP"


@dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    ending: Ending = Ending.NORMAL
    after: threading.Event | None = None
    after_head: threading.Event | None = None


@dataclass(frozen=True)
class Received:
    """A request; header names in lower case. `connection` is the client's port: the same for requests of one."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes
    connection: int

    @property
    def body(self) -> bytes:
        return gzip.decompress(self.raw) if self.headers.get("content-encoding") == "gzip" else self.raw


class Server:
    def __init__(self, *answers: Answer | int, tls: bool = False) -> None:
        self.requests: list[Received] = []
        self.left = threading.Event()  # set when the server is left
        self._answers = [Answer(answer) if isinstance(answer, int) else answer for answer in answers] or [Answer()]
        self._arrival = threading.Condition()
        self._listener = _Listener(self, tls=tls)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True)
        self.url = f"http{'s' * tls}://127.0.0.1:{self._listener.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.left.set()
        self._listener.shutdown()
        self._listener.hang_up()
        self._listener.server_close()
        self._thread.join()

    def wait(self, count: int) -> list[Received]:
        """Wait until so many requests are in, and return them."""
        with self._arrival:
            assert self._arrival.wait_for(lambda: len(self.requests) >= count, _TIMEOUT), self.requests
            return list(self.requests)

    def take(self, request: Received) -> Answer:
        """Keep a request and return what it is to be answered."""
        with self._arrival:
            self.requests.append(request)
            self._arrival.notify_all()
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, server: Server, *, tls: bool) -> None:
        self.scripted = server
        self._open: set[socket.socket] = set()
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(CERTIFICATE)
        super().__init__(("127.0.0.1", 0), _Connection)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # without a look-up of the host's name
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._context is not None:
            request.settimeout(_TIMEOUT)
            request = self._context.wrap_socket(request, server_side=True)  # on the connection's own thread
        self._open.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            self._open.discard(request)
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: a client that goes away, or trusts nobody, is part of the tests."""

    def hang_up(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Any

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def _serve(self) -> None:
        server: Server = self.server.scripted
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = server.take(Received(self.command, self.path, headers, raw, self.client_address[1]))
        if answer.after is not None:
            answer.after.wait(_TIMEOUT)
        if answer.ending is Ending.BLACK_HOLE:
            server.left.wait(60.0)
        if answer.ending is Ending.NO_HTTP:
            self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        if answer.ending in {Ending.BLACK_HOLE, Ending.CLOSE, Ending.NO_HTTP}:
            self.close_connection = True
            return
        self._answer(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_CONNECT = _serve  # noqa: N815 - dispatched by these names

    def _answer(self, answer: Answer) -> None:
        given = {name.lower() for name in answer.headers}
        self.send_response_only(answer.status)
        if "date" not in given:
            self.send_header("Date", self.date_time_string())
        for name, value in answer.headers.items():
            self.send_header(name, value)
        torn = answer.ending is Ending.TORN
        self.send_header("Content-Length", str(len(answer.body) + 100 * torn))
        self.end_headers()
        half = len(answer.body) // 2
        self.wfile.write(answer.body[:half])
        if answer.after_head is not None:
            answer.after_head.wait(_TIMEOUT)
        self.wfile.write(answer.body[half:])
        self.close_connection = self.close_connection or torn


def free_port() -> str:
    """Return the URL of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"
