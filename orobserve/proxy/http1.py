"""One HTTP/1.1 connection to the upstream, one call at a time. Bodies are handed on as they come, never decoded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import httptools

from orobserve.proxy.failures import MalformedUpstreamError, UpstreamClosedError, UpstreamTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve.proxy.headers import Headers
    from orobserve.proxy.upstream import Call

_HIGH_WATER = 256 * 1024  # bytes that may wait for a slow client before the upstream is paused
_HEAD_LIMIT = 256 * 1024
_FIRST_FINAL, _LAST = 200, 599
_BODILESS = frozenset({204, 304})


class Connection(asyncio.Protocol):
    """A connection and the call on it.

    `open`, `send` and `finish` write the request; `head` and `read` return the response; `release` ends the call: the
    connection goes back to where it is kept if everything was read, and is closed at once if not.
    """

    def __init__(self, keep: Callable[[Connection], None], idle_timeout: float) -> None:
        """Prepare.

        Args:
            keep: takes the connection back when it can serve another call.
            idle_timeout: seconds that the upstream may be silent within a call.
        """
        self._keep = keep
        self._idle_timeout = idle_timeout
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._writable: asyncio.Future[None] | None = None
        self._paused_writing = False
        self._timer: asyncio.TimerHandle | None = None
        self.kept_at = 0.0
        self._busy = False
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._headers: Headers = []
        self._status = 0
        self._head_size = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._paused = False
        self.complete = False
        self._until_close = False
        self._is_head = False
        self._chunked = False
        self._sent = False
        self._held = b""
        self._heard_at = self._loop.time()

    @property
    def usable(self) -> bool:
        """Whether it can serve a call."""
        return self._transport is not None and not self._transport.is_closing() and self._error is None

    # The request.

    def open(self, call: Call) -> None:
        """Send a request's head."""
        self._begin()
        self._busy = True
        self._is_head = call.method == b"HEAD"
        self._chunked = call.chunked
        lines = [b"%b %b HTTP/1.1\r\n" % (call.method, call.target)]
        lines += [b"%b: %b\r\n" % header for header in call.headers]
        if call.chunked:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        lines.append(b"\r\n")
        self._held = b"".join(lines)  # until it goes out together with the first bytes of the body
        self._watch()

    async def send(self, data: bytes) -> None:
        """Send a piece of the request's body."""
        if data:
            self._write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
            self._heard_at = self._loop.time()
        if self._paused_writing and self._error is None:
            self._writable = self._loop.create_future()
            await self._writable

    def finish(self) -> None:
        """End the request's body."""
        self._write(b"0\r\n\r\n" if self._chunked else b"")
        self._sent = True

    def _write(self, data: bytes) -> None:
        data, self._held = self._held + data, b""
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    # The response.

    async def head(self) -> tuple[int, Headers]:
        """Return the status and the headers."""
        while not self._status:
            await self._wait()
        return self._status, self._headers

    async def read(self) -> bytes:
        """Return what has come of the body; empty at its end."""
        while not self._parts and not self.complete:
            await self._wait()
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._error is None and not self.complete:
            self._error = error
        self._wake()
        self.resume_writing()
        if self._transport is not None:
            self._transport.abort()

    def release(self) -> None:
        """End the call: keep the connection, or close it because there is more to come that nobody wants."""
        if not self._busy:
            return
        self._busy = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reusable = self.complete and self._sent and not self._until_close and not self._parts and self.usable
        if reusable and self._parser.should_keep_alive():
            self._keep(self)
        else:
            self.close()

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    # Silence.

    def _watch(self) -> None:
        left = self._heard_at + self._idle_timeout - self._loop.time()
        if left <= 0:
            self._fail(UpstreamTimeoutError(f"the upstream was silent for {self._idle_timeout:g} s"))
        else:
            self._timer = self._loop.call_later(left, self._watch)

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse; the callbacks below do the rest."""
        if not self._busy:  # an answer that nobody has asked for must not become the next call's
            self.close()
            return
        self._heard_at = self._loop.time()
        if not self._status:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(MalformedUpstreamError("the upstream's answer is not HTTP"))
            return
        if not self._status and self._head_size > _HEAD_LIMIT:
            self._fail(MalformedUpstreamError("the upstream's headers are too long"))
            return
        self._wake()
        if self._size > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """End a body that lasts until the connection is closed."""
        if self._until_close and self._status:
            self.complete = True
            self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the call that is not complete."""
        if not self.complete:
            what = "inside its answer" if self._status else "before it answered"
            lost = UpstreamClosedError(f"the upstream closed the connection {what}")
            lost.__cause__ = error
            self._fail(lost)
        self._transport = None

    def pause_writing(self) -> None:
        """Have `send` wait."""
        self._paused_writing = True

    def resume_writing(self) -> None:
        """Let `send` go on."""
        self._paused_writing = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # What the parser says.

    def on_message_begin(self) -> None:
        """Refuse what comes after the end of the answer."""
        if self.complete:
            raise ValueError

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is dropped."""
        if not self._status:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the head of the final response; interim ones are dropped."""
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL:
            self._headers = []
            return
        if status > _LAST:
            raise ValueError(status)
        self._status = status
        names = {name.lower() for name, _ in self._headers}
        if self._is_head or status in _BODILESS:
            self.complete = True
            self._until_close = self._is_head  # the parser waits for a body, so the connection serves no other call
        elif not names & {b"content-length", b"transfer-encoding"}:
            self._until_close = True

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._parts.append(data)
        self._size += len(data)

    def on_message_complete(self) -> None:
        """End the body, unless it was an interim response."""
        if self._status:
            self.complete = True
