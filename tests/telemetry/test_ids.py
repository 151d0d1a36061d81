"""Where a call stands in its trace, by what users send: ids, names, and a local parent that wins."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind

import orobserve
from orobserve.telemetry import ids
from tests.telemetry.calls import call

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from tests.conftest import Telemetry

HEX = "0af7651916cd43dd8448eb211c80319c"
UUID = "0af76519-16cd-43dd-8448-eb211c80319c"
SPAN = "b7ad6b7169203331"


def digest(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (HEX, HEX),
        (HEX.upper(), HEX),
        (UUID, HEX),
        (UUID.upper(), HEX),
        ("trace_12345", digest("trace_12345", 32)),
        ("Grüße", digest("Grüße", 32)),
        ("\ud800", digest("\ud800", 32)),
        (HEX[:-1], digest(HEX[:-1], 32)),
        ("0" * 32, digest("0" * 32, 32)),
        (f"{HEX}\n", digest(f"{HEX}\n", 32)),
        (HEX.replace("a", "\N{FULLWIDTH DIGIT ONE}"), digest(HEX.replace("a", "\N{FULLWIDTH DIGIT ONE}"), 32)),
        ("", digest("", 32)),
    ],
)
def test_the_rule_for_trace_ids(given: str, expected: str) -> None:
    assert f"{ids.trace_id(given):032x}" == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [(SPAN, SPAN), (SPAN.upper(), SPAN), ("span-7", digest("span-7", 16)), (HEX, digest(HEX, 16))],
)
def test_the_rule_for_span_ids(given: str, expected: str) -> None:
    assert f"{ids.span_id(given):016x}" == expected


def generation_of(telemetry: Telemetry) -> ReadableSpan:
    (span,) = [span for span in telemetry.spans if span.kind is SpanKind.CLIENT]
    return span


def parent_id(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


@pytest.mark.parametrize(("given", "expected"), [(HEX, HEX), (UUID, HEX), ("my trace", digest("my trace", 32))])
def test_a_trace_id_without_a_local_span(given: str, expected: str, telemetry: Telemetry) -> None:
    telemetry.instrument()
    call(trace={"trace_id": given})
    span = telemetry.span
    assert f"{span.context.trace_id:032x}" == expected
    assert span.parent is None
    assert span.attributes["openrouter.trace.id"] == given
    call()
    assert telemetry.spans[1].context.trace_id != span.context.trace_id


def test_a_parent_span_id(telemetry: Telemetry) -> None:
    telemetry.instrument()
    call(trace={"trace_id": HEX, "parent_span_id": SPAN})
    assert f"{telemetry.span.context.trace_id:032x}" == HEX
    assert f"{parent_id(telemetry.span):016x}" == SPAN
    assert telemetry.span.parent is not None
    assert telemetry.span.parent.is_remote


def test_named_parents_are_made_once(telemetry: Telemetry) -> None:
    telemetry.instrument()
    for generation_name in ("first", "second"):
        call(
            trace={
                "trace_id": HEX,
                "trace_name": "Pipeline",
                "span_name": "Step",
                "generation_name": generation_name,
            }
        )
    spans = {span.name: span for span in telemetry.spans}
    assert sorted(span.name for span in telemetry.spans) == ["Pipeline", "Step", "first", "second"]
    assert {span.context.trace_id for span in spans.values()} == {int(HEX, 16)}
    assert parent_id(spans["Pipeline"]) is None
    assert parent_id(spans["Step"]) == spans["Pipeline"].context.span_id
    assert parent_id(spans["first"]) == parent_id(spans["second"]) == spans["Step"].context.span_id
    assert spans["Step"].kind is SpanKind.INTERNAL


def test_named_parents_have_ids_that_other_processes_find_too(telemetry: Telemetry) -> None:
    expected = []
    for _ in range(2):  # a fresh set-up stands for another process
        telemetry.exporter.clear()
        telemetry.instrument()
        call(trace={"trace_id": "job 17", "trace_name": "Pipeline"})
        expected.append({span.name: span.context.span_id for span in telemetry.spans}["Pipeline"])
        orobserve.uninstrument()
    assert expected[0] == expected[1]


def test_names_from_the_context(telemetry: Telemetry) -> None:
    telemetry.instrument()
    with orobserve.context(trace_name="Pipeline", span_name="Step", generation_name="Ask"):
        call()
    spans = {span.name: span for span in telemetry.spans}
    assert set(spans) == {"Pipeline", "Step", "Ask"}
    assert parent_id(spans["Ask"]) == spans["Step"].context.span_id
    assert parent_id(spans["Step"]) == spans["Pipeline"].context.span_id


def test_a_local_span_wins(telemetry: Telemetry) -> None:
    telemetry.instrument()
    with telemetry.tracer_provider.get_tracer("app").start_as_current_span("app") as parent:
        call(trace={"trace_id": HEX, "parent_span_id": SPAN, "trace_name": "Pipeline"})
    span = generation_of(telemetry)
    assert len(telemetry.spans) == 2
    assert parent_id(span) == parent.get_span_context().span_id
    assert span.attributes["openrouter.trace.id"] == HEX
    assert span.attributes["openrouter.trace.name"] == "Pipeline"


@pytest.mark.parametrize("wrong", [17, None, [], {"a": 1}, True])
def test_ids_of_wrong_types_are_left_alone(wrong: Any, telemetry: Telemetry) -> None:
    telemetry.instrument()
    call(trace={"trace_id": wrong, "parent_span_id": wrong, "trace_name": wrong})
    assert generation_of(telemetry).context.is_valid


def test_ids_of_the_application_are_untouched(telemetry: Telemetry) -> None:
    telemetry.instrument()
    call(trace={"trace_id": HEX})
    tracer = telemetry.tracer_provider.get_tracer("app")
    with tracer.start_as_current_span("app") as span:
        assert span.get_span_context().trace_id != int(HEX, 16)
    assert trace.get_current_span() is trace.INVALID_SPAN
