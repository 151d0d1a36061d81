"""Server-sent events: what a stream says (`Event`), and how it is dressed as bytes. No sockets, no waiting."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orobserve.testing.request import Payload
    from orobserve.testing.scenarios import Framing

COMMENT = ": OPENROUTER PROCESSING"
DONE = "[DONE]"


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``data`` is a JSON object or the literal terminator. ``terminal`` ends the protocol."""

    data: Payload | str
    name: str = ""
    terminal: bool = False

    @property
    def text(self) -> str:
        """The data line."""
        return self.data if isinstance(self.data, str) else dumps(self.data)


class Part(NamedTuple):
    """Bytes to write, after a pause; ``hold`` waits for the client to hang up, ``over`` ends what it waits for."""

    data: bytes
    pause: float = 0.0
    hold: bool = False
    over: bool = False


FINISHED = Event(DONE, terminal=True)


def dumps(payload: object) -> str:
    """Write JSON the way the API does: compact, non-ASCII kept."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


def frame(event: Event, framing: Framing) -> bytes:
    """Dress one event."""
    end = framing.newline
    colon = ": " if framing.space else ":"
    data = event.text
    if framing.multiline and isinstance(event.data, dict):
        data = json.dumps(event.data, ensure_ascii=False, indent=1)
    lines = [f"event{colon}{event.name}"] if event.name else []
    lines += [f"data{colon}{line}" for line in data.split("\n")]
    return (end.join(lines) + end + end).encode()


def comments(count: int, framing: Framing) -> bytes:
    """Write keep-alive comments."""
    return (COMMENT + framing.newline * 2).encode() * count


def cut(data: bytes, size: int) -> Iterator[bytes]:
    """Split bytes for separate socket writes; zero leaves them whole."""
    if size <= 0 or len(data) <= size:
        yield data
        return
    for start in range(0, len(data), size):
        yield data[start : start + size]


def parts(
    events: Iterable[Event], framing: Framing, *, first: float = 0.0, between: float = 0.0, hold_after: int | None
) -> Iterator[Part]:
    """Turn events into writes: comments at once, the first event after ``first`` seconds, the others ``between``."""
    opening = ("\ufeff".encode() if framing.bom else b"") + comments(framing.comments, framing)
    if opening:
        yield from (Part(piece) for piece in cut(opening, framing.write_size))
    for index, event in enumerate(events):
        if index == hold_after:
            yield Part(b"", hold=True)
        dressed = frame(event, framing)
        if not event.terminal:
            dressed += comments(framing.comments_between, framing)
        writes = [Part(piece) for piece in cut(dressed, framing.write_size)]
        writes[0] = writes[0]._replace(pause=between if index else first)
        writes[-1] = writes[-1]._replace(over=event.terminal)
        yield from writes
