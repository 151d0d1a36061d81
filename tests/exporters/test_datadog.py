from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import HTTPResponse, Verdict
from orobserve.delivery.destination import Destination
from orobserve.generation import Content, Message, Reasoning, Text, Trace, Usage
from orobserve_exporters.datadog import Datadog
from tests.delivery.clocks import VirtualClock
from tests.delivery.servers import Answer, Server
from tests.exporters.generations import CHAT, ODD_TEXT, SAMPLES
from tests.support.otlp import make

if TYPE_CHECKING:
    from orobserve.generation import Generation

KEY = "dd-secret"
CONFIG = {"api_key": KEY, "ml_app": "app"}


@pytest.fixture
def exporter() -> Datadog:
    return make(Datadog, **CONFIG)


def spans(exporter: Datadog, *batch: Generation) -> list[Any]:
    """Return the spans of a batch."""
    return json.loads(exporter.encode(batch).body)["data"]["attributes"]["spans"]


def span(exporter: Datadog, name: str) -> Any:
    """Return the span of a sample, without its parents."""
    return spans(exporter, SAMPLES[name])[-1]


def test_worked_example(exporter: Datadog) -> None:
    parent, found = spans(exporter, CHAT)
    alike = {
        "trace_id": "workflow_12345",
        "apm_trace_id": CHAT.trace_id,
        "start_ns": CHAT.timing.started_at,
        "duration": 2_000_000_000,
        "status": "ok",
        "session_id": "s-1",
        "tags": [
            "ml_app:app",
            "service:app",
            "source:orobserve",
            "user_id:u-1",
            "session_id:s-1",
            "error:0",
            "nightly",
            "report",
        ],
    }
    assert parent == {
        "name": "Nightly report",
        "span_id": "2c64fd3bddf02707",
        "parent_id": "undefined",
        "meta": {
            "kind": "workflow",
            "input": {"value": "Summarise the report."},
            "output": {"value": "It went well."},
            "metadata": {"team": "growth"},
        },
        "metrics": {},
        **alike,
    }
    assert found == {
        "name": "Summarise",
        "span_id": "0a1b2c3d4e5f6071",
        "parent_id": "2c64fd3bddf02707",
        "meta": {
            "kind": "llm",
            "model_name": "anthropic/claude-sonnet-4",
            "model_provider": "anthropic",
            "input": {
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Summarise the report."},
                ]
            },
            "output": {
                "messages": [
                    {"role": "reasoning", "content": "Read it first."},
                    {"role": "assistant", "content": "It went well."},
                ]
            },
            "metadata": {
                "team": "growth",
                "temperature": 0.2,
                "max_tokens": 500,
                "generation_id": "gen-abc",
                "provider": "Anthropic",
                "finish_reasons": ["stop"],
                "model_name": "anthropic/claude-sonnet-4",
                "model_provider": "Anthropic",
            },
        },
        "metrics": {
            "input_tokens": 1000,
            "output_tokens": 200,
            "total_tokens": 1200,
            "cache_read_input_tokens": 600,
            "cache_write_input_tokens": 100,
            "non_cached_input_tokens": 300,
            "reasoning_output_tokens": 50,
            "time_to_first_token": 0.42,
            "total_cost": 0.0042,
        },
        **alike,
    }


def test_tools(exporter: Datadog) -> None:
    meta = span(exporter, "tools")["meta"]
    assert meta["tool_definitions"] == [{"name": "weather", "schema": {"type": "object"}}]
    assert meta["input"]["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"name": "clock", "arguments": {}, "tool_id": "call_0", "type": "function"}],
        },
        {
            "role": "tool",
            "content": "",
            "tool_results": [{"name": "clock", "result": '{"now":"noon"}', "tool_id": "call_0", "type": "tool_result"}],
        },
    ]
    (answer,) = meta["output"]["messages"]
    assert [call["arguments"] for call in answer["tool_calls"]] == [
        {"city": "Zürich", "days": [1, 2]},
        {"value": '{"not": json'},  # as Datadog's SDK writes what is no object
    ]


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (
            {"type": "function", "name": "f", "description": "d", "parameters": {"a": 1}},
            {"name": "f", "description": "d", "schema": {"a": 1}},
        ),
        ({"name": "f", "input_schema": {"a": 1}}, {"name": "f", "schema": {"a": 1}}),
        ({"type": "openrouter:web_search"}, {"name": "openrouter:web_search"}),
    ],
)
def test_tools_of_any_dialect(exporter: Datadog, tool: Any, expected: Any) -> None:
    said = replace(SAMPLES["tools"], content=Content(tools=(tool,)))
    assert spans(exporter, said)[-1]["meta"]["tool_definitions"] == [expected]


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("free", {"total_cost": 0.0}),
        ("unpriced", {}),
        ("byok", {"total_cost": 0.0105}),
        ("split", {"input_cost": 0.001, "output_cost": 0.002, "total_cost": 0.003}),
    ],
)
def test_cost(exporter: Datadog, sample: str, expected: dict[str, float]) -> None:
    metrics = span(exporter, sample)["metrics"]
    assert {name: value for name, value in metrics.items() if "cost" in name} == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(input_tokens=10, output_tokens=2), {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}),
        (
            Usage(input_tokens=10, cache_read_input_tokens=0),
            {"input_tokens": 10, "cache_read_input_tokens": 0, "non_cached_input_tokens": 10},
        ),
        (
            Usage(input_tokens=10, cache_read_input_tokens=11),
            {"input_tokens": 10, "cache_read_input_tokens": 11},
        ),
    ],
)
def test_tokens_are_what_is_known(exporter: Datadog, usage: Usage, expected: dict[str, int]) -> None:
    metrics = spans(exporter, replace(SAMPLES["unpriced"], usage=usage))[-1]["metrics"]
    assert metrics == {**expected, "time_to_first_token": 0.42}


def test_failed_call(exporter: Datadog) -> None:
    found = span(exporter, "error")
    assert found["status"] == "error"
    assert {"error:1", "error_type:429"} < set(found["tags"])
    assert found["meta"]["error"] == {"type": "429", "message": "Rate limit exceeded"}
    assert "output" not in found["meta"]
    assert found["metrics"] == {"time_to_first_token": 0.42}


def test_embeddings(exporter: Datadog) -> None:
    meta = span(exporter, "embeddings")["meta"]
    assert (meta["kind"], meta["input"]) == ("embedding", {"value": "embed me"})
    assert meta["metadata"]["dimensions"] == 256


def test_content_is_only_there_when_it_was_given(exporter: Datadog) -> None:
    parent, found = spans(exporter, replace(CHAT, content=None))
    assert not {"input", "output", "tool_definitions"} & (parent["meta"].keys() | found["meta"].keys())


def test_media_are_named(exporter: Datadog) -> None:
    (asked,) = span(exporter, "media")["meta"]["input"]["messages"]
    expected = "What is this?[image image/png][image https://example.com/cat.png][document file-1]"
    assert asked["content"] == expected


def test_odd_text_arrives(exporter: Datadog) -> None:
    found = span(exporter, "odd_text")
    expected = ODD_TEXT.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    assert found["meta"]["input"]["messages"][0]["content"] == expected
    assert found["meta"]["metadata"]["deep"] == {"a": [1, None, True]}
    assert "user_id:Ünï 👩‍👩‍👧" in found["tags"]


def test_what_is_too_long_is_shortened_in_its_place(exporter: Datadog) -> None:
    named = replace(SAMPLES["huge"], trace_name="All", span_name="One", tags={"tags": ["x"]})
    thought = Message(role="assistant", parts=(Reasoning(content="t" * 3_000_000), Text(content="b" * 3_000_000)))
    tools = ({"name": "f", "description": "d" * 3_000_000},)
    content = replace(named.content, output=(thought,), tools=tools)  # type: ignore[type-var]
    request = exporter.encode([replace(named, content=content)])
    assert len(request.body) < exporter.LIMITS.bytes
    *parents, found = json.loads(request.body)["data"]["attributes"]["spans"]
    assert [len(found["meta"][side]["messages"]) for side in ("input", "output")] == [10, 2]
    assert found["meta"]["output"]["messages"][1]["content"].endswith("…[truncated]")
    assert all(parent["meta"]["output"]["value"].endswith("…[truncated]") for parent in parents)


class TestPlaces:
    """Trace and parent ids."""

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"trace_id": "workflow_12345"}, "workflow_12345"),
            ({"trace_id": "another"}, CHAT.trace_id),  # the record's id is not made of it
            ({}, CHAT.trace_id),
        ],
    )
    def test_trace_id(self, exporter: Datadog, given: dict[str, str], expected: str) -> None:
        call = replace(CHAT, request=replace(CHAT.request, trace=Trace(**given)))
        assert {found["trace_id"] for found in spans(exporter, call)} == {expected}

    def test_parent_of_the_request_is_as_it_was_given(self, exporter: Datadog) -> None:
        trace = Trace(trace_id="workflow_12345", parent_span_id="step 7")
        call = replace(CHAT, request=replace(CHAT.request, trace=trace), parent_span_id="00f067aa0ba902b7")
        assert spans(exporter, call)[-1]["parent_id"] != "step 7", "that is not where it stands"
        (found,) = spans(exporter, replace(call, parent_span_id="733783eb95dbf62d"))
        assert found["parent_id"] == "step 7"

    def test_a_span_of_the_application_is_no_parent_here(self, exporter: Datadog) -> None:
        """Datadog does not have it: the call would hang below nothing."""
        found = span(exporter, "inside")
        assert found["parent_id"] == "undefined"
        assert found["meta"]["metadata"]["parent_span_id"] == SAMPLES["inside"].parent_span_id

    def test_named_parents_come_once_and_in_order(self, exporter: Datadog) -> None:
        first, second = SAMPLES["named"], replace(SAMPLES["named"], span_id="0a1b2c3d4e5f6099")
        root, chapter, page, other = spans(exporter, first, second)
        assert [root["parent_id"], chapter["parent_id"]] == ["undefined", root["span_id"]]
        assert page["parent_id"] == other["parent_id"] == chapter["span_id"]
        assert spans(exporter, first, second) == [root, chapter, page, other]
        assert all(item["metrics"] == {} for item in (root, chapter))


class TestSettings:
    @pytest.mark.parametrize(
        ("given", "address"),
        [
            ({}, "https://api.us5.datadoghq.com"),
            ({"site": "datadoghq.eu"}, "https://api.datadoghq.eu"),
            ({"site": "datadoghq.eu", "url": "https://api.ap1.datadoghq.com/"}, "https://api.ap1.datadoghq.com"),
            ({"url": "https://dd.corp/api/intake/llm-obs/v1/trace/spans"}, "https://dd.corp"),
        ],
    )
    def test_addresses(self, given: dict[str, str], address: str) -> None:
        exporter = make(Datadog, **CONFIG, **given, headers={"x-proxy": "1"})
        request, probe = exporter.encode([CHAT]), exporter.probe()
        assert request.url == f"{address}/api/intake/llm-obs/v1/trace/spans"
        assert request.headers == {"Content-Type": "application/json", "DD-API-KEY": KEY, "x-proxy": "1"}
        assert (probe.method, probe.url) == ("GET", f"{address}/api/v1/validate")
        assert KEY.encode() not in request.body

    def test_through_an_agent_without_any_key(self) -> None:
        exporter = make(Datadog, **CONFIG, agent_url="http://localhost:8126/")
        request, probe = exporter.encode([CHAT]), exporter.probe()
        assert request.url == "http://localhost:8126/evp_proxy/v2/api/v2/llmobs"
        assert request.headers == {"Content-Type": "application/json", "X-Datadog-EVP-Subdomain": "llmobs-intake"}
        assert (probe.method, probe.url, probe.headers) == ("GET", "http://localhost:8126/info", {})
        elements = json.loads(request.body)
        assert [element["spans"][0]["meta"]["span"]["kind"] for element in elements] == ["workflow", "llm"]
        assert {(element["_dd.stage"], element["event_type"]) for element in elements} == {("raw", "span")}

    def test_tags(self) -> None:
        exporter = make(Datadog, **CONFIG, service="api", env="prod", version="1.2")
        assert {"service:api", "env:prod", "version:1.2", "ml_app:app"} < set(spans(exporter, CHAT)[-1]["tags"])

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"api_key": None}, ["api_key", "agent_url", "DD_API_KEY", "DD_TRACE_AGENT_URL"]),
            ({"agent_url": "unix:///var/run/datadog/apm.socket"}, ["agent_url", "http://localhost:8126"]),
            ({"url": "api.datadoghq.eu"}, ["url", "full HTTP address"]),
            ({"ml_app": "My App!"}, ["ml_app", "lower case", "' !'"]),
            ({"ml_app": "a__b_"}, ["ml_app", "underscores"]),
            ({"ml_app": "a" * 194}, ["ml_app", "193"]),
        ],
    )
    def test_what_cannot_work_says_what_to_change(self, given: dict[str, Any], words: list[str]) -> None:
        with pytest.raises(ValueError, match=words[0]) as caught:
            make(Datadog, **{**CONFIG, **given})
        assert all(word in str(caught.value) for word in words), caught.value
        assert KEY not in str(caught.value)

    @pytest.mark.parametrize("name", ["app", "team-a/app_1.2:x", "größe", "a" * 193])
    def test_names_that_datadog_takes(self, name: str) -> None:
        assert make(Datadog, **{**CONFIG, "ml_app": name}).config["ml_app"] == name


@pytest.mark.parametrize(
    ("agent", "status", "body", "verdict", "word"),
    [
        (None, 200, b'{"valid":true}', Verdict.DELIVERED, ""),
        (None, 403, b'{"errors":["Forbidden"]}', Verdict.REJECTED, "another site: check api_key and url or site"),
        (None, 404, b"", Verdict.REJECTED, "check url or site"),
        ("http://a:1", 200, b'{"endpoints":["/v0.4/traces","/evp_proxy/v2/"]}', Verdict.DELIVERED, ""),
        ("http://a:1", 200, b'{"endpoints":["/v0.4/traces"]}', Verdict.REJECTED, "EVP proxy is off"),
        ("http://a:1", 200, b"<html>", Verdict.REJECTED, "EVP proxy is off"),
        ("http://a:1", 404, b"", Verdict.REJECTED, "agent_url"),
    ],
)
def test_probe_says_what_to_change(agent: str | None, status: int, body: bytes, verdict: Verdict, word: str) -> None:
    exporter = make(Datadog, **CONFIG, agent_url=agent)
    result = exporter.judge_probe(HTTPResponse(status=status, body=body))
    assert result.verdict is verdict
    assert word in result.reason


@pytest.mark.parametrize(
    ("agent", "status", "verdict", "word"),
    [
        (None, 202, Verdict.DELIVERED, ""),
        (None, 400, Verdict.REJECTED, "HTTP 400"),
        (None, 403, Verdict.REJECTED, "another site"),
        (None, 413, Verdict.TOO_LARGE, "413"),
        (None, 429, Verdict.RETRY, "429"),
        ("http://a:1", 200, Verdict.DELIVERED, ""),
        ("http://a:1", 404, Verdict.REJECTED, "EVP proxy is off"),
    ],
)
def test_answers(agent: str | None, status: int, verdict: Verdict, word: str) -> None:
    result = make(Datadog, **CONFIG, agent_url=agent).judge(HTTPResponse(status=status))
    assert result.verdict is verdict
    assert word in result.reason


def test_delivery() -> None:
    """202 is Datadog's yes; what it is told twice is told in the same words."""
    with Server(Answer(503), Answer(202, body=b"")) as server:
        destination = Destination(
            "datadog",
            make(Datadog, **CONFIG, url=server.url),
            lambda sent: sent,
            clock=(clock := VirtualClock(skips=True)),
        )
        destination.offer(CHAT)
        first, second = server.wait(2)
        destination.close(clock.now() + 100)
        assert destination.join(clock.now() + 100)
    assert destination.state.delivered == 1
    assert first.path == "/api/intake/llm-obs/v1/trace/spans"
    assert first.raw == second.raw
    assert len(json.loads(first.raw)["data"]["attributes"]["spans"]) == 2
