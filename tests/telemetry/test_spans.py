"""The span of a call: name, kind, status, start attributes, parent, times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode

from orobserve import __version__
from tests.telemetry.calls import ANSWER, call, delta, sse

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Telemetry

FAILED = {"code": 502, "message": "Provider returned error", "metadata": {"error_type": "provider_unavailable"}}
UNSET, ERROR = StatusCode.UNSET, StatusCode.ERROR


@pytest.mark.parametrize(
    ("path", "fields", "name"),
    [
        ("/chat/completions", {"model": "openai/gpt-4o:nitro"}, "chat openai/gpt-4o:nitro"),
        ("/chat/completions", {"model": None}, "chat"),
        ("/chat/completions", {"model": None, "models": ["a/b", "c/d"]}, "chat a/b"),
        ("/completions", {"model": "m", "prompt": "p"}, "text_completion m"),
        ("/responses", {"model": "m", "input": "p"}, "chat m"),
        ("/messages", {"model": "m"}, "chat m"),
        ("/embeddings", {"model": "m", "input": "p"}, "embeddings m"),
        ("/rerank", {"model": "m", "query": "q", "documents": ["d"]}, "rerank m"),
        ("/images", {"model": "m", "prompt": "p"}, "generate_content m"),
        ("/audio/speech", {"model": "m", "input": "p"}, "generate_content m"),
        ("/audio/transcriptions", {"model": "m"}, "transcription m"),
        ("/videos", {"model": "m", "prompt": "p"}, "generate_content m"),
        ("/batches", {"model": None}, "batch"),
    ],
)
def test_names_and_kind(path: str, fields: dict[str, Any], name: str, telemetry: Telemetry) -> None:
    telemetry.instrument()
    call({}, path=path, **fields)
    assert telemetry.span.name == name
    assert telemetry.span.kind is SpanKind.CLIENT
    assert telemetry.span.attributes["gen_ai.provider.name"] == "openrouter"
    scope = telemetry.span.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.version) == ("orobserve", __version__)
    assert scope.schema_url == "https://opentelemetry.io/schemas/1.37.0"


@pytest.mark.parametrize(
    ("answer", "status", "expected", "error_type", "finish"),
    [
        pytest.param(ANSWER, 200, UNSET, None, ("stop",), id="success"),
        pytest.param({"error": FAILED}, 502, ERROR, "provider_unavailable", None, id="HTTP error with a type"),
        pytest.param({"error": {"code": 429, "message": "slow"}}, 429, ERROR, "429", None, id="HTTP error without"),
        pytest.param({"error": FAILED}, 200, ERROR, "provider_unavailable", None, id="error envelope in a 200"),
        pytest.param(
            {"choices": [{"finish_reason": "error", "error": FAILED, "message": {}}]},
            200,
            ERROR,
            "provider_unavailable",
            ("error",),
            id="error in a choice",
        ),
        pytest.param(
            {"choices": [{"finish_reason": "error", "message": {}}]}, 200, ERROR, "_OTHER", ("error",), id="reason only"
        ),
        pytest.param(
            sse(delta("a"), {**delta(finish_reason="error"), "error": FAILED}),
            200,
            ERROR,
            "provider_unavailable",
            ("error",),
            id="error in a stream",
        ),
        pytest.param(sse(delta("a"), done=False), 200, ERROR, "stream_truncated", ("error",), id="truncated stream"),
        pytest.param(httpx.ConnectTimeout("slow"), 0, ERROR, "httpx.ConnectTimeout", None, id="transport exception"),
        *(
            pytest.param(
                {"choices": [{"finish_reason": reason, "message": {}}]}, 200, UNSET, None, (reason,), id=reason
            )
            for reason in ("length", "content_filter", "tool_calls")
        ),
    ],
)
def test_status(
    answer: Any,
    status: int,
    expected: StatusCode,
    error_type: str | None,
    finish: tuple[str, ...] | None,
    telemetry: Telemetry,
) -> None:
    telemetry.instrument()
    call(answer, status=status)
    span = telemetry.span
    facts = dict(span.attributes)
    assert span.status.status_code is expected
    assert facts.get("error.type") == error_type
    assert facts.get("gen_ai.response.finish_reasons") == finish
    assert bool(span.status.description) is (expected is ERROR and error_type != "_OTHER")  # which has no message
    exceptions = [dict(event.attributes or {}) for event in span.events]
    if isinstance(answer, Exception):
        assert exceptions == [{"exception.type": "httpx.ConnectTimeout", "exception.message": "slow"}]
    else:
        assert exceptions == []


@pytest.mark.parametrize(
    ("path", "answer", "status", "error_type"),
    [
        ("/messages", {"type": "error", "error": {"type": "api_error", "message": "m"}}, 500, "api_error"),
        ("/responses", {"status": "failed", "error": {"code": "server_error", "message": "m"}}, 200, "server_error"),
    ],
)
def test_other_dialects_name_their_errors(
    path: str, answer: Any, status: int, error_type: str, telemetry: Telemetry
) -> None:
    telemetry.instrument()
    call(answer, path=path, status=status)
    assert telemetry.span.status.status_code is ERROR
    assert telemetry.span.attributes["error.type"] == error_type


class Notes(Sampler):
    """Notes what a sampler gets to decide by."""

    def __init__(self, decision: Decision = Decision.RECORD_AND_SAMPLE) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.decision = decision

    def should_sample(self, parent_context: Any, trace_id: int, name: str, *args: Any, **kwargs: Any) -> SamplingResult:
        attributes = dict(kwargs.get("attributes") or args[1])
        self.seen.append((name, attributes))
        return SamplingResult(self.decision, attributes)

    def get_description(self) -> str:
        return "notes"


def test_samplers_see_the_start_attributes(telemetry: Telemetry) -> None:
    telemetry.tracer_provider.sampler = notes = Notes()
    telemetry.instrument()
    call(user="u1", session_id="s1")
    assert notes.seen == [
        (
            "chat openai/gpt-4o",
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openrouter",
                "gen_ai.request.model": "openai/gpt-4o",
                "server.address": "openrouter.ai",
                "server.port": 443,
                "openrouter.api.type": "chat_completions",
                "user.id": "u1",
                "session.id": "s1",
            },
        )
    ]


def test_an_unsampled_call_still_counts(telemetry: Telemetry, records: Callable[[], list[Any]]) -> None:
    telemetry.tracer_provider.sampler = Notes(Decision.DROP)
    telemetry.instrument()
    call()
    assert telemetry.spans == []
    assert len(records()) == 1
    assert len(telemetry.metrics["gen_ai.client.operation.duration"]) == 1


def test_the_span_is_a_child_and_is_current_below(telemetry: Telemetry) -> None:
    telemetry.instrument()
    tracer = telemetry.tracer_provider.get_tracer("app")
    seen: list[Any] = []

    def transport(_: httpx.Request) -> httpx.Response:
        seen.append(trace.get_current_span().get_span_context().span_id)
        return httpx.Response(200, json=ANSWER)

    with tracer.start_as_current_span("app") as parent:
        with httpx.Client(transport=httpx.MockTransport(transport), verify=False) as client:
            client.post("https://openrouter.ai/api/v1/chat/completions", json={})
        assert trace.get_current_span() is parent
    ours = next(span for span in telemetry.spans if span.kind is SpanKind.CLIENT)
    assert ours.parent is not None
    assert ours.parent.span_id == parent.get_span_context().span_id
    assert seen == [ours.context.span_id]


def test_the_span_lasts_as_long_as_the_call(
    telemetry: Telemetry, records: Callable[[], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import orobserve.capture.observer as module

    ticks = iter(range(1_000, 2_000))
    monkeypatch.setattr(module.Observer.__init__, "__defaults__", (lambda: next(ticks) * 1_000_000_000,))
    telemetry.instrument()
    call(sse(delta(), delta("a"), delta("b"), {"choices": [], "usage": {"prompt_tokens": 1}}))
    (record,) = records()
    span, timing = telemetry.span, record.timing
    assert (span.start_time, span.end_time) == (timing.started_at, timing.ended_at)
    assert timing.started_at == 1_000_000_000_000
    assert timing.started_at < timing.first_chunk_at < timing.ended_at
    assert span.attributes["gen_ai.response.time_to_first_chunk"] == timing.time_to_first_chunk


def test_the_record_knows_its_span(telemetry: Telemetry, records: Callable[[], list[Any]]) -> None:
    telemetry.instrument()
    with telemetry.tracer_provider.get_tracer("app").start_as_current_span("app") as parent:
        call()
    (record,) = records()
    ours = next(span for span in telemetry.spans if span.kind is SpanKind.CLIENT)
    assert record.trace_id == trace.format_trace_id(ours.context.trace_id)
    assert record.span_id == trace.format_span_id(ours.context.span_id)
    assert record.parent_span_id == trace.format_span_id(parent.get_span_context().span_id)


@pytest.mark.parametrize("key", ["suppress_instrumentation", "suppress_http_instrumentation"])
@pytest.mark.parametrize("plain", [True, False], ids=["plain", "api key"])
def test_suppression_is_honoured(key: str, plain: bool, telemetry: Telemetry) -> None:
    from opentelemetry import context

    telemetry.instrument()
    name = key if plain else getattr(context, f"_{key.upper()}_KEY")
    token = context.attach(context.set_value(name, True))
    try:
        call()
    finally:
        context.detach(token)
    assert telemetry.spans == []
    call()
    assert len(telemetry.spans) == 1


@pytest.mark.parametrize(
    ("mode", "spans"), [("enrich", {"foreign"}), ("span", {"foreign", "chat openai/gpt-4o"}), ("off", {"foreign"})]
)
def test_inside_another_instrumentations_span(mode: str, spans: set[str], telemetry: Telemetry) -> None:
    telemetry.instrument(when_nested=mode)
    tracer = telemetry.tracer_provider.get_tracer("other")
    with tracer.start_as_current_span("foreign", attributes={"gen_ai.operation.name": "chat"}):
        call()
    assert {span.name for span in telemetry.spans} == spans
    costs = {span.name: (span.attributes or {}).get("openrouter.cost.total") for span in telemetry.spans}
    assert costs["foreign"] == (0.25 if mode == "enrich" else None)
    assert costs.get("chat openai/gpt-4o", 0.25) == 0.25
    assert len(telemetry.metrics["openrouter.client.cost"]) == 1
