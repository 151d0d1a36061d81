"""An upstream that plays what it is given, byte by byte, and a client that shows what came: both on raw sockets."""

from __future__ import annotations

import contextlib
import http.client
import queue
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

SECONDS = 10.0
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


@dataclass
class Received:
    """A request as it arrived."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> list[bytes]:
        return [value for given, value in self.headers if given.lower() == name]


class Reader:
    """Reads requests from a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._file = sock.makefile("rb")

    def request(self) -> Received | None:
        line = self._file.readline()
        if not line.strip():
            return None
        headers = []
        while item := self._file.readline().rstrip(b"\r\n"):
            name, _, value = item.partition(b": ")
            headers.append((name, value))
        given = Received(line.rstrip(b"\r\n"), headers, b"")
        if given.header(b"transfer-encoding") == [b"chunked"]:
            while size := int(self._file.readline(), 16):
                given.body += self._file.read(size)
                self._file.readline()
            self._file.readline()
        else:
            given.body = self._file.read(int((given.header(b"content-length") or [b"0"])[0]))
        return given


def reset(sock: socket.socket) -> None:
    """Close so that the other side sees a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Origin:
    """Serves one connection per thread. An answer is a list of pieces, or a function that takes the socket.

    Attributes:
        requests: what arrived.
        gone: gets an item when a client closes its connection.
        wait: blocks a function that plays an answer, until the test sets it.
    """

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.connections = 0
        self.gone: queue.Queue[None] = queue.Queue()
        self.arrived: queue.Queue[Received] = queue.Queue()
        self.wait = threading.Event()
        self._answers: queue.Queue[Any] = queue.Queue()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wait.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._accepting.join()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def play(self, *answers: list[bytes] | Callable[[socket.socket], None]) -> None:
        """Queue answers."""
        for answer in answers:
            self._answers.put(answer)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._socket.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self._open.append(sock)
                self._threads.append(threading.Thread(target=self._serve, args=(sock,)))
                self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), sock:
            reader = Reader(sock)
            while (received := reader.request()) is not None:
                self.requests.append(received)
                self.arrived.put(received)
                answer = self._answers.get(timeout=SECONDS)
                if callable(answer):
                    answer(sock)
                    return
                for piece in answer:
                    sock.sendall(piece)
        self.gone.put(None)


@dataclass
class Answered:
    """A response as a client sees it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    whole: bool = True
    closes: bool = False
    raw: dict[str, str] = field(default_factory=dict)

    @property
    def end_to_end(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """What must be the same with and without the proxy."""
        kept = [(name.lower(), value) for name, value in self.headers if name.lower() not in HOP_BY_HOP]
        return self.status, kept, self.body


def request(
    method: str = "POST", path: str = "/api/v1/chat/completions", headers: Iterable[str] = (), body: bytes = b""
) -> bytes:
    """Return a request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: client.test", *headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def connect(port: int) -> socket.socket:
    """Open a connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def read(sock: socket.socket, method: str = "POST") -> Answered:
    """Read a response."""
    response = http.client.HTTPResponse(sock, method=method)
    response.begin()
    try:
        body, whole = response.read(), True
    except http.client.IncompleteRead as error:
        body, whole = error.partial, False
    except ConnectionResetError:
        body, whole = b"", False
    headers = response.msg.items()
    return Answered(response.status, headers, body, whole, response.will_close, {k.lower(): v for k, v in headers})


def ask(port: int, raw: bytes, method: str = "POST") -> Answered:
    """Make one request on a connection of its own."""
    with connect(port) as sock:
        sock.sendall(raw)
        return read(sock, method)


def chunked(body: bytes, sizes: Iterable[int]) -> list[bytes]:
    """Return a body as HTTP chunks of these sizes, the last one repeated."""
    found, at, size = [], 0, 1
    sizes = iter(sizes)
    while at < len(body):
        size = next(sizes, size)
        piece = body[at : at + size]
        found.append(b"%x\r\n%b\r\n" % (len(piece), piece))
        at += size
    return [*found, b"0\r\n\r\n"]


def head(status: int = 200, *headers: str) -> bytes:
    """Return a response's head as bytes."""
    return "\r\n".join([f"HTTP/1.1 {status} Said", *headers, "", ""]).encode("latin-1")
