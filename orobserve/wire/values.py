"""Narrowing of JSON values. A value of the wrong type, or one no telemetry backend can hold, is unknown: `None`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Object: TypeAlias = "dict[str, Any]"

MAX_COUNT = 2**53  # beyond it JSON numbers are not exact, and no token count is that large
MAX_TEXT = 1024  # identifiers and names; longer ones are cut in our copy only


def text(value: object) -> str | None:
    """Return a non-empty string, cut to `MAX_TEXT` characters."""
    if isinstance(value, str) and value:
        if len(value) > MAX_TEXT:
            value = value[:MAX_TEXT]
        return value if value.isascii() else whole(value)
    return None


def whole(value: str) -> str:
    """Return a text without half surrogate pairs, which JSON can hold and UTF-8 cannot."""
    return value.encode("utf-8", "replace").decode("utf-8")


def flag(value: object) -> bool | None:
    """Return a JSON boolean."""
    return value if isinstance(value, bool) else None


def integer(value: object) -> int | None:
    """Return an exact integer of either sign (a seed, say)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and -MAX_COUNT <= value <= MAX_COUNT else None


def count(value: object) -> int | None:
    """Return a whole number of things, 0 included."""
    if type(value) is int:  # the usual case, and never a bool
        return value if 0 <= value <= MAX_COUNT else None
    number = integer(value)
    return number if number is not None and number >= 0 else None


def number(value: object) -> float | None:
    """Return a finite number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            return None
        return value if math.isfinite(value) else None
    return None


def amount(value: object) -> float | None:
    """Return an amount of money: a finite number of 0 or more, also when it came as a string."""
    if type(value) is float:  # the usual case
        return value if 0 <= value < math.inf else None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    value = number(value)
    return value if value is not None and value >= 0 else None


def strings(value: object) -> tuple[str, ...] | None:
    """Return the non-empty strings of a list; a lone string counts as a list of one."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, (list, tuple)):
        return None
    return tuple(item for item in map(text, value) if item) or None


def mapping(value: object) -> Object:
    """Return a JSON object; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """Return a JSON array; anything else is an empty one."""
    return value if isinstance(value, list) else []


def objects(value: object) -> list[Object]:
    """Return the JSON objects of an array."""
    return [item for item in sequence(value) if isinstance(item, dict)]


def first(values: Iterable[str | None]) -> str | None:
    """Return the first known one."""
    return next((value for value in values if value), None)
