"""What the record brings besides money, where it lands, and the settings that go with it."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import httpx2
import pytest
from opentelemetry.trace import StatusCode

import orobserve
from orobserve.testing import Attempt, Scenario, Simulator
from tests.enrichment.conftest import KEY, QUESTION

if TYPE_CHECKING:
    from tests.enrichment.conftest import Bench

STATUS = "openrouter.enrichment.status"
TRIED = Scenario(
    record_after=0,
    failed_attempts=(Attempt(provider="OpenAI", status=503), Attempt(provider="Azure", status=429)),
    provider="Amazon Bedrock",
)


def test_attempts_are_events_of_the_span(bench: Bench) -> None:
    bench.sim.default = TRIED
    bench.instrument()
    bench.call()
    bench.advance(1)
    span = bench.telemetry.span
    events = [event for event in span.events if event.name == "openrouter.attempt"]
    told = [
        (
            event.attributes["openrouter.attempt.number"],
            event.attributes["openrouter.provider.name"],
            event.attributes["http.response.status_code"],
            event.attributes["openrouter.attempt.latency_ms"],
        )
        for event in events
    ]
    assert told == [(1, "OpenAI", 503, 50), (2, "Azure", 429, 100), (3, "Amazon Bedrock", 200, 150)]
    assert all(span.start_time <= event.timestamp <= span.end_time for event in events)
    assert span.attributes["openrouter.routing.attempt_providers"] == ("OpenAI", "Azure", "Amazon Bedrock")
    assert span.attributes["openrouter.routing.attempt_count"] == 3
    assert span.attributes["openrouter.routing.fallback"] is True
    fallbacks = bench.telemetry.metrics["openrouter.client.fallbacks"]
    assert {dict(labels)["openrouter.provider.name"] for labels in fallbacks} == {"OpenAI", "Azure"}


def test_attempts_are_spans_if_asked(bench: Bench) -> None:
    bench.sim.default = TRIED
    bench.instrument(attempt_spans=True)
    bench.call()
    bench.advance(1)
    *attempts, call = bench.telemetry.spans
    assert [span.name for span in attempts] == [
        "provider attempt 1: OpenAI",
        "provider attempt 2: Azure",
        "provider attempt 3: Amazon Bedrock",
    ]
    assert [span.status.status_code for span in attempts] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert {span.parent.span_id for span in attempts} == {call.context.span_id}
    assert all(call.start_time <= span.start_time <= span.end_time <= call.end_time for span in attempts)
    for span in attempts:
        assert not [name for name in span.attributes if name.startswith("gen_ai.") or "cost" in name]
    assert [event.name for event in call.events] == []


def test_all_that_the_record_says(bench: Bench) -> None:
    bench.sim.default = Scenario(
        record_after=0,
        moderation_latency=37,
        web_searches=2,
        record_overrides={
            "request_id": "req-1",
            "upstream_id": "up-1",
            "latency": 1250.5,
            "generation_time": 1200,
            "data_region": "europe",
            "workspace_id": "ws-1",
            "preset_id": "pre-1",
            "app_id": 42,
            "cache_discount": -0.25,
            "session_id": "sess-1",
            "external_user": "user-1",
            "http_referer": "https://app.example.com",
            "router": "openrouter/auto",
            "tokens_prompt": 3,
            "tokens_completion": 4,
        },
    )
    bench.instrument(app_attribution=True)
    bench.call()
    bench.advance(1)
    expected = {
        "openrouter.request.id": "req-1",
        "openrouter.upstream.id": "up-1",
        "openrouter.generation.latency_ms": 1250.5,
        "openrouter.generation.generation_time_ms": 1200,
        "openrouter.generation.moderation_latency_ms": 37,
        "openrouter.data_region": "europe",
        "openrouter.workspace.id": "ws-1",
        "openrouter.preset.id": "pre-1",
        "openrouter.app.id": 42,
        "openrouter.cost.cache_discount": -0.25,
        "openrouter.usage.normalized.input_tokens": 3,
        "openrouter.usage.normalized.output_tokens": 4,
        "openrouter.web_search.results": 2,
        "openrouter.web_search.engine": "exa",
        "openrouter.app.referer": "https://app.example.com",
        "openrouter.response.service_tier": "default",
        "openrouter.router": "openrouter/auto",
        "user.id": "user-1",
        "session.id": "sess-1",
        "gen_ai.conversation.id": "sess-1",
    }
    found = bench.telemetry.span.attributes
    assert {name: found.get(name) for name in expected} == expected
    (saved,) = bench.telemetry.metrics["openrouter.client.prompt_cache.savings"].values()
    assert saved.value == -0.25


def test_identity_can_be_left_out(bench: Bench) -> None:
    overrides = {"session_id": "sess-1", "external_user": "user-1", "http_referer": "https://app.example.com"}
    bench.sim.default = Scenario(record_after=0, record_overrides=overrides)
    bench.instrument(identity=False)
    bench.call()
    bench.advance(1)
    told = str(dict(bench.telemetry.span.attributes))
    assert not [value for value in overrides.values() if value in told]


def test_the_app_is_told_only_if_asked(bench: Bench) -> None:
    bench.sim.default = Scenario(record_after=0, record_overrides={"http_referer": "https://app.example.com"})
    bench.instrument(app_attribution=False)
    bench.call()
    bench.advance(1)
    assert bench.telemetry.span.attributes[STATUS] == "complete"
    assert "https://app.example.com" not in str(dict(bench.telemetry.span.attributes))


def test_differences_are_named(bench: Bench) -> None:
    bench.sim.default = Scenario(record_after=0, record_overrides={"total_cost": 0.5, "native_tokens_prompt": 999})
    bench.instrument()
    bench.call()
    bench.advance(1)
    found = bench.telemetry.span.attributes
    assert found["openrouter.enrichment.mismatch"] == ("usage.input_tokens", "cost.charged", "cost.usage")
    assert (found["openrouter.cost.total"], found["gen_ai.usage.input_tokens"]) == (0.5, 999)


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("wanted", [False, True])
def test_routing_detail_is_asked_for_by_a_header(bench: Bench, library: Any, is_async: bool, wanted: bool) -> None:
    bench.instrument(router_metadata=wanted)
    url = f"{bench.sim.url}/chat/completions"
    headers = {"Authorization": f"Bearer {KEY}"}

    def call() -> None:
        with library.Client(headers=headers) as client:
            client.post(url, json=QUESTION)
            client.post(url, json=QUESTION, headers={"x-openrouter-metadata": "disabled"})
            client.get(f"{bench.sim.url}/models")

    async def call_async() -> None:
        async with library.AsyncClient(headers=headers) as client:
            await client.post(url, json=QUESTION)
            await client.post(url, json=QUESTION, headers={"x-openrouter-metadata": "disabled"})
            await client.get(f"{bench.sim.url}/models")

    anyio.run(call_async) if is_async else call()
    bench.advance(2)
    sent = [(call.endpoint, call.header("X-OpenRouter-Metadata")) for call in bench.sim.calls]
    assert sent[:3] == [("chat", "enabled" if wanted else None), ("chat", "disabled"), ("/v1/models", None)]
    assert {header for endpoint, header in sent[3:]} == {None}
    first = min(bench.telemetry.spans, key=lambda span: span.start_time)
    assert ("openrouter.routing.strategy" in first.attributes) is wanted


def test_routing_detail_is_asked_of_openrouter_only_and_not_of_polls(bench: Bench) -> None:
    with Simulator(clock=bench.clock.time) as other:
        bench.instrument(router_metadata=True)
        bench.client.post(f"{other.url}/chat/completions", json=QUESTION)
        job = bench.client.post(f"{bench.sim.url}/videos", json={"model": "google/veo-3.1", "prompt": "A cat"}).json()
        bench.client.get(f"{bench.sim.url}/videos/{job['id']}")
        (elsewhere,) = other.calls
        started, poll = bench.sim.calls
    assert elsewhere.header("X-OpenRouter-Metadata") is None
    assert (started.header("X-OpenRouter-Metadata"), poll.header("X-OpenRouter-Metadata")) == ("enabled", None)


def test_another_instrumentations_span_gets_a_known_cost_at_once_and_counts_it_once(bench: Bench) -> None:
    bench.instrument(when_nested="enrich")
    tracer = bench.telemetry.tracer_provider.get_tracer("other")
    with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
        bench.call()
    assert bench.telemetry.span.attributes["openrouter.cost.total"] == float(bench.sim.bill)
    bench.advance(2)
    (log,) = bench.telemetry.logs
    assert log.attributes["openrouter.cost.source"] == "generation"
    (cost,) = bench.telemetry.metrics["openrouter.client.cost"].values()
    assert cost.value == float(bench.sim.bill)


@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize("left", [True, False])
def test_stored_content_completes_a_stream_that_was_left(bench: Bench, captured: bool, left: bool) -> None:
    bench.sim.default = Scenario(
        record_after=0, text="one two three four five six seven", hold_after=3 if left else None
    )
    bench.instrument(enrichment_content=True, content="span_only" if captured else "no_content")
    if left:
        bench.abort()
    else:
        bench.call(stream=True)
    bench.advance(2)
    asked = [call for call in bench.sim.calls if "/generation/content" in call.path]
    assert len(asked) == (captured and left)
    said = bench.telemetry.span.attributes.get("gen_ai.output.messages")
    if captured:
        (message,) = json.loads(said)
        assert message["parts"] == [{"type": "text", "content": "one two three four five six seven"}]
        assert "What is up?" in bench.telemetry.span.attributes["gen_ai.input.messages"]
    else:
        assert said is None


def test_another_instrumentations_span_is_not_waited_for(bench: Bench) -> None:
    bench.instrument()
    tracer = bench.telemetry.tracer_provider.get_tracer("other")
    with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}) as theirs:
        bench.call(stream=True, path="/messages", model="anthropic/claude-sonnet-4", max_tokens=9)
    (span,) = bench.telemetry.spans
    assert "openrouter.cost.total" not in span.attributes  # streamed messages carry none
    assert "gen_ai.usage.input_tokens" in span.attributes
    assert "openrouter.client.cost" not in bench.telemetry.metrics
    bench.advance(2)
    (log,) = bench.telemetry.logs
    assert log.event_name == "openrouter.generation.details"
    assert (log.trace_id, log.span_id) == (theirs.get_span_context().trace_id, theirs.get_span_context().span_id)
    assert log.attributes["openrouter.cost.total"] == float(bench.sim.bill)
    (cost,) = bench.telemetry.metrics["openrouter.client.cost"].values()
    assert cost.value == float(bench.sim.bill)
    assert len(bench.telemetry.spans) == 1


def test_look_ups_go_where_the_calls_went(bench: Bench) -> None:
    with Simulator(prefix="/gateway", clock=bench.clock.time) as gateway:
        gateway.default = Scenario(record_after=0)
        bench.instrument(hosts=[gateway.root])
        bench.client.post(f"{gateway.url}/chat/completions", json=QUESTION)
        bench.client.post(f"{gateway.root}/api/alpha/responses", json={"model": "openai/gpt-4o", "input": "Why?"})
        bench.advance(1)
        asked = [call for call in gateway.calls if call.path.startswith("/gateway/api/v1/generation?id=")]
    assert len(asked) == 2
    assert {span.attributes[STATUS] for span in bench.telemetry.spans} == {"complete"}


def test_a_flush_can_wait_for_the_records(bench: Bench) -> None:
    bench.instrument()
    bench.call()
    done: list[bool] = []
    flushing = threading.Thread(target=lambda: done.append(orobserve.flush(30, records=True)))
    flushing.start()
    bench.advance(2)
    flushing.join(30)
    assert done == [True]
    assert bench.telemetry.span.attributes[STATUS] == "complete"
