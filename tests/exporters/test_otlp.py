"""The OTLP base: its encodings against the official ones, where spans are placed, what the answers mean."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import json_format
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SDKEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

import orobserve
from orobserve.delivery import HTTPResponse, Verdict
from orobserve_exporters import _otlp, _otlp_json, _otlp_proto, _tree
from orobserve_exporters._otlp import OTLPExporter, Span
from orobserve_exporters._spans import Event, as_json, plain
from tests.exporters.generations import CHAT, SAMPLES, TRACE_ID

if TYPE_CHECKING:
    from orobserve.generation import Generation
    from orobserve.testing import Simulator
    from orobserve_exporters._otlp import Attributes
    from tests.conftest import Telemetry

SCOPE = ("orobserve", "1.2.3")
RESOURCE = {"service.name": "app", "replicas": 3}
VALUES: Attributes = {
    "text": 'naïve 日本語 👩‍👩‍👧 \u2028 \x1b"\\',
    "empty": "",
    "true": True,
    "false": False,
    "zero": 0,
    "big": 2**53 + 1,
    "low": -(2**63),
    "free": 0.0,
    "cost": 1.6e-07,
    "texts": ["a", "ü"],
    "counts": [1, 2**60],
    "shares": [0.5, 1.0],
    "flags": [True, False],
}
SPANS = [
    Span(trace_id=TRACE_ID, span_id="7af15d27557f4b05", name="Nightly", start=1, end=2),
    Span(
        trace_id=TRACE_ID,
        span_id="0000000000000001",
        parent_span_id="7af15d27557f4b05",
        name="chat ünï",
        start=1_795_375_379_563_896_444,
        end=1_795_375_380_563_896_445,
        kind=3,
        attributes=VALUES,
        events=(Event(name="exception", time=5, attributes={"exception.type": "429"}), Event(name="bare", time=6)),
        error="Rate limit exceeded",
    ),
]


class Profile(OTLPExporter):
    """The least that a profile has."""

    def url(self) -> str:
        return "http://127.0.0.1:4318/v1/traces"

    def attributes(self, generation: Generation) -> Attributes:
        return {"gen_ai.request.model": generation.request.model}


class JSONProfile(Profile):
    JSON = True
    ATTEMPTS = True
    KEEPS_ORPHANS = False


def _official(span: Span) -> ReadableSpan:
    trace_id = int(span.trace_id, 16)
    above = span.parent_span_id
    return ReadableSpan(
        name=span.name,
        context=SpanContext(trace_id, int(span.span_id, 16), is_remote=False),
        parent=SpanContext(trace_id, int(above, 16), is_remote=False) if above else None,
        resource=Resource(RESOURCE),
        attributes=span.attributes,
        events=[SDKEvent(event.name, event.attributes, event.time) for event in span.events],
        kind=SpanKind.CLIENT if span.kind == 3 else SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=InstrumentationScope(*SCOPE),
    )


def test_protobuf_is_what_the_official_exporter_sends() -> None:
    official = encode_spans([_official(span) for span in SPANS])
    for span in official.resource_spans[0].scope_spans[0].spans:
        span.ClearField("flags")  # we do not know whether a parent is remote
        if not span.status.code:
            span.ClearField("status")
    assert ExportTraceServiceRequest.FromString(_otlp_proto.encode(RESOURCE, SCOPE, SPANS)) == official


def test_json_is_what_the_official_exporter_sends() -> None:
    encoder = pytest.importorskip(
        "opentelemetry.exporter.otlp.json.common.trace_encoder",
        reason="opentelemetry-exporter-otlp-json-http is not installed",
    )
    official = encoder.encode_spans([_official(span) for span in SPANS]).to_dict()
    for span in official["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        del span["flags"]
        span.pop("status" if not span.get("status") else "", None)
    assert json.loads(_otlp_json.encode(RESOURCE, SCOPE, SPANS)) == official


def test_json_says_what_protobuf_says() -> None:
    found = json.loads(_otlp_json.encode(RESOURCE, SCOPE, SPANS))
    for span in found["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for key in {"traceId", "spanId", "parentSpanId"} & set(span):  # hex here, base64 in protobuf's own JSON
            span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    assert json_format.ParseDict(found, ExportTraceServiceRequest()) == ExportTraceServiceRequest.FromString(
        _otlp_proto.encode(RESOURCE, SCOPE, SPANS)
    )


def test_values_that_otlp_does_not_have_become_text_or_are_left_out() -> None:
    found = plain(
        {
            "none": None,
            "nothing": [],
            "holes": [None, "a", None],
            "mixed": [1, "a"],
            "object": {"a": [1]},
            "objects": [{"a": 1}],
            "nested": [["a"], ["b"]],
            "endless": float("inf"),
            "large": 2**63,
            "half": "a\ud83db",
            "nul": "a\0b",
            "half \ud83d": 1,
            "tuple": ("a", "b"),
            "date": Status(),
        }
    )
    date = found.pop("date")
    assert isinstance(date, str), "anything else is shown as text"
    assert found == {
        "holes": ["a"],
        "mixed": '[1,"a"]',
        "object": '{"a":[1]}',
        "objects": '[{"a":1}]',
        "nested": '[["a"],["b"]]',
        "endless": "inf",
        "large": str(2**63),
        "half": "a?b",
        "nul": "a\ufffdb",
        "half ?": 1,
        "tuple": ["a", "b"],
    }


@pytest.mark.parametrize(("value", "after"), [("a\0b", "a\ufffdb"), ("\\u0000", "\\u0000"), ("\\\0", "\\\ufffd")])
def test_json_text_holds_no_nul(value: str, after: str) -> None:
    assert json.loads(as_json({"k": value})) == {"k": after}


def _by_name(exporter: OTLPExporter, *batch: Generation) -> dict[str, Span]:
    return {span.name: span for generation in batch for span in exporter.spans(generation)}


def test_named_parents_have_the_ids_of_the_applications_own_spans(telemetry: Telemetry, sim: Simulator) -> None:
    import httpx

    seen: list[Generation] = []
    orobserve.on_generation(seen.append)
    telemetry.instrument(hosts=[sim.url], enrichment="never")
    trace = {"trace_id": "workflow_12345", "trace_name": "Nightly", "span_name": "Chapter", "generation_name": "Page"}
    body = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "trace": trace}
    httpx.post(f"{sim.url}/chat/completions", json=body, headers={"Authorization": "Bearer sk"})
    assert orobserve.flush(5)
    own = {span.name: span for span in telemetry.spans}
    sent = _by_name(Profile({}), *seen)
    assert set(own) == set(sent) == {"Nightly", "Chapter", "Page"}
    for name, span in sent.items():
        parent = own[name].parent
        assert span.trace_id == f"{own[name].context.trace_id:032x}"
        assert span.span_id == f"{own[name].context.span_id:016x}"
        assert span.parent_span_id == (f"{parent.span_id:016x}" if parent else None)


def test_a_named_parent_is_sent_once_and_again_only_with_its_first_child() -> None:
    exporter, later = Profile({}), replace(CHAT, span_id="0a1b2c3d4e5f6099")
    assert [span.name for span in exporter.spans(CHAT)] == ["Nightly report", "Summarise"]
    assert [span.name for span in exporter.spans(later)] == ["Summarise"]
    assert [span.name for span in exporter.spans(CHAT)] == ["Nightly report", "Summarise"], "a retry loses nothing"
    assert exporter.spans(later)[0].parent_span_id == exporter.spans(CHAT)[0].span_id
    batch = [CHAT, later]
    assert exporter.encode(batch) == exporter.encode(batch)


def test_what_is_remembered_of_parents_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tree, "_NAMED_LIMIT", 3)
    exporter = Profile({})
    for number in range(10):
        exporter.spans(replace(CHAT, trace_name=f"Night {number}"))
    assert len(exporter._tree._bringers) == 3


def test_a_parent_of_the_application_is_kept_unless_children_would_vanish() -> None:
    inside = SAMPLES["inside"]
    (kept,) = Profile({}).spans(inside)
    assert kept.parent_span_id == inside.parent_span_id
    (freed,) = JSONProfile({}).spans(inside)
    assert freed.parent_span_id is None
    assert freed.attributes["trace.metadata.parent_span_id"] == inside.parent_span_id


def test_a_parent_that_the_request_gave_wins_over_names() -> None:
    assert CHAT.request.trace is not None
    asked = replace(CHAT.request, trace=replace(CHAT.request.trace, parent_span_id="00f067aa0ba902b7"))
    (span,) = Profile({}).spans(replace(CHAT, request=asked, parent_span_id="00f067aa0ba902b7"))
    assert span.parent_span_id == "00f067aa0ba902b7"


def test_names_below_a_span_of_the_application_make_a_tree_and_keep_its_id() -> None:
    root, span = Profile({}).spans(replace(CHAT, parent_span_id="00f067aa0ba902b7"))
    assert (root.parent_span_id, span.parent_span_id) == (None, root.span_id)
    assert span.attributes["trace.metadata.parent_span_id"] == "00f067aa0ba902b7"


def test_the_parent_that_stands_for_none_is_none() -> None:
    nothing = _tree.named_id(TRACE_ID, "")
    (span,) = Profile({}).spans(replace(CHAT, trace_name=None, parent_span_id=nothing))
    assert span.parent_span_id is None


def test_attempts_are_spans_of_their_own_one_after_the_other() -> None:
    called = SAMPLES["attempts"]
    span, first, second = JSONProfile({}).spans(called)
    assert [first.name, second.name] == ["provider attempt 1: Azure", "provider attempt 2: OpenAI"]
    assert first.start == span.start
    assert first.end == second.start == span.start + 310_500_000
    assert second.end <= span.end
    assert (first.error, second.error) == ("HTTP 502", None)
    assert first.parent_span_id == second.parent_span_id == span.span_id
    assert len({span.span_id, first.span_id, second.span_id}) == 3
    assert not [key for key in (*first.attributes, *second.attributes) if "usage" in key or "model" in key]
    assert len(Profile({}).spans(called)) == 1


def test_a_failed_call_has_an_error_status_and_an_exception() -> None:
    (span,) = Profile({}).spans(SAMPLES["error"])
    (event,) = span.events
    assert span.error == "Rate limit exceeded"
    assert event.attributes == {"exception.type": "429", "exception.message": "Rate limit exceeded"}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "Summarise"),
        ({"name": None}, "chat anthropic/claude-sonnet-4"),
        ({"name": None, "request": replace(CHAT.request, model=None), "model": None}, "chat"),
    ],
)
def test_the_span_is_called_what_the_call_is_called(changes: dict[str, Any], name: str) -> None:
    assert Profile({}).span_name(replace(CHAT, **changes)) == name


def test_settings_add_headers_and_name_the_service() -> None:
    exporter = Profile({"headers": {"X-Team": "growth"}, "service_name": "shop"})
    request = exporter.encode([CHAT])
    assert request.headers == {"Content-Type": "application/x-protobuf", "X-Team": "growth"}
    found = ExportTraceServiceRequest.FromString(request.body).resource_spans[0].resource.attributes
    assert [(item.key, item.value.string_value) for item in found] == [("service.name", "shop")]
    assert JSONProfile({}).encode([CHAT]).headers["Content-Type"] == "application/json"


def test_probes_write_nothing() -> None:
    assert JSONProfile({}).probe().body == b'{"resourceSpans":[]}'
    (found,) = ExportTraceServiceRequest.FromString(Profile({}).probe().body).resource_spans
    assert not found.scope_spans


def _protobuf(rejected: int, message: str) -> bytes:
    partial = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
    return ExportTraceServiceResponse(partial_success=partial).SerializeToString()


@pytest.mark.parametrize(
    ("content_type", "body", "rejected", "reason"),
    [
        ("application/json", b'{"partialSuccess":{"rejectedSpans":"2","errorMessage":"old"}}', 2, "old"),
        ("application/json; charset=utf-8", b'{"partialSuccess":{"rejectedSpans":3}}', 3, ""),
        ("application/json", b'{"partialSuccess":{"errorMessage":"careful"}}', 0, "careful"),
        ("application/json", b'{"partialSuccess":null}', 0, ""),
        ("application/json", b"[]", 0, ""),
        ("application/json", b"null", 0, ""),
        ("application/json", b"OK", 0, ""),
        ("application/json", b'{"partialSuccess":{"rejectedSpans":"many"}}', 0, ""),
        ("application/x-protobuf", _protobuf(4, "late"), 4, "late"),
        ("application/x-protobuf", _protobuf(0, ""), 0, ""),
        ("text/html", b"<html>", 0, ""),
        ("", b"", 0, ""),
    ],
)
@pytest.mark.parametrize("kind", [Profile, JSONProfile])
def test_a_partial_success_is_delivered_and_says_so(
    kind: type[OTLPExporter], content_type: str, body: bytes, rejected: int, reason: str
) -> None:
    result = kind({}).judge(HTTPResponse(status=200, headers={"content-type": content_type}, body=body))
    assert (result.verdict, result.rejected, result.reason) == (Verdict.DELIVERED, rejected, reason)


def test_a_refusal_is_judged_by_its_status() -> None:
    assert Profile({}).judge(HTTPResponse(status=503, body=b'{"partialSuccess":{}}')).verdict is Verdict.RETRY


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("https://a.b", "https://a.b/v1/traces"),
        ("https://a.b/", "https://a.b/v1/traces"),
        ("https://a.b/v1/traces", "https://a.b/v1/traces"),
        ("https://a.b/x/", "https://a.b/x/v1/traces"),
    ],
)
def test_endpoint(base: str, address: str) -> None:
    assert _otlp.endpoint(base, "/v1/traces") == address
