"""What a caller can see of a result, as plain data that compares: types, values, bytes."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from pydantic import BaseModel

# Made up by the caller's own libraries, or by the clock.
_RANDOM = ("lc_run-", "run-")
_TIMED = {"date", "timestamp"}


def describe(value: Any) -> Any:
    """Return what compares equal for two results of the same kind, types included."""
    if value is None or isinstance(value, str | bytes | int | float):
        return "(random)" if isinstance(value, str) and value.startswith(_RANDOM) else value
    if isinstance(value, type):
        return _name(value)
    return [_name(value.__class__), _inside(value)]


def _inside(value: Any) -> Any:  # noqa: PLR0911 - one for each kind of thing
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, BaseModel):
        return [
            [describe(item) for item in dict(value).items() if item[0] not in _TIMED],
            describe(value.model_extra),
            sorted(value.model_fields_set),
        ]
    if isinstance(value, dict):
        return [[str(key), describe(item)] for key, item in value.items() if key not in _TIMED]
    if isinstance(value, list | tuple | set | frozenset):
        return [describe(item) for item in value]
    if isinstance(value, BaseException):
        return _error(value)
    if dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value) if field.name not in _TIMED]
        return [[name, describe(getattr(value, name, None))] for name in fields]
    if hasattr(value, "status_code") and hasattr(value, "headers"):
        return _response(value)
    return None


def _response(response: Any) -> Any:
    headers = [pair for pair in response.headers.multi_items() if pair[0] not in _TIMED]
    try:
        body = response.content
    except Exception as error:  # noqa: BLE001 - not read: each library has its own exception for that
        body = _name(error.__class__)
    return [response.status_code, response.http_version, response.is_closed, headers, body]


def _error(error: BaseException) -> Any:
    known = {
        name: describe(getattr(error, name))
        for name in ("status_code", "body", "code", "message", "request_id", "response", "data", "raw_response")
        if hasattr(error, name)
    }
    chain = [error.__cause__, error.__context__]
    return [str(error), known, [_name(link.__class__) if link else None for link in chain]]


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
