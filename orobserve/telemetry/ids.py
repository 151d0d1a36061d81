"""Trace and span ids from what users send: the rule that Broadcast and Langfuse use, so that ids meet.

32 hex digits are used as they are, a UUID without its dashes, anything else becomes the head of its SHA-256; a span id
likewise with 16 digits.
"""

from __future__ import annotations

import hashlib
import re
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import Tracer

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_preset: ContextVar[tuple[int, int]] = ContextVar("orobserve_preset_ids", default=(0, 0))


def trace_id(text: str) -> int:
    """Return the 128-bit trace id of a text."""
    return _identifier(text, 32)


def span_id(text: str) -> int:
    """Return the 64-bit span id of a text."""
    return _identifier(text, 16)


def _identifier(text: str, digits: int) -> int:
    plain = text.replace("-", "") if _UUID.fullmatch(text) else text
    if not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", plain) or int(plain, 16) == 0:
        plain = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
    return int(plain, 16) or 1


def named_span_id(trace: int, name: str) -> int:
    """Return the id of the parent span that a trace name or span name stands for."""
    return int(hashlib.sha256(f"{trace:032x}:{name}".encode()).hexdigest()[:16], 16) or 1


class PresetIds:
    """An SDK IdGenerator that hands out ids chosen for the span being started, and the provider's own otherwise."""

    def __init__(self, inner: IdGenerator) -> None:
        """Stand before the provider's own generator."""
        self._inner = inner

    def generate_span_id(self) -> int:
        """Return the preset span id, or a new one."""
        return _preset.get()[1] or self._inner.generate_span_id()

    def generate_trace_id(self) -> int:
        """Return the preset trace id, or a new one."""
        return _preset.get()[0] or self._inner.generate_trace_id()

    def is_trace_id_random(self) -> bool:
        """Tell whether the next trace id has the randomness that W3C's random flag promises."""
        return not _preset.get()[0] and self._inner.is_trace_id_random()


def accept_presets(tracer: Tracer) -> bool:
    """Let a tracer of ours take preset ids; only the SDK's tracers can."""
    generator = getattr(tracer, "id_generator", None)
    if generator is None:
        return False
    if not isinstance(generator, PresetIds):
        tracer.id_generator = PresetIds(generator)  # type: ignore[attr-defined]  # the SDK's Tracer has it
    return True


class preset:  # noqa: N801 - reads as a verb: `with preset(trace, span):`
    """The ids of spans that are started in the block; 0 leaves one open."""

    def __init__(self, trace: int = 0, span: int = 0) -> None:
        self._ids = (trace, span)

    def __enter__(self) -> None:
        """Begin."""
        self._token = _preset.set(self._ids)

    def __exit__(self, *_: object) -> None:
        """End."""
        _preset.reset(self._token)
