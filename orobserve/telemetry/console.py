"""One compact line per call, for people who have nothing set up yet."""

from __future__ import annotations

import os
import re
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, TextIO

if TYPE_CHECKING:
    from orobserve.generation import Generation

_DIM, _RED, _RESET = "\x1b[2m", "\x1b[31m", "\x1b[0m"
# What a terminal obeys instead of showing it, or what reorders a line: controls (C0, C1), the marks and embeddings of
# bidirectional text, line and paragraph separators; and half surrogate pairs, which no stream can encode.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet takes a text for a formula
_LONGEST = 120  # characters of a name in a line
_SHORTEST = 0.05  # seconds of streaming from which a speed means something
HINT = (
    "orobserve: no tracer provider and no OTEL_EXPORTER_OTLP_ENDPOINT, so each call is shown here; "
    "see the README to send spans somewhere"
)


def is_terminal(stream: object) -> bool:
    """Tell whether a person is looking."""
    return bool(getattr(stream, "isatty", lambda: False)())


def coloured(stream: object) -> bool:
    """Tell whether colours are welcome (https://no-color.org)."""
    return is_terminal(stream) and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def plain(text: str | None, *, lines: bool = False) -> str:
    """Return a text that a terminal shows and does not obey, whoever wrote it.

    Args:
        text: None is shown as `-`.
        lines: whether its lines are kept, and its tabs as spaces.
    """
    if text is None:
        return "-"
    if not lines:
        return _UNSHOWN.sub("\ufffd", text)
    found = _LINE_END.sub("\n", text).replace("\t", "    ")
    return "\n".join(_UNSHOWN.sub("\ufffd", line) for line in found.split("\n"))


def money(total: float | Decimal | None) -> str:
    """Return dollars with all their digits, two decimals at least; unknown is `?`, never 0."""
    if total is None:
        return "?"
    whole, _, decimals = f"{Decimal(repr(total)) if isinstance(total, float) else total:f}".partition(".")
    return f"{'-' * whole.startswith('-')}${whole.lstrip('-')}.{decimals.rstrip('0'):0<2}"


def escaped(text: str) -> str:
    """Return JSON that means the same, with escapes for what a terminal would obey."""
    return _UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def no_formula(text: str) -> str:
    """Return a text of CSV that a spreadsheet shows and does not compute, whoever wrote it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


class Told(NamedTuple):
    """What a line tells of a call; None is unknown. Times in seconds; `tokens_per_second` is what streamed."""

    name: str
    provider: str | None
    input_tokens: int | None
    cached: int | None
    output_tokens: int | None
    cost: float | Decimal | None
    duration: float | None
    first_chunk: float | None
    cache: str | None  # OpenRouter's response cache: `hit` or `miss`
    error: str | None
    outcome: str

    @property
    def tokens_per_second(self) -> float | None:
        """How quickly the answer came after its first chunk; None where it was not streamed, or came at once."""
        if not self.output_tokens or self.first_chunk is None or self.duration is None:
            return None
        streamed = self.duration - self.first_chunk
        return self.output_tokens / streamed if streamed >= _SHORTEST else None


def line(generation: Generation) -> str:
    """Return the line of one call: model, provider, tokens, cost, times, and what went wrong."""
    return describe(told(generation))


def told(generation: Generation) -> Told:
    """Return what a line tells of a record."""
    usage, timing = generation.usage, generation.timing
    return Told(
        name=generation.model or generation.request.model or generation.operation,
        provider=generation.provider,
        input_tokens=usage.input_tokens if usage else None,
        cached=usage.cache_read_input_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
        cost=generation.cost.total if generation.cost else None,
        duration=timing.duration,
        first_chunk=timing.time_to_first_chunk,
        cache=generation.cache.status if generation.cache else None,
        error=generation.error.type if generation.error else None,
        outcome=generation.outcome.value,
    )


def describe(call: Told) -> str:
    """Return the line; whatever a name holds, it is one line."""
    tokens = "? tokens"
    if call.input_tokens is not None or call.output_tokens is not None:
        cached = f" ({call.cached} cached)" if call.cached else ""
        tokens = f"{_shown(call.input_tokens)}{cached} → {_shown(call.output_tokens)} tokens"
    speed = call.tokens_per_second
    parts = [
        call.name,
        f"via {call.provider}" if call.provider else None,
        tokens,
        money(call.cost),
        f"{call.duration:.2f} s" if call.duration is not None else "? s",
        f"first chunk {call.first_chunk:.2f} s" if call.first_chunk is not None else None,
        f"{speed:.0f} tok/s" if speed is not None else None,
        f"cache {call.cache}" if call.cache else None,
        call.error,
        call.outcome if call.outcome in {"cancelled", "abandoned", "truncated"} else None,
    ]
    return plain(" · ".join(part if len(part) <= _LONGEST else f"{part[: _LONGEST - 1]}…" for part in parts if part))


def _shown(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)


class Console:
    """Writes the lines to standard error, in colour only on a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def __call__(self, generation: Generation) -> None:
        """Write one line."""
        stream = self._stream or sys.stderr
        text = line(generation)
        if coloured(stream):
            text = f"{_RED if generation.error else _DIM}{text}{_RESET}"
        stream.write(text + "\n")
        stream.flush()
