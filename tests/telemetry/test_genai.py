"""Anybody's GenAI spans into records: ours come back whole, Broadcast's in every spelling, others as they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orobserve.generation import (
    Cost,
    Error,
    Generation,
    Outcome,
    Reasoning,
    Text,
    ToolCall,
    ToolCallResponse,
    Usage,
)
from orobserve.proxy import otlp
from orobserve.proxy.intake import Intake
from orobserve.receivers import Receivers
from orobserve.telemetry.genai import Sender, Wanted, generation_of, sender_of
from orobserve.telemetry.received import Event, Received
from orobserve.wire.route import Hosts

BROADCAST = Path(__file__).parent.parent / "proxy" / "broadcast.json"
START, END = 1_795_375_379_563_896_444, 1_795_375_381_563_896_444
TRACE, SPAN = "7af15d27557f4b0547b66811c67d365d", "1c555e8b67d6f2a5"
GENERATION = "gen-1769028024-jarGYYh8T8HnNfNLExRC"


def received(body: bytes, encoding: otlp.Encoding) -> Generation:
    records, unreadable = Intake(Receivers()).read(otlp.read(body, encoding).spans)
    assert unreadable == 0
    (record,) = records
    return record


def test_broadcast() -> None:
    found = received(BROADCAST.read_bytes(), otlp.Encoding.JSON)
    assert found.id == found.response_id == GENERATION
    assert (found.trace_id, found.span_id, found.parent_span_id) == (TRACE, SPAN, None)
    assert (found.trace_name, found.span_name, found.name) == ("Nightly report", "Chapter 1", "Summarise")
    assert (found.api_type, found.server_address, found.server_port) == (None, "openrouter.ai", 443)
    assert (found.model, found.provider, found.finish_reasons) == (
        "openai/gpt-4o-2024-08-06",
        "OpenAI",
        ("tool_calls",),
    )
    assert found.usage == Usage(
        input_tokens=1000,
        output_tokens=200,
        total_tokens=1200,
        cache_read_input_tokens=600,
        cache_write_input_tokens=100,
        reasoning_output_tokens=50,
    )
    assert found.cost == Cost(
        charged=0.0042,
        total=0.0042,
        upstream_input=0.0022,
        upstream_output=0.002,
        is_byok=False,
        source="generation",
    )
    assert found.timing.time_to_first_chunk == pytest.approx(0.42)
    request = found.request
    assert (request.model, request.temperature, request.max_tokens, request.stream) == ("openai/gpt-4o", 0.2, 500, True)
    assert (request.user, request.session_id, request.api_key_name) == ("u-1", "s-1", "nightly")
    assert request.trace is not None
    assert request.trace.trace_id == "workflow_12345"
    metadata = dict(request.trace.metadata or {})
    assert metadata["team"] == "growth"
    assert metadata["openrouter.entity_id"] == "org_1"  # what no field holds stays
    assert "openrouter.provider_name" not in metadata
    assert found.routing is not None
    assert [(each.provider, each.status, each.latency_ms) for each in found.routing.attempts] == [
        ("Azure", 502, 310.5),
        ("OpenAI", 200, 410.5),
    ]
    assert found.stats is not None
    assert (found.stats.latency_ms, found.stats.normalized_input_tokens) == (410.5, 990)
    assert found.content is not None
    assert [message.role for message in found.content.input] == ["system", "user"]
    (answer,) = found.content.output
    assert answer.finish_reason == "tool_calls"
    assert answer.parts == (
        Reasoning(content="They want the weather."),
        Text(content="Sunny."),
        ToolCall(id="call_1", name="weather", arguments={"city": "Zürich"}),
    )


def made(given: dict[str, Any], **more: Any) -> Received:
    return Received(
        **{"trace_id": TRACE, "span_id": SPAN, "name": "chat", "start": START, "end": END, "attributes": given, **more}
    )


def of(given: dict[str, Any], *, every: bool = False, hosts: tuple[str, ...] = (), **more: Any) -> Generation | None:
    return generation_of(made(given, **more), Wanted(every=every, hosts=Hosts(hosts)))


def broadcast(given: dict[str, Any] | None = None, **more: Any) -> Generation:
    base = {"span.type": "generation", "gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    found = of({**base, "gen_ai.response.finish_reason": "stop", **(given or {})}, scope="openrouter", **more)
    assert found is not None
    return found


def test_the_example_of_the_webhook_guide() -> None:
    """The older spelling, which the guide still shows."""
    found = of(
        {
            "gen_ai.request.model": "openai/gpt-4-turbo",
            "gen_ai.usage.prompt_tokens": 150,
            "gen_ai.usage.completion_tokens": 75,
            "gen_ai.usage.total_tokens": 225,
            "user.id": "user_1",
        },
        resource={"service.name": "openrouter", "openrouter.trace.id": "gen-9"},
    )
    assert found is not None
    assert (found.id, found.name, found.outcome, found.cost) == ("gen-9", None, Outcome.COMPLETE, None)
    assert found.usage == Usage(input_tokens=150, output_tokens=75, total_tokens=225)
    assert found.request.user == "user_1"


@pytest.mark.parametrize(
    ("given", "more", "sender"),
    [
        ({}, {"scope": "orobserve"}, Sender.OURS),
        ({"openrouter.api.type": "chat_completions"}, {"scope": "other"}, Sender.OURS),
        ({}, {"scope": "openrouter"}, Sender.BROADCAST),
        ({}, {"resource": {"service.name": "openrouter"}}, Sender.BROADCAST),
        ({"openrouter.source": "openrouter"}, {}, Sender.BROADCAST),
        ({"trace.metadata.openrouter.source": "openrouter"}, {}, Sender.BROADCAST),
        ({"gen_ai.system": "openrouter"}, {}, Sender.OTHER),
    ],
)
def test_who_sent_a_span(given: dict[str, Any], more: dict[str, Any], sender: Sender) -> None:
    assert sender_of(made(given, **more)) is sender


@pytest.mark.parametrize(
    ("given", "is_call", "is_call_of_any"),
    [
        ({"gen_ai.operation.name": "chat", "server.address": "openrouter.ai"}, True, True),
        ({"gen_ai.operation.name": "chat", "server.address": "EU.OpenRouter.ai"}, True, True),
        ({"gen_ai.operation.name": "chat", "server.address": "llm.corp"}, True, True),
        ({"gen_ai.operation.name": "chat", "server.address": "openrouter.ai.evil.com"}, False, True),
        ({"gen_ai.operation.name": "embeddings", "gen_ai.system": "OpenRouter"}, True, True),
        ({"openinference.span.kind": "LLM", "llm.provider": "openrouter"}, True, True),
        ({"openinference.span.kind": "CHAIN", "llm.provider": "openrouter"}, False, False),
        ({"llm.request.type": "completion", "gen_ai.system": "openrouter"}, True, True),
        ({"gen_ai.operation.name": "chat", "gen_ai.system": "openai"}, False, True),
        ({"gen_ai.operation.name": "execute_tool", "server.address": "openrouter.ai"}, False, False),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.system": "openrouter"}, False, False),
        ({"server.address": "openrouter.ai", "http.request.method": "POST"}, False, False),
        ({"server.address": "openrouter.ai", "gen_ai.request.model": "m"}, False, False),
        ({}, False, False),
    ],
)
def test_which_spans_are_calls(given: dict[str, Any], is_call: bool, is_call_of_any: bool) -> None:
    assert (of(given, hosts=("llm.corp",)) is not None) == is_call
    assert (of(given, hosts=("llm.corp",), every=True) is not None) == is_call_of_any


@pytest.mark.parametrize(
    ("given", "resource", "found"),
    [
        ({"gen_ai.response.id": "gen-1"}, {"openrouter.trace.id": "gen-2"}, "gen-1"),
        ({"gen_ai.response.id": "resp_1"}, {"openrouter.trace.id": "gen-2"}, "gen-2"),
        ({"gen_ai.response.id": "gen-1:attempt-0"}, {}, None),
        ({"openrouter.generation.id": "gen-3", "gen_ai.response.id": "gen-1"}, {}, "gen-3"),
        ({}, {"openrouter.trace.id": "workflow_12345"}, None),
        ({}, {"openrouter.trace.id": 5}, None),
    ],
)
def test_the_generation_id(given: dict[str, Any], resource: dict[str, Any], found: str | None) -> None:
    assert broadcast(given, resource=resource).id == found


def test_parents_and_attempts_of_broadcast_are_no_calls() -> None:
    for name in ("provider attempt 1: OpenAI", "generation", "Nightly report"):
        given = {"span.type": "span", "gen_ai.request.model": "m", "gen_ai.operation.name": "chat"}
        assert of(given, scope="openrouter", name=name) is None


@pytest.mark.parametrize(
    ("given", "cost"),
    [
        ({"gen_ai.usage.total_cost": 0.0}, Cost(charged=0.0, total=0.0, source="generation")),
        ({"gen_ai.usage.total_cost": 0.5}, Cost(charged=0.5, total=0.5, source="generation")),
        ({"gen_ai.usage.total_cost": "0.5"}, None),
        ({}, None),
        (
            {
                "gen_ai.usage.total_cost": 0.0105,
                "trace.metadata.openrouter_generation.is_byok": True,
                "trace.metadata.openrouter_generation.usage": 0.0005,
                "trace.metadata.openrouter_generation.byok_usage_inference": 0.01,
            },
            Cost(charged=0.0005, upstream=0.01, total=0.0105, is_byok=True, source="generation"),
        ),
        (
            {"gen_ai.usage.total_cost": 0.0105, "trace.metadata.openrouter_generation.is_byok": True},
            Cost(total=0.0105, is_byok=True, source="generation"),
        ),
        (
            {
                "gen_ai.usage.total_cost": 0.0105,
                "trace.metadata.openrouter_generation.is_byok": True,
                "trace.metadata.openrouter_generation.usage": 0.0005,
            },
            Cost(charged=0.0005, total=0.0105, is_byok=True, source="generation"),
        ),
    ],
    ids=["free", "billed", "no number", "unknown", "own key", "own key, total alone", "own key, without upstream"],
)
def test_what_broadcast_says_of_money(given: dict[str, Any], cost: Cost | None) -> None:
    assert broadcast(given).cost == cost


@pytest.mark.parametrize("name", ["gen_ai.usage.cost", "gen_ai.usage.total_cost", "llm.cost.total", "operation.cost"])
def test_what_others_compute_is_no_cost(name: str) -> None:
    found = of({"gen_ai.operation.name": "chat", "gen_ai.system": "openrouter", name: 0.5})
    assert found is not None
    assert found.cost is None


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ({}, Outcome.COMPLETE),
        ({"gen_ai.response.finish_reason": ""}, Outcome.CANCELLED),  # as receivers of Broadcast have seen it
        ({"gen_ai.response.finish_reason": "", "gen_ai.operation.name": "embeddings"}, Outcome.COMPLETE),
        ({"trace.metadata.openrouter_generation.cancelled": True}, Outcome.CANCELLED),
        (
            {"gen_ai.response.finish_reason": "", "trace.metadata.openrouter_generation.cancelled": False},
            Outcome.COMPLETE,
        ),
        ({"span.level": "ERROR"}, Outcome.FAILED),
    ],
)
def test_how_a_call_ended(given: dict[str, Any], outcome: Outcome) -> None:
    assert broadcast(given).outcome is outcome


def test_a_failed_call_of_broadcast() -> None:
    """Its metadata may be missing; the request is echoed in the answer."""
    raw = {
        "model": "m",
        "temperature": 0.5,
        "messages": [{"role": "user", "content": "Hi"}],
        "trace": {"trace_id": "w", "generation_name": "g", "team": "growth"},
        "tools": [{"type": "function", "function": {"name": "clock"}}],
    }
    completion = json.dumps({"completion": None, "rawRequest": raw})
    found = broadcast({"gen_ai.completion": completion}, is_error=True, message="Provider returned error")
    assert (found.outcome, found.error) == (Outcome.FAILED, Error(type="_OTHER", message="Provider returned error"))
    assert found.request.temperature == 0.5
    assert found.request.trace is not None
    assert found.request.trace.metadata == {"team": "growth"}
    assert found.content is not None
    assert found.content.input[0].parts == (Text(content="Hi"),)
    assert found.content.output == ()
    assert found.content.tools == ({"type": "function", "name": "clock"},)


@pytest.mark.parametrize(
    ("given", "asked", "answered"),
    [
        (
            {"gen_ai.prompt": '{"messages":[{"role":"user","content":"Hi"}]}', "gen_ai.completion": "Hello"},
            "Hi",
            "Hello",
        ),
        ({"span.input": '{"prompt":"Hi"}', "span.output": '{"completion":"Hello"}'}, "Hi", "Hello"),
        ({"trace.input": '{"input":["Hi"]}'}, "Hi", None),
        ({"gen_ai.prompt": '[{"role":"user","content":"Hi"}]'}, "Hi", None),
        ({"gen_ai.prompt": '{"messages":[{"role"'}, '{"messages":[{"role"', None),  # cut on its way
        ({"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Hi"}, "Hi", None),
        (
            {
                "llm.input_messages.0.message.role": "user",
                "llm.input_messages.0.message.content": "Hi",
                "llm.output_messages.0.message.content": "Hello",
            },
            "Hi",
            "Hello",
        ),
        ({"gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Hi"}]}]'}, "Hi", None),
        ({"gen_ai.prompt": "", "gen_ai.completion": "{}"}, None, None),
    ],
)
def test_what_was_said(given: dict[str, Any], asked: str | None, answered: str | None) -> None:
    content = broadcast(given).content
    found = [
        message.parts[0].content  # type: ignore[union-attr]
        for message in ((*content.input, *content.output) if content else ())
    ]
    assert found == [text for text in (asked, answered) if text is not None]


def test_tool_answers_and_many_turns() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Time?"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "clock"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "noon"},
    ]
    content = broadcast({"gen_ai.prompt": json.dumps({"messages": messages})}).content
    assert content is not None
    assert [part for message in content.input for part in message.parts] == [
        Text(content="Time?"),
        ToolCall(id="c", name="clock"),
        ToolCallResponse(id="c", response="noon"),
    ]


def test_spans_of_other_instrumentations() -> None:
    found = of(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",  # the client's dialect: who served the call, it does not know
            "server.address": "openrouter.ai",
            "server.port": 443,
            "gen_ai.request.model": "openai/gpt-4o",
            "gen_ai.response.model": "openai/gpt-4o",
            "gen_ai.response.id": "gen-5",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": 10.0,
            "gen_ai.usage.output_tokens": "4",
            "gen_ai.request.temperature": 1,
            "gen_ai.conversation.id": "s-1",
            "traceloop.association.properties.user_id": "u-1",
            "traceloop.association.properties.plan": "gold",
            "metadata": '{"team":"growth"}',
        },
        parent_span_id="00f067aa0ba902b7",
        name="chat openai/gpt-4o",
    )
    assert found is not None
    assert (found.id, found.provider, found.name, found.parent_span_id) == ("gen-5", None, None, "00f067aa0ba902b7")
    assert (found.usage, found.finish_reasons) == (Usage(input_tokens=10, output_tokens=4), ("stop",))
    assert (found.request.session_id, found.request.user, found.request.temperature) == ("s-1", "u-1", 1.0)
    assert found.request.trace is not None
    assert found.request.trace.metadata == {"plan": "gold", "team": "growth"}


def test_an_exception_of_others() -> None:
    event = Event(name="exception", time=END, attributes={"exception.type": "openai.X", "exception.message": "no"})
    given = {"gen_ai.operation.name": "chat", "gen_ai.system": "openrouter"}
    found = of(given, is_error=True, events=(event,))
    assert found is not None
    assert found.error == Error(type="openai.X", message="no")


def test_a_parent_that_was_asked_for_stays() -> None:
    """Names above a call become names again, and hang below the span that the request gave."""
    spans = [
        made({"span.type": "span"}, scope="openrouter", span_id="a" * 16, parent_span_id="b" * 16, name="Job"),
        made({"span.type": "generation", "gen_ai.request.model": "m"}, scope="openrouter", parent_span_id="a" * 16),
    ]
    (found,), _ = Intake(Receivers()).read(spans)
    assert (found.trace_name, found.parent_span_id) == ("Job", "b" * 16)
    assert found.request.trace is not None
    assert found.request.trace.parent_span_id == "b" * 16
    circle = [replace(spans[0], parent_span_id="a" * 16), spans[1]]
    assert Intake(Receivers()).read(circle)[0][0].trace_name == "Job"


def test_default_names_are_nobodys() -> None:
    spans = [
        made({"span.type": "span"}, scope="openrouter", span_id="a" * 16, name="OpenRouter Request"),
        made(
            {"span.type": "generation", "gen_ai.request.model": "m", "trace.name": "OpenRouter Request"},
            scope="openrouter",
            parent_span_id="a" * 16,
            name="LLM Generation",
        ),
    ]
    (found,), _ = Intake(Receivers()).read(spans)
    assert (found.trace_name, found.span_name, found.name, found.parent_span_id) == (None, None, None, None)


@pytest.mark.parametrize("value", [-1.0, 1e300, 5.0])
def test_times_that_cannot_be(value: float) -> None:
    assert broadcast({"gen_ai.response.time_to_first_chunk": value}).timing.first_chunk_at is None
