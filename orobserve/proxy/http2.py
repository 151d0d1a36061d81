"""One HTTP/2 connection to the upstream, many calls at a time. One that is left is reset, so that it costs no more."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError as H2Error
from h2.settings import SettingCodes, Settings

from orobserve.proxy.failures import MalformedUpstreamError, UnreachableError, UpstreamClosedError
from orobserve.proxy.incoming import Incoming

if TYPE_CHECKING:
    from orobserve.proxy.call import Call

_WINDOW = 1024 * 1024  # bytes of one call that may wait for a slow client
_SHARED_WINDOW = 2**30  # of all calls together: a slow one must not hold up the others
_STEP = 64 * 1024  # bytes after which the upstream is told that there is room again
_SETTINGS = {SettingCodes.ENABLE_PUSH: 0, SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW}
_SETTINGS |= {SettingCodes.MAX_HEADER_LIST_SIZE: 256 * 1024}
_CONFIGURATION = H2Configuration(client_side=True, header_encoding=None)


class Stream(Incoming):
    """One call on the connection."""

    def __init__(self, connection: Connection, number: int, idle_timeout: float) -> None:
        """Take the stream's number."""
        super().__init__(idle_timeout)
        self._connection = connection
        self.number = number
        self.room: asyncio.Future[None] | None = None  # set while `send` waits for room
        self._sent = False
        self._released = False
        self._unacknowledged = 0
        self._watch()

    async def send(self, data: bytes) -> None:
        """Send a piece of the request's body, as fast as the upstream allows."""
        while data and self._error is None and not self.complete:
            sent = self._connection.write(self.number, data)
            data = data[sent:]
            self._heard_at = self._loop.time()
            if data:
                self.room = self._loop.create_future()
                await self.room

    def finish(self) -> None:
        """End the request's body."""
        self._sent = True
        self._connection.end(self.number)

    def release(self) -> None:
        """End the call; reset it if it is not at its end."""
        if not self._released:
            self._released = True
            self._stop_watching()
            self._connection.forget(self.number, reset=not (self.complete and self._sent))

    def go_on(self) -> None:
        """Have `send` look for room again."""
        if self.room is not None and not self.room.done():
            self.room.set_result(None)

    def _break(self) -> None:
        self.go_on()

    def _make_room(self) -> None:
        if self._unacknowledged >= _STEP and not self.complete:
            self._connection.open_window(self._unacknowledged, self.number)
            self._unacknowledged = 0

    def on_head(self, event: events.ResponseReceived) -> None:
        """Take the head of the response."""
        self._heard_at = self._loop.time()
        self._headers = [(bytes(name), bytes(value)) for name, value in event.headers if not name.startswith(b":")]
        self._status = next((int(value) for name, value in event.headers if name == b":status"), 0)
        self._wake()

    def on_data(self, event: events.DataReceived) -> None:
        """Take a piece of the body."""
        self._heard_at = self._loop.time()
        self._unacknowledged += event.flow_controlled_length or 0
        if event.data:
            self._take(bytes(event.data))
            self._wake()

    def on_end(self) -> None:
        """Take the end of the body."""
        if self._status:
            self.complete = True
            self._wake()


class Connection(asyncio.Protocol):
    """The connection.

    Attributes:
        kept_at: since when it has no calls.
        ready: done when the upstream has said how many calls it takes at a time.
    """

    def __init__(self, idle_timeout: float) -> None:
        """Prepare. `idle_timeout`: seconds that the upstream may be silent within a call."""
        self._idle_timeout = idle_timeout
        self._loop = asyncio.get_running_loop()
        self._protocol = H2Connection(_CONFIGURATION)
        self._protocol.local_settings = Settings(client=True, initial_values=_SETTINGS)
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, Stream] = {}
        self._received = 0
        self._is_leaving = False
        self._is_paused = False
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.kept_at = self._loop.time()

    @property
    def usable(self) -> bool:
        """Whether it can serve one more call."""
        if self._transport is None or self._transport.is_closing() or self._is_leaving:
            return False
        return len(self._streams) < self._protocol.remote_settings.max_concurrent_streams

    @property
    def idle(self) -> bool:
        """Whether there is no call on it."""
        return not self._streams

    def open(self, call: Call) -> Stream:
        """Begin a call.

        Raises:
            ProxyError: the upstream would not take it.
        """
        authority = next(value for name, value in call.headers if name.lower() == b"host")
        headers = [(b":method", call.method), (b":scheme", b"https"), (b":authority", authority)]
        headers += [(b":path", call.target)]
        headers += [(name.lower(), value) for name, value in call.headers if name.lower() != b"host"]
        try:
            number = self._protocol.get_next_available_stream_id()
            self._protocol.send_headers(number, headers)
        except H2Error as error:
            self._is_leaving = True
            raise UnreachableError("the upstream's HTTP/2 connection takes no more calls") from error
        stream = self._streams[number] = Stream(self, number, self._idle_timeout)
        self._flush()
        return stream

    def write(self, number: int, data: bytes) -> int:
        """Send as much of a body as there is room for; returns how much."""
        if self._is_paused or number not in self._streams:
            return 0
        sent = 0
        while sent < len(data):
            room = min(self._protocol.local_flow_control_window(number), self._protocol.max_outbound_frame_size)
            if room <= 0:
                break
            piece = data[sent : sent + room]
            self._protocol.send_data(number, piece)
            sent += len(piece)
        self._flush()
        return sent

    def end(self, number: int) -> None:
        """End a request's body."""
        if number in self._streams:
            with suppress(H2Error):  # the upstream has answered and closed the stream before that
                self._protocol.end_stream(number)
            self._flush()

    def open_window(self, size: int, number: int) -> None:
        """Let the upstream send more of one call."""
        with suppress(H2Error):
            self._protocol.increment_flow_control_window(size, number)
        self._flush()

    def forget(self, number: int, *, reset: bool) -> None:
        """End a call."""
        if self._streams.pop(number, None) is not None and reset:
            with suppress(H2Error):  # it is closed already
                self._protocol.reset_stream(number, ErrorCodes.CANCEL)
            self._flush()
        if not self._streams:
            self.kept_at = self._loop.time()
            if self._is_leaving:
                self.close()

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        data = self._protocol.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self._transport = cast("asyncio.Transport", transport)
        self._protocol.initiate_connection()
        self._protocol.increment_flow_control_window(_SHARED_WINDOW)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Parse, and tell the calls."""
        try:
            for event in self._protocol.receive_data(data):
                self._tell(event)
        except H2Error:
            self._flush()
            self._fail_all(MalformedUpstreamError("the upstream's answer is not HTTP/2"))
            self.close()
            return
        if self._received >= _STEP:
            self._protocol.increment_flow_control_window(self._received)
            self._received = 0
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the calls that are not complete."""
        self._transport = None
        self._get_ready()
        self._fail_all(UpstreamClosedError("the upstream closed the connection"), error)

    def pause_writing(self) -> None:
        """Have bodies wait."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Let bodies go on."""
        self._is_paused = False
        self._go_on()

    def _get_ready(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)

    def _go_on(self) -> None:
        for stream in self._streams.values():
            stream.go_on()

    def _fail_all(self, failure: Exception, cause: Exception | None = None) -> None:
        failure.__cause__ = cause
        for stream in list(self._streams.values()):
            stream.fail(failure)

    def _tell(self, event: events.Event) -> None:
        if isinstance(event, (events.WindowUpdated, events.RemoteSettingsChanged)):
            self._get_ready()
            self._go_on()
        elif isinstance(event, events.ConnectionTerminated):
            self._leave(event.last_stream_id or 0)
        elif isinstance(event, events.DataReceived):
            self._received += event.flow_controlled_length or 0
            if stream := self._of(event):
                stream.on_data(event)
        elif stream := self._of(event):
            _tell_stream(stream, event)

    def _of(self, event: events.Event) -> Stream | None:
        return self._streams.get(getattr(event, "stream_id", None) or 0)

    def _leave(self, last: int) -> None:
        """Take no further calls; those that the upstream has not looked at fail."""
        self._is_leaving = True
        for number, stream in list(self._streams.items()):
            if number > last:
                stream.fail(UpstreamClosedError("the upstream closes the connection and has not taken the call"))


def _tell_stream(stream: Stream, event: events.Event) -> None:
    if isinstance(event, events.ResponseReceived):
        stream.on_head(event)
    elif isinstance(event, events.StreamEnded):
        stream.on_end()
    elif isinstance(event, events.StreamReset):
        stream.fail(UpstreamClosedError("the upstream reset the call"))
