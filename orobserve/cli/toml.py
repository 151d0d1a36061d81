"""Destination objects as TOML text. It writes what JSON can hold, except null, which is left out."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def destinations(objects: Iterable[Mapping[str, Any]]) -> str:
    """Return `[[destinations]]` tables, the nested objects of each as tables of their own."""
    return "\n".join(_destination(item) for item in objects)


def _destination(item: Mapping[str, Any]) -> str:
    lines = ["[[destinations]]", *(_line(key, value) for key, value in item.items() if not isinstance(value, dict))]
    for key, value in item.items():
        if isinstance(value, dict) and value:
            lines += ["", f"[destinations.{_key(key)}]", *(_line(name, entry) for name, entry in value.items())]
    return "".join(f"{line}\n" for line in lines if line is not None)


def _line(key: str, value: object) -> str | None:
    return None if value is None else f"{_key(key)} = {_value(value)}"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None) + " }"
        )
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value if item is not None) + "]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    whole = text.encode("utf-8", "replace").decode()  # TOML has no lone surrogates
    return json.dumps(whole, ensure_ascii=False).replace("\x7f", "\\u007f")
