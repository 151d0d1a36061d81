"""What a setting's value may look like, whoever gives it. Every parser takes the setting's name for its error message.

It knows no setting by name, no environment and no file.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from typing import TYPE_CHECKING, Any

from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MOST_TAGS = 8  # each multiplies the number of series
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
TRUE, FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})


def nearest(name: str, known: Iterable[str], otherwise: str = "remove it, or check its spelling") -> str:
    """Return the fix for a name that is not known."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else otherwise


def boolean(setting: str, value: object) -> bool:
    """Read true or false, also as a word."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if isinstance(value, str) and word in TRUE | FALSE:
        return word in TRUE
    raise ConfigurationError(setting, value, allowed="true or false", fix=f"set {setting} to true or false")


def tri_state(setting: str, value: object) -> bool | None:
    """Read true, false, or `auto` (None)."""
    return None if value is None or value == "auto" else boolean(setting, value)


def integer(setting: str, value: object) -> int:
    """Read a whole number, 0 or more."""
    try:
        number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else -1
    except ValueError:
        number = -1
    if number < 0:
        raise ConfigurationError(setting, value, allowed="a whole number, 0 or more", fix=f"for example {setting}=100")
    return number


_UNITS = {"": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KIB": 1024, "MIB": 1024**2, "GIB": 1024**3}
_SIZE = re.compile(r"\s*(\d{1,15})\s*([KMG]i?B)?\s*", re.IGNORECASE | re.ASCII)


def size(setting: str, value: object) -> int:
    """Read a number of bytes, also as text with a unit: `500MB`."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        return int(found[1]) * _UNITS[(found[2] or "").upper()]
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ConfigurationError(
        setting, value, allowed="bytes, or a text with KB, MB or GB", fix=f'for example {setting}="500MB"'
    )


def port(setting: str, value: object) -> int:
    """Read a port's number."""
    try:
        number = integer(setting, value)
    except ConfigurationError:
        number = 0
    if not 0 < number < 2**16:
        raise ConfigurationError(setting, value, allowed="a port, 1 to 65535", fix=f"for example {setting}=9464")
    return number


def host(setting: str, value: object) -> str:
    """Read the name or the address of a host."""
    if isinstance(value, str) and value.strip() and not re.search(r"[\s/]", value.strip()):
        return value.strip()
    raise ConfigurationError(setting, value, allowed="a host's name or address", fix=f"for example {setting}=0.0.0.0")


def metric_tags(setting: str, value: object) -> tuple[str, ...]:
    """Read the names of tags that become labels of metrics."""
    found = tuple(dict.fromkeys(names(setting, value)))
    if len(found) <= _MOST_TAGS and all(_TAG.fullmatch(name) for name in found):
        return found
    allowed = f"up to {_MOST_TAGS} names of letters, digits and _"
    raise ConfigurationError(setting, value, allowed=allowed, fix=f'for example {setting}=["team", "feature"]')


def callable_or_none(setting: str, value: object) -> Any:  # noqa: ANN401 - a callable
    """Read a function, or None."""
    if value is None or callable(value):
        return value
    raise ConfigurationError(setting, value, allowed="a function, or None", fix="pass the function itself")


def key_labels(setting: str, value: object) -> Mapping[str, str]:
    """Read names of API keys, by their SHA-256."""
    if isinstance(value, dict) and all(isinstance(item, str) for pair in value.items() for item in pair):
        return value
    raise ConfigurationError(
        setting, value, allowed="a dict of SHA-256 key hash to label", fix='for example {"ab12...": "search-team"}'
    )


def switch_or_path(setting: str, value: object) -> bool | str | None:
    """Read true, false, `auto` (None), or the path of a file."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str) and value.strip() and value.strip().lower() not in TRUE | FALSE | {"auto"}:
        return value
    try:
        return tri_state(setting, value)
    except ConfigurationError:
        raise ConfigurationError(
            setting, value, allowed="true, false, or the path of a file", fix=f"set {setting} to true"
        ) from None


def number(value: object) -> float | None:
    """Return a number, also one written as text; None for anything else, and for what is not finite."""
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def positive(setting: str, value: object) -> float:
    """Read a number above 0."""
    found = number(value)
    if found is None or found <= 0:
        raise ConfigurationError(setting, value, allowed="a number above 0", fix=f"for example {setting}=10")
    return found


class OneOf:
    """Reads one of a few words, in any case."""

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed

    def __call__(self, setting: str, value: object) -> str:
        """Return the word as it is listed."""
        word = str(value).strip().lower()
        if not isinstance(value, str) or word not in self.allowed:
            near = difflib.get_close_matches(word, self.allowed, n=1)
            raise ConfigurationError(
                setting, value, allowed=", ".join(map(repr, self.allowed)), fix=f"use {(near or self.allowed)[0]!r}"
            )
        return word


def names(setting: str, value: object) -> tuple[str, ...]:
    """Read a list of names, or one text with commas."""
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ConfigurationError(
        setting, value, allowed="a list of names, or one text with commas", fix=f'for example {setting}=["a", "b"]'
    )
