"""Trace exports of OTLP over HTTP, protobuf and JSON: bytes in, spans out, and what is answered. It knows no attribute.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from orobserve.proxy.otlp_values import LATEST, attributes, integer, text
from orobserve.telemetry.received import Event, Received

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_ERROR = 2  # the status code of a failed span
_WRAPPERS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's window bits, which say what stands around the data


class Encoding(Enum):
    """How a request is written, by its content type; the answer is written in the same way."""

    JSON = "application/json"
    PROTOBUF = "application/x-protobuf"


class MalformedError(ValueError):
    """The body is no trace export. The message quotes nothing of it."""


class TooLargeError(ValueError):
    """The body is larger than allowed once it is decompressed."""


class _UnreadableError(ValueError):
    """One span cannot be read; the others can. The message quotes nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What an export request holds: the spans, how many could not be read, and why the first of those could not."""

    spans: tuple[Received, ...] = ()
    rejected: int = 0
    reason: str = ""


def encoding_of(content_type: str) -> Encoding | None:
    """Return the encoding that a content type names, whatever its parameters; None: it is none of OTLP's."""
    kind = content_type.partition(";")[0].strip().lower()
    return next((found for found in Encoding if found.value == kind), None)


def is_compression(name: str) -> bool:
    """Tell whether `inflate` knows a content encoding."""
    return name in _WRAPPERS or name in {"", "identity"}


def inflate(body: bytes, compression: str, limit: int) -> bytes:
    """Return a body decompressed. No more than `limit` bytes are ever made of it.

    Raises:
        MalformedError: it is not compressed in that way, or incomplete.
        TooLargeError: it would be larger.
    """
    if compression not in _WRAPPERS or not body:
        return body
    found: list[bytes] = []
    room = limit
    while body:  # gzip may have several members
        inflater = zlib.decompressobj(_WRAPPERS[compression])
        try:
            piece = inflater.decompress(body, room + 1)
        except zlib.error:
            raise MalformedError(f"the body is not {compression}") from None
        if len(piece) > room:
            raise TooLargeError(f"the body has more than {limit} bytes when it is decompressed")
        if not inflater.eof:
            raise MalformedError(f"the {compression} of the body is incomplete")
        found.append(piece)
        room -= len(piece)
        body = inflater.unused_data
    return b"".join(found)


def read(body: bytes, encoding: Encoding) -> Export:
    """Return the spans of an export request. A span that cannot be read does not take the others with it.

    Raises:
        MalformedError: the body is no export request.
    """
    document = _json(body) if encoding is Encoding.JSON else _protobuf(body)
    spans: list[Received] = []
    rejected, reason = 0, ""
    for resource, scope, span in _walk(document):
        found = _readable(span, scope, resource)
        if isinstance(found, str):
            rejected, reason = rejected + 1, reason or found
        else:
            spans.append(found)
    return Export(spans=tuple(spans), rejected=rejected, reason=reason)


def accepted(encoding: Encoding, rejected: int = 0, reason: str = "") -> bytes:
    """Return the body of a success, which may be partial."""
    if encoding is Encoding.JSON:
        partial = {"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": reason}} if rejected else {}
        return json.dumps(partial, separators=(",", ":")).encode()
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service  # noqa: PLC0415 - slow to import

    answer = service.ExportTraceServiceResponse()
    if rejected:
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = reason
    return bytes(answer.SerializeToString())


def refusal(encoding: Encoding, message: str) -> bytes:
    """Return the body of an error: a `google.rpc.Status`."""
    if encoding is Encoding.JSON:
        return json.dumps({"message": message}, separators=(",", ":")).encode()
    from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # noqa: PLC0415

    return bytes(Status(message=message).SerializeToString())


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise MalformedError("the body is not JSON") from None
    if not isinstance(document, dict):
        raise MalformedError("the body is not a JSON object")
    return document


def _protobuf(body: bytes) -> Mapping[str, Any]:
    """Return the request in the shape of OTLP's JSON, so that both are read by the same code."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # noqa: PLC0415
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service  # noqa: PLC0415

    try:
        request = service.ExportTraceServiceRequest.FromString(body)
    except (DecodeError, RecursionError):
        raise MalformedError("the body is not an ExportTraceServiceRequest") from None
    from orobserve.proxy import otlp_proto  # noqa: PLC0415

    return otlp_proto.as_document(request)


def _walk(document: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    """Yield each span with the attributes of its resource and the name of its scope."""
    for group in _list(document, "resourceSpans"):
        resource = attributes(_object(group, "resource"))
        for scope_group in _list(group, "scopeSpans"):
            scope = text(_object(scope_group, "scope").get("name"))
            for span in _list(scope_group, "spans"):
                yield resource, scope, span


def _list(holder: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    found = holder.get(key)
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise MalformedError(f"{key} is not a list of objects")
    return found


def _object(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = holder.get(key)
    if found is not None and not isinstance(found, dict):
        raise MalformedError(f"{key} is not an object")
    return found or {}


def _readable(span: Mapping[str, Any], scope: str, resource: Mapping[str, Any]) -> Received | str:
    """Return a span, or why it cannot be read."""
    try:
        return _span(span, scope, resource)
    except _UnreadableError as error:
        return str(error)
    except RecursionError:
        return "an attribute is nested too deeply"


def _span(span: Mapping[str, Any], scope: str, resource: Mapping[str, Any]) -> Received:
    start, end = _time(span, "startTimeUnixNano"), _time(span, "endTimeUnixNano")
    status = span.get("status")
    given = status if isinstance(status, dict) else {}
    events = span.get("events")
    return Received(
        trace_id=_id(span, "traceId", 32),
        span_id=_id(span, "spanId", 16),
        parent_span_id=_parent(span),
        name=text(span.get("name")),
        start=start,
        end=max(start, end),  # clocks are set back
        scope=scope,
        resource=resource,
        attributes=attributes(span),
        events=tuple(_event(event) for event in events if isinstance(event, dict)) if isinstance(events, list) else (),
        is_error=given.get("code") == _ERROR,
        message=text(given.get("message")) or None,
    )


def _id(span: Mapping[str, Any], key: str, digits: int) -> str:
    found = span.get(key)
    if isinstance(found, str) and len(found) == digits:
        try:
            if any(bytes.fromhex(found)):
                return found.lower()
        except ValueError:
            pass
    raise _UnreadableError(f"{key} is not {digits} hex digits, or all of them are 0")


def _parent(span: Mapping[str, Any]) -> str | None:
    is_root = span.get("parentSpanId") in (None, "", "0" * 16)
    return None if is_root else _id(span, "parentSpanId", 16)


def _time(span: Mapping[str, Any], key: str) -> int:
    found = integer(span.get(key))
    if found is None or not 0 < found < LATEST:
        raise _UnreadableError(f"{key} is no time in nanoseconds since 1970")
    return found


def _event(event: Mapping[str, Any]) -> Event:
    return Event(
        name=text(event.get("name")), time=integer(event.get("timeUnixNano")) or 0, attributes=attributes(event)
    )
