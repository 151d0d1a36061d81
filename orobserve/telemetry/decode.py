"""Spans of ours back into records: the table of `names`, read the other way. It must not know HTTP or destinations.

What a span does not say stays unknown: counts of 0 among the token subsets, the HTTP status, the times of single
chunks. Custom metadata comes back as the request's, wherever it was from.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry.trace import StatusCode, format_span_id, format_trace_id

from orobserve.generation import (
    Attempt,
    CacheInfo,
    Content,
    Cost,
    Enrichment,
    Error,
    Generation,
    Job,
    Media,
    Message,
    Outcome,
    ProviderPreferences,
    Reasoning,
    Request,
    Routing,
    Stats,
    Stream,
    Text,
    Timing,
    ToolCall,
    ToolCallResponse,
    Trace,
    Usage,
    fill,
)
from orobserve.telemetry import names
from orobserve.wire.values import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan

    from orobserve.generation import Part

_Record = TypeVar("_Record")
_Fields = dict[str, Any]

_OUTCOMES = {
    "completed": Outcome.COMPLETE,
    "cancelled": Outcome.CANCELLED,  # and abandoned: a span does not tell them apart
    "truncated": Outcome.TRUNCATED,
    "error": Outcome.FAILED,
}
_KINDS: Mapping[str, type] = {
    "usage": Usage,
    "cost": Cost,
    "routing": Routing,
    "cache": CacheInfo,
    "error": Error,
    "job": Job,
    "stats": Stats,
    "enrichment": Enrichment,
}
_HOMES = {"subsets": "usage", "batch": "job"}  # parts of the table that are no part of the record
_IDENTITY = {
    names.USER_ID: "user",
    names.SESSION_ID: "session_id",
    names.APP_REFERER: "referer",
    names.APP_TITLE: "title",
    names.API_KEY_HASH: "api_key_hash",
}
_PLACES = {name: ("request", field) for name, field in _IDENTITY.items()} | {
    name: (_HOMES.get(part, part), field)
    for part, table in names.FIELDS.items()
    if part != "attempt"  # on events, under some names that the span has too
    for field, name in table.items()
}
_ATTEMPTS = {
    names.ATTEMPT_PROVIDERS: "provider",
    names.ATTEMPT_MODELS: "model",
    names.ATTEMPT_STATUSES: "status",
}
_OWN = {"api_type", "operation", "server_address", "server_port"}  # what no record is without
_PARTS = {kind.type: kind for kind in (Text, Reasoning, ToolCall, ToolCallResponse)}
_REQUIRED = {
    kind: {item.name for item in fields(kind) if item.default is MISSING}
    for kind in (*_KINDS.values(), *_PARTS.values(), Media)
}


def decode(span: ReadableSpan) -> Generation | None:
    """Return the record of a finished call, with the ids of its span; None for a span that stands for no call of ours.

    Another instrumentation's span that was enriched with what we know stands for the call too.
    """
    attributes, start, end, context = span.attributes or {}, span.start_time, span.end_time, span.get_span_context()
    parts = _parts(attributes)
    own = parts.pop("", {})
    if start is None or end is None or context is None or not own.keys() >= _OWN:
        return None
    found: _Fields = {part: _made(kind, parts[part]) for part, kind in _KINDS.items() if part in parts}
    stream = attributes.get(names.STREAM_OUTCOME)
    if stream is not None:
        found["stream"] = fill(Stream, parts.get("stream", {}))
    if "error" in found:
        found["error"] = _error(span, parts["error"])
    attempts = _attempts(span)
    if attempts:
        found["routing"] = fill(Routing, {**parts.get("routing", {}), "attempts": attempts})
    if "job" in parts and "poll_count" in parts["job"]:  # only a finished job is told with its polls
        found["job"] = _made(Job, {**parts["job"], "finished": True})
    default = Outcome.COMPLETE if found.get("error") is None else Outcome.FAILED
    found |= {
        "outcome": _OUTCOMES.get(str(stream), default),
        "timing": _timing(start, end, attributes.get(names.TIME_TO_FIRST_CHUNK)),
        "request": _request(parts, attributes),
        "content": read_content(attributes),
        "trace_id": format_trace_id(context.trace_id),
        "span_id": format_span_id(context.span_id),
        "parent_span_id": format_span_id(span.parent.span_id) if span.parent is not None else None,
    }
    return fill(Generation, {**_names(span, own, parts), **own, **found})


def _parts(attributes: Mapping[str, Any]) -> dict[str, _Fields]:
    """Return the fields that are known, by the part of the record they stand in."""
    parts: dict[str, _Fields] = {}
    for name, value in attributes.items():
        if name in _PLACES:
            part, field = _PLACES[name]
            parts.setdefault(part, {})[field] = tuple(value) if isinstance(value, (list, tuple)) else value
    legacy = parts.pop("legacy_tokens", None)
    if legacy is not None:
        parts["usage"] = {**legacy, **parts.get("usage", {})}
    return parts


def _names(span: ReadableSpan, own: _Fields, parts: Mapping[str, _Fields]) -> _Fields:
    """Return what the call and its parents are called where they were named: a span's usual name is nobody's choice."""
    given, asked = parts.get("trace", {}), parts.get("request", {}).get("model")
    name = given.get("generation_name")
    scope = span.instrumentation_scope
    if scope is not None and scope.name == names.SCOPE:
        usual = f"{own['operation']} {asked}" if asked else own["operation"]
        name = None if span.name == usual else span.name
    return {"name": name, "trace_name": given.get("trace_name"), "span_name": given.get("span_name")}


def _made(kind: type[_Record], given: _Fields) -> _Record | None:
    """Return a part of the record, or None where the span has lost what the part cannot be without."""
    return fill(kind, given) if given.keys() >= _REQUIRED[kind] else None


def _timing(start: int, end: int, first_chunk: Any) -> Timing:  # noqa: ANN401 - of a span, which may be anybody's
    seconds = isinstance(first_chunk, (int, float))
    return Timing(started_at=start, ended_at=end, first_chunk_at=start + round(first_chunk * 1e9) if seconds else None)


def _error(span: ReadableSpan, given: _Fields) -> Error | None:
    raised = {(event.attributes or {}).get(names.EXCEPTION_TYPE) for event in span.events}
    message = span.status.description if span.status.status_code is StatusCode.ERROR else None
    return _made(Error, {**given, "message": message, "transport": given.get("type") in raised})


def _attempts(span: ReadableSpan) -> tuple[Attempt, ...]:
    """Return the tried providers: from the events that describe each, else from the lists."""
    table = {name: field for field, name in names.FIELDS["attempt"].items()}
    told: list[_Fields] = [
        {table[name]: value for name, value in (event.attributes or {}).items() if name in table}
        for event in span.events
        if event.name == names.ATTEMPT_EVENT
    ]
    if told:
        return tuple(Attempt(**fields) for fields in told)
    lists = {field: (span.attributes or {}).get(name) for name, field in _ATTEMPTS.items()}
    columns = {field: column for field, column in lists.items() if isinstance(column, (list, tuple))}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=False)]
    return tuple(Attempt(**{field: value or None for field, value in row.items()}) for row in rows)  # "", 0: unknown


def _request(parts: Mapping[str, _Fields], attributes: Mapping[str, Any]) -> Request:
    given = dict(parts.get("request", {}))
    prefix = names.METADATA_PREFIX
    metadata = {name[len(prefix) :]: _said(value) for name, value in attributes.items() if name.startswith(prefix)}
    if "provider" in parts:
        given["provider"] = fill(ProviderPreferences, parts["provider"])
    if metadata or "trace" in parts:
        given["trace"] = fill(Trace, {**parts.get("trace", {}), **({"metadata": metadata} if metadata else {})})
    return fill(Request, given)


def _said(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Undo what was done to lists and objects so that an attribute could hold them; other texts stay as they are."""
    if isinstance(value, str) and value[:1] in {"[", "{"}:
        parsed = _parsed(value)
        return parsed if json.dumps(parsed) == value else value
    return value


def _parsed(text: object) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):  # cut by a length limit of the SDK, or not ours
        return None


def read_content(attributes: Mapping[str, Any]) -> Content | None:
    """Return what was said, where the span carries any of it."""
    if not attributes.keys() & {names.INPUT_MESSAGES, names.OUTPUT_MESSAGES, names.SYSTEM_INSTRUCTIONS}:
        return None
    told = {
        name: items if isinstance(items := _parsed(attributes.get(name)), list) else []
        for name in (names.INPUT_MESSAGES, names.OUTPUT_MESSAGES, names.SYSTEM_INSTRUCTIONS, names.TOOL_DEFINITIONS)
    }
    return Content(
        input=_messages(told[names.INPUT_MESSAGES]),
        output=_messages(told[names.OUTPUT_MESSAGES]),
        system=_message_parts(told[names.SYSTEM_INSTRUCTIONS]),
        tools=tuple(told[names.TOOL_DEFINITIONS]),
    )


def _messages(told: list[Any]) -> tuple[Message, ...]:
    return tuple(
        Message(
            role=item["role"],
            parts=_message_parts(item["parts"]),
            name=text(item.get("name")),
            finish_reason=text(item.get("finish_reason")),
        )
        for item in told
        if isinstance(item, dict) and isinstance(item.get("role"), str) and isinstance(item.get("parts"), list)
    )


def _message_parts(told: list[Any]) -> tuple[Part, ...]:
    """Return the parts that are known to us; an instrumentation whose span we enriched may have others."""
    found: list[Part] = []
    for item in told:
        if isinstance(item, dict):
            kind: type[Part] = _PARTS.get(str(item.get("type")), Media)
            given = {field.name: item[field.name] for field in fields(kind) if field.name in item}
            if given.keys() >= _REQUIRED[kind] and isinstance(given.get("content", ""), str):
                found.append(kind(**given))
    return tuple(found)
