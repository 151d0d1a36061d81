"""Spans on their way out, and how their attributes are brought into values that OTLP has. Knows no encoding."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from orobserve.wire.values import whole

Attributes: TypeAlias = "dict[str, Any]"  # what `plain` takes
Value: TypeAlias = "str | bool | int | float | list[str | bool | int | float]"

_INT64 = 2**63
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at one moment of a span; time in nanoseconds since the epoch."""

    name: str
    time: int
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A span to be encoded. Ids in hex; times in nanoseconds since the epoch; kind as OTLP numbers it."""

    trace_id: str
    span_id: str
    name: str
    start: int
    end: int
    parent_span_id: str | None = None
    kind: int = 1
    attributes: Attributes = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    error: str | None = None  # the status message of a failed call; None: not failed


def as_json(value: object) -> str:
    """Return a value as JSON text that every product can store: no half surrogate pairs, no NUL, no NaN."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str, allow_nan=False)
    except ValueError:  # NaN and the infinities are null
        text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), default=str)
    text = whole(text)
    return _NUL.sub("\\1\ufffd", text) if "\\u0000" in text else text


def _finite(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plain(attributes: Attributes) -> dict[str, Value]:
    """Return attributes as OTLP can hold them: None and empty lists are left out, objects become JSON text."""
    found = {name: _value(value) for name, value in attributes.items() if value is not None}
    return {whole(name): value for name, value in found.items() if value != []}


def text(value: str) -> str:
    """Return a text that every product can store: no half surrogate pairs, and no NUL, which PostgreSQL refuses."""
    return whole(value).replace("\0", "\ufffd")


def _value(value: Any) -> Value:  # noqa: ANN401 - JSON, or what a user passed
    if isinstance(value, (list, tuple)):
        items = [item for item in value if item is not None]
        same = len({type(item) for item in items}) <= 1 and isinstance((items or [""])[0], (str, bool, int, float))
        return [_scalar(item) for item in items] if same else as_json(value)
    return _scalar(value)


def _scalar(value: Any) -> str | bool | int | float:  # noqa: ANN401 - likewise
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool) or (isinstance(value, int) and -_INT64 <= value < _INT64):
        return value
    if isinstance(value, (int, float)):
        return value if isinstance(value, float) and math.isfinite(value) else str(value)
    return as_json(value)
