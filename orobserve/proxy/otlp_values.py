"""Attributes and their values as OTLP's JSON has them. What cannot be read is left out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from orobserve.wire.values import whole

if TYPE_CHECKING:
    from collections.abc import Mapping

LATEST = 2**63  # 64-bit integers end there


def attributes(holder: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a span, a resource or an event by their keys; the last one of a key counts."""
    found: dict[str, Any] = {}
    given = holder.get("attributes")
    for item in given if isinstance(given, list) else ():
        if isinstance(item, dict) and isinstance(item.get("key"), str):
            value = _value(item.get("value"))
            if value is not None:
                found[whole(item["key"])] = value
    return found


def _value(value: object) -> Any:  # noqa: ANN401 - of any kind
    """Return the value of an AnyValue; bytes and what is unknown are None."""
    for kind, given in value.items() if isinstance(value, dict) else ():
        if given is not None and kind in _KINDS:
            return _KINDS[kind](given)
    return None


def text(value: object) -> str:
    """Return a text that UTF-8 can hold; anything else is an empty one."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else whole(value)


def integer(value: object) -> int | None:
    """Return an integer, which JSON may write as a text."""
    if isinstance(value, str):
        try:
            value = int(value) if len(value) <= 20 else None  # noqa: PLR2004 - digits of 64 bits and a sign
        except ValueError:
            return None
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer and -LATEST <= value < LATEST else None  # type: ignore[operator,return-value]


def _double(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None  # "NaN" and the infinities are texts
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _array(value: object) -> list[Any] | None:
    values = value.get("values", []) if isinstance(value, dict) else None
    return [_value(item) for item in values] if isinstance(values, list) else None


def _map(value: object) -> dict[str, Any] | None:
    return attributes({"attributes": value.get("values")}) if isinstance(value, dict) else None


_KINDS = {
    "stringValue": lambda value: text(value) if isinstance(value, str) else None,
    "boolValue": lambda value: value if isinstance(value, bool) else None,
    "intValue": integer,
    "doubleValue": _double,
    "arrayValue": _array,
    "kvlistValue": _map,
}
