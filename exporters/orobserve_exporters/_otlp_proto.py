"""Spans as OTLP protobuf."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from orobserve_exporters._spans import plain, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve_exporters._spans import Attributes, Span, Value

CONTENT_TYPE = "application/x-protobuf"


def encode(resource: Attributes, scope: tuple[str, str], spans: Sequence[Span]) -> bytes:
    """Return the body of an export request; without spans it holds the resource, since some dislike an empty body."""
    name, version = scope
    found = ResourceSpans(resource=Resource(attributes=_attributes(resource)))
    if spans:
        group = ScopeSpans(
            scope=InstrumentationScope(name=name, version=version), spans=[_span(span) for span in spans]
        )
        found.scope_spans.append(group)
    body: bytes = ExportTraceServiceRequest(resource_spans=[found]).SerializeToString()
    return body


def partial_success(body: bytes) -> tuple[int, str]:
    """Return how many spans a response rejects, and why; ValueError: it is not OTLP protobuf."""
    try:
        found = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError as error:
        raise ValueError(str(error)) from None
    return found.rejected_spans, found.error_message


def _span(span: Span) -> SpanMessage:
    return SpanMessage(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_span_id or ""),
        name=text(span.name),
        kind=SpanMessage.SpanKind.ValueType(span.kind),
        start_time_unix_nano=span.start,
        end_time_unix_nano=span.end,
        attributes=_attributes(span.attributes),
        events=[
            SpanMessage.Event(name=event.name, time_unix_nano=event.time, attributes=_attributes(event.attributes))
            for event in span.events
        ],
        status=None if span.error is None else Status(code=Status.STATUS_CODE_ERROR, message=text(span.error)),
    )


def _attributes(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in plain(attributes).items()]


def _value(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))
