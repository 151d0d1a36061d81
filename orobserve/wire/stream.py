"""A stream of events on its way to the caller. Each chunk is looked at only as far as the moment needs.

The time of the first content, the terminal event and the figures at the end come from whole events; the many events in
between bring only text and are recognised by their shape (see `shape`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.wire import document, sse
from orobserve.wire.shape import PLAIN, Shape, learn

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve.wire.answer import Answer, Dialect
    from orobserve.wire.shape import Delta

_DONE = b"[DONE]"
_DONE_LINES = (b"data: [DONE]", b"data:[DONE]")
_LEARNABLE = 4096  # a longer event is no ordinary delta
_PATIENCE = 8  # shapes that may be learned without being of use


class EventReader:
    """Splits a response into events and feeds an `Answer`."""

    __slots__ = (
        "_answer",
        "_clock",
        "_closed",
        "_dialect",
        "_frame",
        "_keeps",
        "_learned_at",
        "_on_terminal",
        "_patience",
        "_pending",
        "_shape",
        "_shorten_at",
        "_started",
        "chunks",
        "first_chunk_at",
        "keepalives",
        "times",
    )

    def __init__(
        self,
        answer: Answer,
        dialect: Dialect,
        *,
        clock: Callable[[], int],
        keeps_times: bool,
        on_terminal: Callable[[], None],
    ) -> None:
        self._answer = answer
        self._dialect = dialect
        self._clock = clock
        self._on_terminal = on_terminal
        self._pending = b""  # always begins where an event begins
        self._shape: Shape | None = None
        self._frame: tuple[bytes, int, bytes, int] | None = None  # of the shape, while no event is half-read
        self._keeps = answer.wants_content or keeps_times
        self._learned_at = 0
        self._patience = _PATIENCE
        self._closed = False
        self._shorten_at = document.SOFT_LIMIT
        self._started = False
        self.chunks = 0
        self.keepalives = 0
        self.first_chunk_at: int | None = None
        self.times: list[int] | None = [] if keeps_times else None

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        frame = self._frame
        if frame is not None:  # most often, one chunk is one ordinary event
            head, start, tail, stop = frame
            if data.startswith(head) and data.endswith(tail):
                text = data[start:stop]
                if text and not text.translate(None, PLAIN):
                    self.chunks += 1
                    if self._keeps:
                        self._take(text)
                    return
        self._feed_any(data)

    def _take(self, text: bytes) -> None:
        if self._shape is not None and self._answer.wants_content:
            self._answer.texts.append_escaped(self._shape.target, text)
        if self.times is not None:
            self.times.append(self._clock())

    def _feed_any(self, data: bytes) -> None:
        if self._closed:
            return
        if self._pending:
            data = self._pending + data
            self._pending = b""
        position, size = 0, len(data)
        while position < size:
            shape = self._shape
            found = shape.match(data, position) if shape is not None else None
            if found is not None:
                self.chunks += 1
                if self._keeps:
                    self._take(data[found[1] : found[2]])
                position = found[0]
                continue
            start = sse.skip_blank(data, position)
            position = sse.event_end(data, start)
            if position < 0:
                self._keep(data[start:])
                return
            self._read(data[start:position])
            if self._answer.ended:
                self._end()
                return
        self._frame = self._shape.frame if self._shape is not None else None

    def _keep(self, pending: bytes) -> None:
        self._frame = None  # until this event is whole
        if len(pending) > self._shorten_at:
            pending = document.shorten(pending)
            # Twice as far each time, so that no byte is looked at too often.
            self._shorten_at = min(max(document.SOFT_LIMIT, 2 * len(pending)), document.HARD_LIMIT)
            if len(pending) > document.HARD_LIMIT:
                pending = b""
        self._pending = pending
        # A reader may stop at the line, before the blank line that ends the event.
        if pending.rstrip(b"\r\n") in _DONE_LINES and pending[-1:] in {b"\r", b"\n"}:
            self._answer.ended = True
            self._end()

    def _end(self) -> None:
        self._closed = True
        self._frame = None
        self._pending = b""
        self._on_terminal()

    def close(self, *, flush: bool) -> None:
        """End; with `flush`, an event that lacks its blank line still counts, as the bytes ended cleanly."""
        pending, self._pending = self._pending, b""
        if flush and pending:
            self._read(pending)

    def _read(self, raw: bytes) -> None:
        if not self._started:
            self._started = True
            raw = sse.strip_bom(raw)
        event = sse.parse_event(raw)
        self.keepalives += event.comments
        if not event.data:
            return
        if event.data.strip() == _DONE:
            self._answer.ended = True
            return
        given = _parse(event.data)
        if event.name == "ping" or (given is not None and given.get("type") == "ping"):
            self.keepalives += 1
            return
        self.chunks += 1
        if given is not None:
            self._interpret(event, given, raw)

    def _interpret(self, event: sse.Event, given: dict[str, Any], raw: bytes) -> None:
        answer, dialect = self._answer, self._dialect
        began = answer.began
        dialect.read_event(answer, event.name, given)  # type: ignore[misc]  # there is no reader without it
        if answer.began and not began:
            self.first_chunk_at = self._clock()
        if answer.began and self.times is not None:
            self.times.append(self._clock())
        self._shape = None  # what this event has said anew must not be taken for known in an older shape
        # The first delta is not learned from: its caller is waiting.
        if began and dialect.delta and len(raw) <= _LEARNABLE and not event.comments and dialect.delta(given):
            self._learn(raw)

    def _learn(self, raw: bytes) -> None:
        if self._patience:
            useful = self.chunks - self._learned_at > 1
            self._patience = _PATIENCE if useful else self._patience - 1
            self._learned_at = self.chunks
            self._shape = learn(raw, self._meaning)

    def _meaning(self, raw: bytes) -> Delta | None:
        given = _parse(sse.parse_event(raw).data)
        return self._dialect.delta(given) if given is not None and self._dialect.delta else None


def _parse(data: bytes) -> dict[str, Any] | None:
    try:
        given = document.parse(data)
    except ValueError:
        return None
    return given if isinstance(given, dict) else None
