"""A line per call: what it was, how it went, how long it took. No content, no query, no key."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

_COLOURS = {2: "\x1b[32m", 4: "\x1b[33m", 5: "\x1b[31m"}
_RESET = "\x1b[0m"
_UNSAFE = re.compile(r"[^!-~]")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is said about one call.

    Attributes:
        status: of the answer, None if the client had left before there was one.
        sent: bytes of the answer's body.
        error: the proxy's own word for what went wrong, if anything did.
    """

    method: str
    path: str
    status: int | None
    sent: int
    seconds: float
    generation_id: str | None = None
    error: str | None = None


class AccessLog:
    """Writes the lines."""

    def __init__(
        self,
        *,
        as_json: bool,
        stream: TextIO | None = None,
        coloured: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Take how to write: as JSON, with colours, and where."""
        self._as_json = as_json
        self._stream = stream
        self._coloured = coloured
        self._now = now

    def write(self, entry: Entry) -> None:
        """Write a line."""
        stream = self._stream or sys.stdout
        stream.write((self._object(entry) if self._as_json else self._line(entry)) + "\n")
        stream.flush()

    def _object(self, entry: Entry) -> str:
        told = {
            "time": _time(self._now()),
            "method": entry.method,
            "path": entry.path,
            "status": entry.status,
            "bytes": entry.sent,
            "ms": round(entry.seconds * 1000, 1),
            "generation_id": _plain(entry.generation_id),
            "error": entry.error,
        }
        return json.dumps(told)

    def _line(self, entry: Entry) -> str:
        status = "---" if entry.status is None else str(entry.status)
        if self._coloured and entry.status is not None:
            status = f"{_COLOURS.get(entry.status // 100, '')}{status}{_RESET}"
        words = [_time(self._now()), entry.method, _plain(entry.path), status]
        words += [f"{entry.sent} B", f"{entry.seconds * 1000:.1f} ms", _plain(entry.generation_id), entry.error]
        return " ".join(word for word in words if word)


def _plain(text: str | None) -> str | None:
    return text and _UNSAFE.sub("?", text)


def _time(now: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}Z"
