"""A record as JSON text, and back: each field of every record by its type, so that a new one needs no line here.

What has its default is left out. Text that is no Unicode (half a surrogate pair) is kept too, as bytes instead of
text. A field that this version does not know, written by a later one, is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from orobserve.generation import Generation

if TYPE_CHECKING:
    from collections.abc import Callable

    Decoder = Callable[[Any], Any]

VERSION = 1
_VERSION_KEY, _KIND_KEY = "v", "kind"  # no record has a field of these names
_JSON = {str, int, float, bool, list, dict, type(None)}
_NEVER = object()


def encode(generation: Generation) -> str | bytes:
    """Return the record as JSON."""
    text = json.dumps(
        {_VERSION_KEY: VERSION, **_plain(generation)}, ensure_ascii=False, separators=(",", ":"), default=_simple
    )
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def decode(written: str | bytes) -> Generation:
    """Return the record that was encoded.

    Raises:
        ValueError: it is no JSON, or was written by a later version in a way that this one cannot read.
    """
    found = json.loads(text_of(written))
    if not isinstance(found, dict) or found.get(_VERSION_KEY) != VERSION:
        raise ValueError(f"a record of another version than {VERSION}: a newer orobserve reads it")
    record: Generation = _decoder_of(Generation)(found)
    return record


def text_of(written: str | bytes) -> str:
    """Return what was encoded as text, in which halves of surrogate pairs stand as they are."""
    return written if isinstance(written, str) else written.decode("utf-8", "surrogatepass")


def _simple(value: object) -> object:
    """Return what stands for a value that is no JSON: an application may have put anything into its metadata."""
    return _plain(value) if is_dataclass(value) else str(value)


def _plain(record: Any) -> dict[str, Any]:  # noqa: ANN401 - any record
    found = {}
    of: Any = type(record)
    for name, default in _defaults(of):
        value = getattr(record, name)
        kind = type(value)
        if value is default or (kind is type(default) and value == default):
            continue
        if kind in _JSON:  # nearly all are, and to ask for the others takes half of the time
            pass
        elif isinstance(value, Enum):
            value = value.value
        elif is_dataclass(value):
            value = _marked(value)
        elif isinstance(value, tuple):
            value = [_marked(item) if is_dataclass(item) else item for item in value]
        found[name] = value
    return found


def _marked(record: Any) -> dict[str, Any]:  # noqa: ANN401 - any record
    return {_KIND_KEY: type(record).__name__, **_plain(record)}


@cache
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:  # noqa: ANN401 - a record's class
    return tuple((item.name, _NEVER if item.default is MISSING else item.default) for item in fields(kind))


@cache
def _decoder_of(hint: Any) -> Decoder:  # noqa: ANN401 - a type
    """Return what makes a value of that type out of JSON."""
    origin, members = get_origin(hint), [member for member in get_args(hint) if member is not type(None)]
    if origin in {Union, UnionType}:
        kinds = {member.__name__: _decoder_of(member) for member in members if _is_record(member)}
        if len(kinds) > 1:
            return lambda value: kinds[value[_KIND_KEY]](value)
        return _unless_none(_decoder_of(members[0])) if len(members) == 1 else _as_is
    if origin is tuple:
        each = _decoder_of(members[0])
        return lambda value: tuple(map(each, value))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    return _record_decoder(hint) if _is_record(hint) else _as_is


def _is_record(hint: Any) -> bool:  # noqa: ANN401 - a type
    return isinstance(hint, type) and is_dataclass(hint)


def _unless_none(inner: Decoder) -> Decoder:
    return lambda value: None if value is None else inner(value)


def _record_decoder(kind: type[Any]) -> Decoder:
    hints = get_type_hints(kind, localns={"Mapping": Mapping, "Json": object})
    decoders = {item.name: _decoder_of(hints[item.name]) for item in fields(kind)}

    def decode_record(value: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of that kind
        return kind(**{name: decoders[name](item) for name, item in value.items() if name in decoders})

    return decode_record


def _as_is(value: Any) -> Any:  # noqa: ANN401 - JSON
    return value
