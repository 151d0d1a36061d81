"""Spans as OTLP JSON: hex ids, 64-bit integers as decimal text, numbers for enums, no empty lists.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orobserve_exporters._spans import plain, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve_exporters._spans import Attributes, Event, Span, Value

CONTENT_TYPE = "application/json"  # exactly: receivers refuse it with a charset
EMPTY = b'{"resourceSpans":[]}'


def encode(resource: Attributes, scope: tuple[str, str], spans: Sequence[Span]) -> bytes:
    """Return the body of an export request."""
    name, version = scope
    group = {"scope": {"name": name, "version": version}, "spans": [_span(span) for span in spans]}
    request = {"resourceSpans": [{"resource": _attributes(resource), "scopeSpans": [group]}]}
    return json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()


def partial_success(body: bytes) -> tuple[int, str]:
    """Return how many spans a response rejects, and why; ValueError: it is not OTLP JSON."""
    response = json.loads(body)
    found = response.get("partialSuccess") if isinstance(response, dict) else None
    if not isinstance(found, dict):
        return 0, ""
    return int(found.get("rejectedSpans") or 0), str(found.get("errorMessage") or "")


def _span(span: Span) -> dict[str, Any]:
    found: dict[str, Any] = {"traceId": span.trace_id, "spanId": span.span_id}
    if span.parent_span_id:
        found["parentSpanId"] = span.parent_span_id
    found |= {
        "name": text(span.name),
        "kind": span.kind,
        "startTimeUnixNano": str(span.start),
        "endTimeUnixNano": str(span.end),
        **_attributes(span.attributes),
    }
    if span.events:
        found["events"] = [_event(event) for event in span.events]
    if span.error is not None:
        found["status"] = {"message": text(span.error), "code": 2}
    return found


def _event(event: Event) -> dict[str, Any]:
    return {"timeUnixNano": str(event.time), "name": event.name, **_attributes(event.attributes)}


def _attributes(attributes: Attributes) -> dict[str, Any]:
    found = [{"key": name, "value": _value(value)} for name, value in plain(attributes).items()]
    return {"attributes": found} if found else {}


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"arrayValue": {"values": [_value(item) for item in value]}}
