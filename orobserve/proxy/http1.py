"""One HTTP/1.1 connection to the upstream, one call at a time. Bodies are handed on as they come, never decoded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import httptools

from orobserve.proxy.failures import MalformedUpstreamError, UpstreamClosedError
from orobserve.proxy.incoming import Incoming

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve.proxy.call import Call

_HIGH_WATER = 256 * 1024  # bytes that may wait for a slow client before the upstream is paused
_HEAD_LIMIT = 256 * 1024
_FIRST_FINAL, _LAST = 200, 599
_BODILESS = frozenset({204, 304})


class Connection(Incoming, asyncio.Protocol):
    """A connection and the call on it. It is kept for another one if everything was sent and read.

    Attributes:
        kept_at: since when it waits for a call.
    """

    def __init__(self, keep: Callable[[Connection], None], idle_timeout: float) -> None:
        """Prepare.

        Args:
            keep: takes the connection back when it can serve another call.
            idle_timeout: seconds that the upstream may be silent within a call.
        """
        self._keep = keep
        self._transport: asyncio.Transport | None = None
        self._writable: asyncio.Future[None] | None = None
        self._paused_writing = False
        self._busy = False
        self.kept_at = 0.0
        super().__init__(idle_timeout)

    def _reset(self) -> None:
        super()._reset()
        self._parser = httptools.HttpResponseParser(self)
        self._head_size = 0
        self._held = b""  # of the head, until it goes out together with the first bytes of the body
        self._paused = False
        self._until_close = False
        self._stays_open = False
        self._is_head = False
        self._chunked = False
        self._sent = False

    @property
    def usable(self) -> bool:
        """Whether it can serve a call."""
        return self._transport is not None and not self._transport.is_closing() and self._error is None

    def open(self, call: Call) -> Connection:
        """Begin a call."""
        self._reset()
        self._busy = True
        self._is_head = call.method == b"HEAD"
        self._chunked = call.chunked
        lines = [b"%b %b HTTP/1.1\r\n" % (call.method, call.target)]
        lines += [b"%b: %b\r\n" % header for header in call.headers]
        if call.chunked:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        self._held = b"".join([*lines, b"\r\n"])
        self._watch()
        return self

    async def send(self, data: bytes) -> None:
        """Send a piece of the request's body."""
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

    def release(self) -> None:
        """End the call: keep the connection, or close it because there is more to come that nobody wants."""
        if not self._busy:
            return
        self._busy = False
        self._stop_watching()
        if self.complete and self._sent and self._stays_open and not self._parts and self.usable:
            self._keep(self)
        else:
            self.close()

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _break(self) -> None:
        self.resume_writing()
        self.close()

    def _make_room(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

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
            self.fail(MalformedUpstreamError("the upstream's answer is not HTTP"))
            return
        if not self._status and self._head_size > _HEAD_LIMIT:
            self.fail(MalformedUpstreamError("the upstream's headers are too long"))
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
        self._transport = None
        what = "inside its answer" if self._status else "before it answered"
        lost = UpstreamClosedError(f"the upstream closed the connection {what}")
        lost.__cause__ = error
        self.fail(lost)

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
            self.complete = True  # after a HEAD, the parser waits for a body: that connection serves no other call
        elif not names & {b"content-length", b"transfer-encoding"}:
            self._until_close = True
        self._stays_open = self._parser.should_keep_alive() and not self._is_head

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._take(data)

    def on_message_complete(self) -> None:
        """End the body, unless it was an interim response."""
        if self._status:
            self.complete = True
