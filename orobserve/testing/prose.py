"""Deterministic words: echo texts, token estimates, pieces of a stream, and JSON that satisfies a simple schema."""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CLOSINGS = (
    "That is all the simulator has to say.",
    "No model was harmed in this answer.",
    "The weather inside the loopback is mild.",
    "Every token here was counted by hand.",
)
_ECHOED_WORDS = 24
_CHARACTERS_PER_TOKEN = 4
_DEPTH = 8


def echo(question: str) -> str:
    """Answer in words that depend on the question."""
    words = question.split()
    closing = _CLOSINGS[zlib.crc32(question.encode()) % len(_CLOSINGS)]
    if not words:
        return closing
    return f"You said: {' '.join(words[:_ECHOED_WORDS])} {closing}"


def count_tokens(text: str) -> int:
    """Estimate a token count, as if four characters made a token."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def pieces(text: str, count: int | None = None) -> tuple[str, ...]:
    """Cut a text into stream pieces: by words, or into exactly ``count`` parts (some may be empty)."""
    if count is None:
        return tuple(re.findall(r"\S+\s*|\s+", text))
    if count <= 0:
        return ()
    step = -(-len(text) // count) or 1
    return tuple(text[index * step : (index + 1) * step] for index in range(count))


def fill(schema: Mapping[str, Any]) -> str:
    """Write JSON text for a schema, best effort; an unusable schema gives an empty object."""
    value = _value(schema, schema, 0)
    return json.dumps({} if value is None else value, separators=(",", ":"))


def _value(schema: object, root: Mapping[str, Any], depth: int) -> Any:  # noqa: ANN401 - JSON may be anything
    """Make one dummy value."""
    if not isinstance(schema, dict) or depth > _DEPTH:
        return None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    inner = _indirect(schema, root)
    if inner is not None:
        return _value(inner, root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else None)
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    make = _MAKERS.get(str(kind))
    return make(schema, root, depth) if make else None


def _indirect(schema: Mapping[str, Any], root: Mapping[str, Any]) -> object:
    """Follow a reference or take the first alternative; None when the schema says itself what it is."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        target: Any = root
        for part in reference.lstrip("#/").split("/"):
            target = target.get(part, {}) if isinstance(target, dict) else {}
        return target
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return schema[key][0]
    return None


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """Fill the required properties, or all of them when nothing is said to be required."""
    properties = schema.get("properties") or {}
    names = schema.get("required", list(properties))
    return {name: _value(properties.get(name, {}), root, depth + 1) for name in names}


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> list[Any]:
    """Make the least number of items allowed, one if that is open."""
    return [_value(schema.get("items", {}), root, depth + 1)] * max(1, int(schema.get("minItems", 1)))


def _string(schema: Mapping[str, Any], _root: Mapping[str, Any], _depth: int) -> str:
    """Make a string of the right format and at least the right length."""
    dates = {"date": "2026-01-01", "date-time": "2026-01-01T00:00:00Z", "email": "someone@example.com"}
    text = dates.get(str(schema.get("format", "")), "simulated")
    return text.ljust(int(schema.get("minLength", 0)), "x")[: schema.get("maxLength")]


def _integer(schema: Mapping[str, Any], _root: Mapping[str, Any], _depth: int) -> int:
    """Make the smallest allowed number, one if that is open."""
    lowest = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    return int(lowest) + ("minimum" not in schema)


_MAKERS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any], int], Any]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _integer,
    "boolean": lambda _schema, _root, _depth: True,
}
