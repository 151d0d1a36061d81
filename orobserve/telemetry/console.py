"""One compact line per call, for people who have nothing set up yet."""

from __future__ import annotations

import re
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from orobserve.generation import Generation

_DIM, _RED, _RESET = "\x1b[2m", "\x1b[31m", "\x1b[0m"
# What a terminal obeys instead of showing it, or what reorders a line: controls (C0, C1), the marks and embeddings of
# bidirectional text, line and paragraph separators; and half surrogate pairs, which no stream can encode.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
HINT = (
    "orobserve: no tracer provider and no OTEL_EXPORTER_OTLP_ENDPOINT, so each call is shown here; "
    "see the README to send spans somewhere"
)


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a person is looking."""
    return bool(getattr(stream, "isatty", lambda: False)())


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
    return f"${whole}.{decimals.rstrip('0'):0<2}"


def line(generation: Generation) -> str:
    """Return the line of one call: model, provider, tokens, cost, times, and what went wrong."""
    usage, timing = generation.usage, generation.timing
    tokens = "? tokens"
    if usage is not None and (usage.input_tokens is not None or usage.output_tokens is not None):
        cached = f" ({usage.cache_read_input_tokens} cached)" if usage.cache_read_input_tokens else ""
        tokens = f"{_shown(usage.input_tokens)}{cached} → {_shown(usage.output_tokens)} tokens"
    parts = [
        generation.model or generation.request.model or generation.operation,
        f"via {generation.provider}" if generation.provider else None,
        tokens,
        money(generation.cost.total if generation.cost else None),
        f"{timing.duration:.2f} s",
        f"first chunk {timing.time_to_first_chunk:.2f} s" if timing.time_to_first_chunk is not None else None,
        f"cache {generation.cache.status}" if generation.cache and generation.cache.status else None,
        generation.error.type if generation.error else None,
        generation.outcome.value if generation.outcome.value in {"cancelled", "abandoned"} else None,
    ]
    return plain(" · ".join(part for part in parts if part))


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
        if is_terminal(stream):
            text = f"{_RED if generation.error else _DIM}{text}{_RESET}"
        stream.write(text + "\n")
        stream.flush()
