"""JSON documents of any size, read within bounded memory.

Base64 pictures and embedding vectors make bodies of many megabytes in which a few hundred bytes matter. `shorten` cuts
long strings and number lists while the bytes arrive, and what is left is parsed once.
"""

from __future__ import annotations

import json
import re
from typing import Any

_BOM = b"\xef\xbb\xbf"
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # typeshed leaves it out
SOFT_LIMIT = 128 * 1024  # from here on, long runs are cut out
HARD_LIMIT = 4 * 1024 * 1024  # what is still longer after that is not read

# A run this long of base64 characters lies inside a string, and a list of numbers holds no quotes at all. Both rules
# hold for a document that is cut off in the middle, so they work while bytes arrive.
_BASE64 = re.compile(rb"(?<![A-Za-z0-9+/=_-])([A-Za-z0-9+/=_-]{64})([A-Za-z0-9+/=_-]{8192,})")
_NUMBERS = re.compile(rb"\[[-+0-9.eE,\s]{8192,},")
_CUT = re.compile(r"~(\d+)~")


def shorten(data: bytes) -> bytes:
    """Cut the inside of long base64 runs and number lists; the result is JSON if `data` was.

    `~N~` stands where N characters of a string were cut.
    """
    return _BASE64.sub(_cut, _NUMBERS.sub(b"[", data))


def _cut(match: re.Match[bytes]) -> bytes:
    return b"%b~%d~" % (match[1], len(match[2]))


def original_length(text: str) -> int:
    """Return how long a string was before `shorten` cut it."""
    return len(_CUT.sub("", text)) + sum(int(cut) for cut in _CUT.findall(text))


def parse(data: bytes) -> Any:  # noqa: ANN401 - JSON
    """Parse one document.

    Raises:
        ValueError: not JSON, nested too deeply, or longer than `HARD_LIMIT` after shortening.
    """
    if len(data) > SOFT_LIMIT:
        data = shorten(data)
        if len(data) > HARD_LIMIT:
            raise OversizedError
    text = data.removeprefix(_BOM).decode("utf-8", "replace").strip()
    try:
        value, end = _scan(text, 0)  # half of what json.loads costs for a small document is its wrapping
    except StopIteration:
        raise ValueError("not JSON") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if end != len(text):
        raise ValueError("more than one document")
    return value


class OversizedError(ValueError):
    """The document is longer than `HARD_LIMIT` even without its long strings."""


class Body:
    """A body that arrives in pieces, kept within `HARD_LIMIT` bytes."""

    __slots__ = ("_parts", "_shortened_at", "_size", "oversized", "received")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._shortened_at = SOFT_LIMIT
        self.received = 0
        self.oversized = False

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self.received += len(data)
        if self.oversized:
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._shortened_at:
            self._shrink()

    def _shrink(self) -> None:
        whole = shorten(b"".join(self._parts))
        self.oversized = len(whole) > HARD_LIMIT
        self._parts = [] if self.oversized else [whole]
        self._size = len(whole)
        self._shortened_at = max(SOFT_LIMIT, 2 * self._size)  # each byte is looked at a bounded number of times

    def content(self) -> bytes:
        """Return what was kept."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


def escape(text: str) -> bytes:
    """Return a text as it stands between the quotes of a JSON string."""
    return json.dumps(text)[1:-1].encode("ascii")


def unescape(data: bytes) -> str:
    """Undo `escape`; half a surrogate pair becomes U+FFFD."""
    text = json.loads('"' + data.decode("utf-8", "replace") + '"')
    return str(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
