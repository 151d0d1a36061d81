"""OTLP over HTTP into spans: both encodings alike, strict about what a span is, and one bad span is alone in it."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from orobserve.proxy import otlp
from orobserve.proxy.intake import Intake
from orobserve.proxy.otlp import Encoding
from orobserve.receivers import Receivers
from orobserve_exporters.otel_collector import OTelCollector
from orobserve_exporters.webhook import Webhook
from tests.exporters.generations import SAMPLES
from tests.proxy.served import SPAN, TRACE, request, span

if TYPE_CHECKING:
    from orobserve.telemetry.received import Received


def read(*spans: dict[str, Any], **more: Any) -> otlp.Export:
    return otlp.read(json.dumps(request(*spans, **more)).encode(), Encoding.JSON)


def one(*spans: dict[str, Any], **more: Any) -> Received:
    (found,) = read(*spans, **more).spans
    return found


def valued(value: Any) -> Any:
    """Return what an attribute's value is read as."""
    return one(span(attributes=[{"key": "a", "value": value}])).attributes.get("a")


def test_both_encodings_say_the_same() -> None:
    batch = list(SAMPLES.values())
    webhook = Webhook({"url": "http://x/", "method": "POST"}).encode(batch)
    collector = OTelCollector({"endpoint": "http://x/"}).encode(batch)
    told = otlp.read(webhook.body, Encoding.JSON)
    assert told == otlp.read(collector.body, Encoding.PROTOBUF)
    assert (told.rejected, len(told.spans)) == (0, 20)


def test_a_span() -> None:
    event = {"name": "exception", "timeUnixNano": 5, "attributes": [{"key": "b", "value": {"boolValue": False}}]}
    found = one(
        span({"a": 1}, parentSpanId="AA" * 8, events=[event], status={"code": 2, "message": "no"}),
        scope="lib",
        resource={"service.name": "app"},
    )
    assert (found.trace_id, found.span_id, found.parent_span_id) == (TRACE, SPAN, "aa" * 8)
    assert (found.scope, found.resource, found.attributes) == ("lib", {"service.name": "app"}, {"a": 1})
    assert (found.is_error, found.message) == (True, "no")
    assert [(each.name, each.time, each.attributes) for each in found.events] == [("exception", 5, {"b": False})]
    assert found.end - found.start == 2_000_000_000
    assert "Received(" in repr(found)
    assert "'a'" not in repr(found)  # attributes may quote a prompt


@pytest.mark.parametrize("body", [b"", b"{}", b'{"resourceSpans":null}', b'{"resourceSpans":[{}],"more":1}'])
def test_an_empty_export(body: bytes) -> None:
    assert otlp.read(body, Encoding.JSON) == otlp.Export()


@pytest.mark.parametrize(
    "changes",
    [
        {"traceId": None},
        {"traceId": TRACE[:-1]},
        {"traceId": "g" * 32},
        {"traceId": "0" * 32},
        {"traceId": "evFdJ1V/S3tFR7ZoEfxnUg=="},  # base64, as protobuf's own JSON has it
        {"spanId": 5},
        {"spanId": "ab cd ef 12 34 5"},
        {"parentSpanId": "xyz"},
        {"startTimeUnixNano": 0},
        {"startTimeUnixNano": None},
        {"startTimeUnixNano": "soon"},
        {"startTimeUnixNano": 1.5},
        {"endTimeUnixNano": str(2**64)},
        {"endTimeUnixNano": "9" * 5000},
    ],
)
def test_spans_that_cannot_be_read(changes: dict[str, Any]) -> None:
    found = read(span(), span(**changes), span(spanId="1" * 16))
    assert (len(found.spans), found.rejected) == (2, 1)
    assert next(iter(changes)) in found.reason


def test_what_is_mended() -> None:
    assert one(span(parentSpanId="")).parent_span_id is None
    assert one(span(parentSpanId="0" * 16)).parent_span_id is None
    assert one(span(traceId=TRACE.upper())).trace_id == TRACE
    back = one(span(startTimeUnixNano=2_000, endTimeUnixNano=1_000))
    assert (back.start, back.end) == (2_000, 2_000)
    assert not one(span(status=[], events={}, attributes=5)).is_error
    assert not one(span(status={"code": []})).is_error


@pytest.mark.parametrize(
    ("value", "read_as"),
    [
        ({"stringValue": "ü"}, "ü"),
        ({"stringValue": "\ud83d"}, "?"),
        ({"stringValue": ""}, ""),
        ({"boolValue": False}, False),
        ({"intValue": "9007199254740993"}, 9007199254740993),
        ({"intValue": 5}, 5),
        ({"intValue": str(2**63)}, None),
        ({"intValue": "five"}, None),
        ({"doubleValue": 0.5}, 0.5),
        ({"doubleValue": 5}, 5.0),
        ({"doubleValue": "NaN"}, None),
        ({"doubleValue": 10**400}, None),
        ({"doubleValue": True}, None),
        ({"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": 1}]}}, ["a", 1]),
        ({"arrayValue": {}}, []),
        ({"arrayValue": 5}, None),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"intValue": 1}}, 5, {"key": 5}]}}, {"k": 1}),
        ({"kvlistValue": 5}, None),
        ({"bytesValue": "AAA="}, None),
        ({"stringValue": None, "intValue": 1}, 1),
        ({}, None),
        (None, None),
    ],
)
def test_values(value: Any, read_as: Any) -> None:
    assert valued(value) == read_as


def test_values_of_protobuf() -> None:
    values = {
        "text": AnyValue(string_value="ü"),
        "yes": AnyValue(bool_value=True),
        "int": AnyValue(int_value=-5),
        "float": AnyValue(double_value=0.5),
        "list": AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1)])),
        "map": AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=AnyValue(int_value=1))])),
        "bytes": AnyValue(bytes_value=b"x"),
        "nothing": AnyValue(),
    }
    message = ExportTraceServiceRequest()
    made = message.resource_spans.add().scope_spans.add().spans.add()
    made.trace_id, made.span_id = bytes.fromhex(TRACE), bytes.fromhex(SPAN)
    made.start_time_unix_nano = made.end_time_unix_nano = 1
    made.attributes.extend(KeyValue(key=name, value=value) for name, value in values.items())
    (found,) = otlp.read(message.SerializeToString(), Encoding.PROTOBUF).spans
    wanted = {"text": "ü", "yes": True, "int": -5, "float": 0.5, "list": [1], "map": {"k": 1}}
    assert found.attributes == wanted


def test_nested_too_deeply() -> None:
    deep: Any = {"intValue": 1}
    for _ in range(300):
        deep = {"arrayValue": {"values": [deep]}}
    found = read(span(), span(attributes=[{"key": "a", "value": deep}]))
    assert len(found.spans) + found.rejected == 2
    with pytest.raises(otlp.MalformedError):
        otlp.read(b"[" * 200_000, Encoding.JSON)


def test_inflating() -> None:
    assert otlp.inflate(b"", "gzip", 10) == b""
    assert otlp.inflate(gzip.compress(b"x" * 10), "gzip", 10) == b"x" * 10
    assert not otlp.is_compression("zstd")
    with pytest.raises(otlp.TooLargeError):
        otlp.inflate(gzip.compress(b"x" * 11), "gzip", 10)
    with pytest.raises(otlp.MalformedError):
        otlp.inflate(b"\x1f\x8b", "gzip", 10)


def test_answers() -> None:
    assert otlp.accepted(Encoding.JSON) == b"{}"
    assert otlp.accepted(Encoding.PROTOBUF) == b""
    partial = ExportTraceServiceResponse.FromString(otlp.accepted(Encoding.PROTOBUF, 2, "no")).partial_success
    assert (partial.rejected_spans, partial.error_message) == (2, "no")


KEYS = st.sampled_from(["resourceSpans", "scopeSpans", "spans", "resource", "scope", "attributes", "name", "key"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(ANYTHING)
def test_any_json_is_read_or_malformed(document: Any) -> None:
    for body in (document, {"resourceSpans": [{"scopeSpans": [{"spans": [document]}]}]}):
        with suppress(otlp.MalformedError):
            otlp.read(json.dumps(body).encode(), Encoding.JSON)


NAMES = sorted({name for record in otlp.read(
    Webhook({"url": "http://x/", "method": "POST"}).encode(list(SAMPLES.values())[:14]).body, Encoding.JSON
).spans for name in record.attributes})  # fmt: skip
VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["[]", "{}", '[{"role":"user","parts":[{"type":"text","content":5}]}]', '{"messages":[1,{}]}']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
BASE = {
    "openrouter.api.type": "chat_completions",
    "gen_ai.operation.name": "chat",
    "server.address": "openrouter.ai",
    "server.port": 443,
}


@given(
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8),
    st.booleans(),
    st.sampled_from(["orobserve", "openrouter", "other"]),
)
def test_any_attributes_make_a_record_that_can_be_sent_on(given: dict[str, Any], is_whole: bool, scope: str) -> None:
    from orobserve.delivery.letters import weigh
    from orobserve.telemetry.received import Received

    attributes = {**BASE, **given} if is_whole else {**given, "server.address": "openrouter.ai"}
    made = Received(trace_id=TRACE, span_id=SPAN, name="n", start=1, end=2, scope=scope, attributes=attributes)
    records, unreadable = Intake(Receivers()).read([made])
    assert unreadable == 0
    for record in records:
        weigh(record)
        again = otlp.read(Webhook({"url": "http://x/", "method": "POST"}).encode([record]).body, Encoding.JSON)
        assert again.rejected == 0
