"""One client connection: chunks, encodings, delays, hang-ups and torn endings. Knows no JSON."""

from __future__ import annotations

import select
import socket
import struct
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from orobserve.testing.calls import Call
from orobserve.testing.encoding import encoder
from orobserve.testing.errors import PHRASES
from orobserve.testing.reply import Incoming, Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from orobserve.testing.sse import Part

_HOLD_SECONDS = 30.0
_POLL_SECONDS = 0.005


class Host(Protocol):
    """What a connection needs of its server."""

    calls: list[Call]
    stopping: Event
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def answer(self, incoming: Incoming) -> Reply:
        """Decide what to write."""


class HungUpError(Exception):
    """The client closed the connection before the end of the response."""


class Connection(BaseHTTPRequestHandler):
    """Serves the requests of one connection, one after the other."""

    server: Any
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def host(self) -> Host:
        """The server, as far as a connection may know it."""
        host: Host = self.server
        return host

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Stay silent."""

    def handle_one_request(self) -> None:
        """Serve the next request; a client that went away ends the connection quietly."""
        try:
            super().handle_one_request()
        except (ConnectionError, HungUpError):
            self.close_connection = True

    def _serve(self) -> None:
        """Read the request, ask for the reply, note the call, and write."""
        parts = urlsplit(self.path)
        incoming = Incoming(
            method=self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self._read_body(),
        )
        reply = self.host.answer(incoming)
        call = Call(
            method=self.command,
            path=self.path,
            headers=list(self.headers.items()),
            body=incoming.body,
            endpoint=reply.endpoint,
            status=reply.status,
            generation_id=reply.generation_id,
            scenario=reply.scenario,
        )
        self.host.calls.append(call)
        try:
            self._write(reply, call)
        except (OSError, HungUpError):
            if reply.entry and reply.entry.finished_at is None:
                reply.entry.cancelled = True
            raise HungUpError from None
        finally:
            self._finish(reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _serve  # noqa: N815 - dispatched by these names

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", "").lower():
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = bytearray()
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def _finish(self, reply: Reply) -> None:
        """Mark the generation as ended, which is what makes its record possible."""
        if reply.entry and reply.entry.finished_at is None:
            reply.entry.finished_at = self.host.clock()

    def _write(self, reply: Reply, call: Call) -> None:
        """Send the reply and end the way it wants."""
        if reply.ending == "reset" and not reply.parts:
            self._reset()
            return
        if reply.parts and not reply.streamed:
            self._pause(reply.parts[0])
        squeeze = encoder(reply.encoding)
        chunks = [squeeze.push(part.data) if part.data else b"" for part in reply.parts]
        tail = squeeze.end()
        self._send_head(reply, sum(map(len, chunks)) + len(tail))
        if self.command == "HEAD":
            return
        for index, (part, chunk) in enumerate(zip(reply.parts, chunks, strict=True)):
            if reply.streamed:
                self._pause(part)
                self._watch(part, reply, first=index == 0)
            if part.over or index == len(chunks) - 1:
                self._finish(reply)
            self._send(chunk, reply, call)
        self._send(tail, reply, call)
        self._end(reply)

    def _send(self, data: bytes, reply: Reply, call: Call) -> None:
        if data:
            call.sent += data
            chunked = reply.streamed and self._can_chunk
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)

    @property
    def _can_chunk(self) -> bool:
        return self.request_version != "HTTP/1.0"

    def _pause(self, part: Part) -> None:
        if part.pause:
            self.host.sleep(part.pause)

    def _watch(self, part: Part, reply: Reply, *, first: bool) -> None:
        """Notice a client that hung up; at a hold, wait for that. After the terminal event nobody minds."""
        if first or (reply.entry and reply.entry.finished_at is not None):
            return
        deadline = time.monotonic() + (_HOLD_SECONDS if part.hold else 0)
        while not self._hung_up():
            if time.monotonic() >= deadline or self.host.stopping.is_set():
                return
            time.sleep(_POLL_SECONDS)
        raise HungUpError

    def _hung_up(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _send_head(self, reply: Reply, length: int) -> None:
        self.send_response_only(reply.status, PHRASES.get(reply.status))
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-Type", reply.content_type)
        if reply.generation_id:
            self.send_header("X-Generation-Id", reply.generation_id)
        for name, value in reply.headers:
            self.send_header(name, value)
        if reply.encoding:
            self.send_header("Content-Encoding", reply.encoding)
        if reply.streamed and self._can_chunk:
            self.send_header("Transfer-Encoding", "chunked")
        elif reply.streamed:
            self.send_header("Connection", "close")
            self.close_connection = True
        elif not any(name == "Content-Length" for name, _ in reply.headers):
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _end(self, reply: Reply) -> None:
        if reply.ending == "reset":
            self._reset()
        elif reply.ending == "torn":
            self.close_connection = True
        elif reply.streamed and self._can_chunk:
            self.wfile.write(b"0\r\n\r\n")

    def _reset(self) -> None:
        """Close so that the client sees a connection reset rather than an end of file."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
