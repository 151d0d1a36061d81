"""Spans of ours that have been away: through a collector, a file, another process. Checked, then decoded.

Whoever can reach a receiver can send it anything: a value that is not what its field holds says nothing.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode

from orobserve.generation import (
    Attempt,
    CacheInfo,
    Cost,
    Enrichment,
    Error,
    Generation,
    Job,
    ProviderPreferences,
    Request,
    Routing,
    Stats,
    Stream,
    Trace,
    Usage,
)
from orobserve.telemetry import decode as decoding
from orobserve.telemetry import ids, names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orobserve.telemetry.received import Received

_KINDS: Mapping[str, type] = {
    "": Generation,
    "request": Request,
    "provider": ProviderPreferences,
    "trace": Trace,
    "usage": Usage,
    "subsets": Usage,
    "legacy_tokens": Usage,
    "cost": Cost,
    "routing": Routing,
    "cache": CacheInfo,
    "stats": Stats,
    "enrichment": Enrichment,
    "error": Error,
    "stream": Stream,
    "job": Job,
    "batch": Job,
    "attempt": Attempt,
}
_NO_RESOURCE = Resource.get_empty()  # without one, the SDK would look up that of this process for each span
_LONGEST = 1e9  # seconds
_FIRST_TOKEN = f"{names.METADATA_PREFIX}openrouter.first_token_ms"
# What our generic destinations add in Broadcast's name; the record says it in its own fields.
_BROADCASTS = {f"{names.METADATA_PREFIX}openrouter.{name}" for name in ("provider_name", "finish_reason")}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "bool": lambda value: isinstance(value, bool),
    "float": _is_number,
    "seconds": lambda value: _is_number(value) and 0 <= value < _LONGEST,
    "tuple[str, ...]": _is_list,
}
_TYPES = {
    name: str(field.type).partition(" |")[0]
    for part, kind in _KINDS.items()
    for field in fields(kind)
    if (name := names.FIELDS[part].get(field.name)) is not None
} | {
    **dict.fromkeys((names.USER_ID, names.SESSION_ID, names.APP_REFERER, names.APP_TITLE, names.API_KEY_HASH), "str"),
    names.STREAM_OUTCOME: "str",
    names.TIME_TO_FIRST_CHUNK: "seconds",
    names.ATTEMPT_PROVIDERS: "tuple[str, ...]",
    names.ATTEMPT_MODELS: "tuple[str, ...]",
}


def decode(span: Received) -> Generation | None:
    """Return the record of a call of ours; None for a span that stands for none."""
    found = decoding.decode(_readable(span))
    if found is None:
        return None
    error = found.error
    if error is not None and error.transport and "." not in error.type:  # our destinations tell of any error so
        found = replace(found, error=replace(error, transport=False))
    return found if found.parent_span_id is None else _without_named_parent(found)


def _checked(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in attributes.items()
        if (name not in _TYPES or _CHECKS[_TYPES[name]](value)) and name not in _BROADCASTS
    }


def _readable(span: Received) -> ReadableSpan:
    def context(span_id: str) -> SpanContext:
        return SpanContext(int(span.trace_id, 16), int(span_id, 16), is_remote=True)

    attributes = _checked(span.attributes)
    statuses = attributes.get(names.ATTEMPT_STATUSES, [])
    if not isinstance(statuses, list) or not all(_CHECKS["int"](status) for status in statuses):
        del attributes[names.ATTEMPT_STATUSES]
    first_token = attributes.pop(_FIRST_TOKEN, None)
    if _CHECKS["seconds"](first_token):
        attributes.setdefault(names.TIME_TO_FIRST_CHUNK, first_token / 1e3)
    return ReadableSpan(
        name=span.name,
        context=context(span.span_id),
        parent=context(span.parent_span_id) if span.parent_span_id else None,
        resource=_NO_RESOURCE,
        attributes=attributes,
        events=[Event(event.name, _checked(event.attributes), event.time) for event in span.events],
        status=Status(StatusCode.ERROR, span.message) if span.is_error else Status(),
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=InstrumentationScope(span.scope),
    )


def _without_named_parent(found: Generation) -> Generation:
    """Return the record without the link to a parent that is only a name: who delivers it makes that parent anew."""
    path = ""
    for name in (found.trace_name, found.span_name):
        path += f"/{name}" if name else ""
    own = f"{ids.named_span_id(int(found.trace_id or '0', 16), path):016x}" if path else None
    return replace(found, parent_span_id=None) if own == found.parent_span_id else found
