"""The shape of a stream's ordinary events: all of it but the text is the same, event after event.

Most events of a stream bring a few more characters and nothing else. `learn` takes one of them apart into literal
bytes and holes; `match` then recognises the next ones by comparing bytes, for a fraction of what parsing costs, and
hands out the text still JSON-escaped. A shape is only used after it was proven: with every text hole filled by a
marker, the event still means "this text, nothing else", so any other text in the holes means the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from orobserve.wire import document

if TYPE_CHECKING:
    from collections.abc import Callable

Target: TypeAlias = tuple[str, ...]  # what a text belongs to: ("text", "0"), ("reasoning", "0"), ...
Delta: TypeAlias = "tuple[Target, str]"

_TEXT = rb'[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*'
# Keys whose values differ between ordinary events: texts, counters, and OpenAI's padding against traffic analysis.
_HOLE = re.compile(
    rb'"(?:content|reasoning|text|delta|thinking|partial_json|arguments|obfuscation)":\s?"(' + _TEXT + rb')"'
    rb'|"sequence_number":\s?(\d+)'
)
# What may stand in a JSON string without being escaped or escaping.
PLAIN = bytes(byte for byte in range(0x20, 0x100) if byte not in b'"\\')
_match_text = re.compile(_TEXT).match
_match_digits = re.compile(rb"\d+").match


class Shape:
    """Literal bytes with holes between them, for one whole event with its framing.

    Attributes:
        target: what the text belongs to.
        frame: the bytes before the text and after it, with where the text starts and stops, if there is no other hole.
    """

    __slots__ = ("_captured", "_holes", "_tail", "frame", "target")

    def __init__(self, literals: list[bytes], numeric: list[bool], captured: int, target: Target) -> None:
        self._holes = tuple(
            (literal, len(literal), _match_digits if is_number else _match_text)
            for literal, is_number in zip(literals, numeric, strict=False)
        )
        self._tail = literals[-1]
        self._captured = captured
        self.frame: tuple[bytes, int, bytes, int] | None = None
        if len(self._holes) == 1:
            self.frame = (literals[0], len(literals[0]), literals[1], -len(literals[1]))
        self.target = target

    def match(self, data: bytes, position: int) -> tuple[int, int, int] | None:
        """Return the end of the event that starts at `position`, and the start and end of its text; else None."""
        start = stop = 0
        index = 0
        for literal, length, hole in self._holes:
            if not data.startswith(literal, position):
                return None
            position += length
            found = hole(data, position)
            if found is None or found.end() == position:  # an empty text may mean something else
                return None
            if index == self._captured:
                start, stop = position, found.end()
            position = found.end()
            index += 1  # noqa: SIM113 - enumerate costs more, and this runs for every chunk
        if not data.startswith(self._tail, position):
            return None
        return position + len(self._tail), start, stop


def learn(raw: bytes, delta: Callable[[bytes], Delta | None]) -> Shape | None:
    """Return the shape of an event, or None if it has none.

    Args:
        raw: the whole event with its framing, which `delta` has found to be a text and nothing else.
        delta: what an event means, by the same rule.
    """
    holes = [hole for hole in _HOLE.finditer(raw) if hole[1] != b""]
    texts = [hole for hole in holes if hole[1] is not None]
    probe, literals, position = b"", [], 0
    for hole in holes:
        start, stop = hole.span(1 if hole[1] is not None else 2)
        literals.append(raw[position:start])
        probe += literals[-1] + (b"@%d@" % texts.index(hole) if hole in texts else hole[2])
        position = stop
    literals.append(raw[position:])
    meaning = delta(probe + literals[-1])
    if meaning is None or not re.fullmatch("@[0-9]+@", meaning[1]):
        return None
    captured = holes.index(texts[int(meaning[1].strip("@"))])
    return Shape(literals, [hole[2] is not None for hole in holes], captured, meaning[0])


class Texts:
    """The texts of a stream by what they belong to, kept as JSON-escaped bytes and decoded once."""

    __slots__ = ("_limit", "_texts")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._texts: dict[Target, bytearray] = {}

    def append(self, target: Target, text: str) -> None:
        """Add decoded text."""
        self.append_escaped(target, document.escape(text))

    def append_escaped(self, target: Target, data: bytes) -> None:
        """Add text as it stands between the quotes of a JSON string."""
        kept = self._texts.setdefault(target, bytearray())
        if len(kept) < self._limit:
            kept += data

    def items(self) -> list[tuple[Target, str]]:
        """Return the texts in the order in which they began."""
        return [(target, document.unescape(bytes(kept))) for target, kept in self._texts.items()]

    def get(self, target: Target) -> str | None:
        """Return one text, or None if it never came."""
        kept = self._texts.get(target)
        return None if kept is None else document.unescape(bytes(kept))
