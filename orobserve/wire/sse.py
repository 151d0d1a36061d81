"""Server-sent events, incrementally: any chunking, CR, LF and CRLF, BOM, comments, data over several lines.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re
from typing import NamedTuple

_LINE_END = rb"(?:\r\n|\n|\r(?!\n))"
_EVENT_END = re.compile(_LINE_END + _LINE_END)
_LINES = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its name, its data (lines joined by LF) and how many comment lines it held."""

    name: str | None
    data: bytes
    comments: int


def event_end(buffer: bytes, start: int) -> int:
    """Return where the event that begins at `start` ends, its blank line included, or -1 if it is not complete."""
    if b"\r" not in buffer:  # the usual case
        end = buffer.find(b"\n\n", start)
        return end + 2 if end >= 0 else -1
    found = _EVENT_END.search(buffer, start)
    return found.end() if found else -1


def skip_blank(buffer: bytes, start: int) -> int:
    """Return where the first line that is not blank begins: a CR may end one chunk and its LF begin the next."""
    while start < len(buffer) and buffer[start] in b"\r\n":
        start += 1
    return start


def strip_bom(buffer: bytes) -> bytes:
    """Remove a byte order mark, which may stand at the very beginning of a stream."""
    return buffer.removeprefix(_BOM)


def parse_event(raw: bytes) -> Event:
    """Parse one whole event."""
    if raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:  # the usual case
        return Event(None, raw[6:-2], 0)
    name: str | None = None
    data: list[bytes] = []
    comments = 0
    for line in _LINES.split(raw):
        if line.startswith(b":"):
            comments += 1
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    return Event(name, b"\n".join(data), comments)
