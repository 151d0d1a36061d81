"""What a destination that speaks OTLP makes of a call, read back from the bytes that it would send."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from orobserve.delivery import HTTPExporter
    from orobserve.generation import Generation


def make(kind: type[HTTPExporter], **config: Any) -> Any:
    """Make an exporter as the settings would."""
    return kind({**{field.name: field.default for field in kind.FIELDS}, **config})


def spans_of(body: bytes) -> list[Span]:
    """Return the spans of an export request."""
    found = ExportTraceServiceRequest.FromString(body)
    return [span for resource in found.resource_spans for scope in resource.scope_spans for span in scope.spans]


def resource_of(body: bytes) -> dict[str, Any]:
    """Return the attributes of the one resource."""
    (found,) = ExportTraceServiceRequest.FromString(body).resource_spans
    return attributes_of(found.resource)


def attributes_of(found: Any) -> dict[str, Any]:
    """Return the attributes of a span, a resource or an event; JSON objects and lists are read."""
    return {pair.key: read(_plain(pair.value)) for pair in found.attributes}


def span_of(exporter: HTTPExporter, call: Generation) -> Span:
    """Return the span of a call, which has its id, without its parents."""
    (span,) = (span for span in spans_of(exporter.encode([call]).body) if span.span_id.hex() == call.span_id)
    return span


def sent(exporter: HTTPExporter, call: Generation) -> dict[str, Any]:
    """Return what the call's span carries."""
    return attributes_of(span_of(exporter, call))


def read(value: Any) -> Any:
    """Read JSON text of an object or a list."""
    return json.loads(value) if isinstance(value, str) and value[:1] in {"{", "["} else value


def _plain(value: AnyValue) -> Any:
    if value.WhichOneof("value") == "array_value":
        return [_plain(item) for item in value.array_value.values]
    return getattr(value, str(value.WhichOneof("value")))
