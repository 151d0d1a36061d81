from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import HTTPResponse, Verdict
from orobserve.delivery.destination import Destination
from orobserve.generation import Content, Message, Outcome, Text, Trace, Usage
from orobserve.telemetry import ids
from orobserve_exporters.posthog import PostHog
from tests.delivery.clocks import VirtualClock
from tests.delivery.servers import Answer, Server
from tests.exporters.generations import CHAT, ODD_TEXT, SAMPLES
from tests.support.otlp import make

if TYPE_CHECKING:
    from orobserve.generation import Generation

KEY = "phc_secret"
PROMPT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Summarise the report."}]
THOUGHT = {"type": "thinking", "thinking": "Read it first."}
CHOICES = [{"role": "assistant", "content": [THOUGHT, {"type": "text", "text": "It went well."}]}]


@pytest.fixture
def exporter() -> PostHog:
    return make(PostHog, api_key=KEY)


def events(exporter: PostHog, *batch: Generation) -> list[Any]:
    """Return the events of a batch."""
    return json.loads(exporter.encode(batch).body)["batch"]


def properties(exporter: PostHog, call: Generation) -> Any:
    """Return what the event of a call carries."""
    return events(exporter, call)[-1]["properties"]


def test_worked_example(exporter: PostHog) -> None:
    trace, found = events(exporter, CHAT)
    assert (trace["event"], found["event"]) == ("$ai_trace", "$ai_generation")
    assert trace.pop("uuid") != found.pop("uuid")
    head = {"distinct_id": "u-1", "timestamp": "2026-11-22T19:23:01.563896Z"}
    alike = {
        "$ai_trace_id": "workflow_12345",
        "$ai_session_id": "s-1",
        "trace_name": "Nightly report",
        "metadata_team": "growth",
        "metadata_tags": ["nightly", "report"],
        "$ai_lib": "orobserve",
        "$ai_lib_version": found["properties"]["$ai_lib_version"],
        "$geoip_disable": True,
    }
    state = {"$ai_span_name": "Nightly report", "$ai_input_state": PROMPT, "$ai_output_state": CHOICES}
    assert trace == {"event": "$ai_trace", **head, "properties": {**alike, **state}}
    assert found["properties"] == {
        **alike,
        "$ai_span_id": "0a1b2c3d4e5f6071",
        "$ai_parent_id": "workflow_12345",
        "$ai_span_name": "Summarise",
        "$ai_model": "anthropic/claude-sonnet-4",
        "$ai_provider": "Anthropic",
        "$ai_base_url": "https://openrouter.ai",
        "$ai_http_status": 200,
        "$ai_latency": 2.0,
        "$ai_time_to_first_token": 0.42,
        "$ai_stream": True,
        "$ai_temperature": 0.2,
        "$ai_max_tokens": 500,
        "$ai_model_parameters": {"temperature": 0.2, "max_tokens": 500, "stream": True},
        "$ai_stop_reason": "stop",
        "$ai_input_tokens": 1000,
        "$ai_output_tokens": 200,
        "$ai_cache_read_input_tokens": 600,
        "$ai_cache_creation_input_tokens": 100,
        "$ai_cache_reporting_exclusive": False,
        "$ai_reasoning_tokens": 50,
        "$ai_total_cost_usd": 0.0042,
        "$ai_input": PROMPT,
        "$ai_output_choices": CHOICES,
        "openrouter_generation_id": "gen-abc",
    }


def test_the_body_never_changes(exporter: PostHog) -> None:
    """Neither in a new process: equal events become one, and `sent_at` would shift their times."""
    again = make(PostHog, api_key=KEY)
    assert exporter.encode([CHAT, SAMPLES["free"]]) == again.encode([CHAT, SAMPLES["free"]])
    body = json.loads(exporter.encode([CHAT]).body)
    assert list(body) == ["api_key", "historical_migration", "batch"]
    assert [event["uuid"] for event in events(exporter, CHAT)] == [
        "b410274b-755f-58cd-a393-19dfa603c86f",
        "816811fa-fc5b-52d5-978c-1f6cba816c15",
    ]


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("free", {"$ai_total_cost_usd": 0.0}),
        ("unpriced", {}),
        ("byok", {"$ai_total_cost_usd": 0.0105}),
        ("split", {"$ai_input_cost_usd": 0.001, "$ai_output_cost_usd": 0.002, "$ai_total_cost_usd": 0.003}),
    ],
)
def test_cost(exporter: PostHog, sample: str, expected: dict[str, float]) -> None:
    found = properties(exporter, SAMPLES[sample])
    assert {name: value for name, value in found.items() if name.startswith("$") and "cost" in name} == expected


def test_unknown_tokens_are_left_out_and_a_known_zero_is_not(exporter: PostHog) -> None:
    found = properties(exporter, replace(CHAT, usage=Usage(input_tokens=5, cache_read_input_tokens=0)))
    tokens = {name: value for name, value in found.items() if "tokens" in name and name != "$ai_max_tokens"}
    assert tokens == {"$ai_input_tokens": 5, "$ai_cache_read_input_tokens": 0}


def test_tools_are_those_of_chat_completions(exporter: PostHog) -> None:
    found = properties(exporter, SAMPLES["tools"])
    calls = found["$ai_output_choices"][0]["content"]
    assert calls[0] == {
        "type": "function",
        "id": "call_1",
        "function": {"name": "weather", "arguments": '{"city": "Zürich", "days": [1, 2]}'},
    }
    assert found["$ai_tools"] == list(SAMPLES["tools"].content.tools)  # type: ignore[union-attr]
    tools = ({"type": "function", "name": "f", "parameters": {}}, {"type": "openrouter:web_search"})
    found = properties(exporter, replace(CHAT, content=Content(tools=tools)))
    assert found["$ai_tools"] == [{"type": "function", "function": {"name": "f", "parameters": {}}}, tools[1]]


def test_failed_call(exporter: PostHog) -> None:
    found = properties(exporter, SAMPLES["error"])
    failure = {"$ai_is_error": True, "$ai_error": "Rate limit exceeded", "$ai_error_type": "429"}
    assert found.items() >= {**failure, "$ai_http_status": 429}.items()
    assert "$ai_provider" not in found
    found = properties(exporter, replace(CHAT, outcome=Outcome.FAILED))
    assert found.items() >= {"$ai_is_error": True, "$ai_error": "failed"}.items()


def test_embeddings(exporter: PostHog) -> None:
    (event,) = events(exporter, SAMPLES["embeddings"])
    found = event["properties"]
    assert event["event"] == "$ai_embedding"
    assert (found["$ai_input"], found["$ai_input_tokens"], found["$ai_total_cost_usd"]) == (["embed me"], 8, 1.6e-07)
    assert not {"$ai_output_choices", "$ai_output_tokens"} & found.keys()


def test_content_is_only_there_when_it_was_given(exporter: PostHog) -> None:
    names = {name for event in events(exporter, replace(CHAT, content=None)) for name in event["properties"]}
    assert not {"$ai_input", "$ai_output_choices", "$ai_tools", "$ai_input_state", "$ai_output_state"} & names


def test_odd_text_and_deep_values(exporter: PostHog) -> None:
    found = properties(exporter, SAMPLES["odd_text"])
    assert found["$ai_input"][0]["content"] == ODD_TEXT.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    assert found["metadata_dé jà.vu"] == "ça 👍"
    assert "metadata_none" not in found
    deep = {"a": {"b": {"c": {"d": 1}, "e": [1], "f": 2}}, "g": [{"h": (3,)}]}
    found = properties(exporter, replace(CHAT, tags={"deep": deep, "tags": {"not": "a list"}}))
    assert found["metadata_deep"] == {
        "a": {"b": {"c": "[truncated]", "e": "[truncated]", "f": 2}},
        "g": [{"h": "[truncated]"}],
    }
    assert found["metadata_tags"] == {"not": "a list"}


def test_an_event_stays_below_what_posthog_takes(exporter: PostHog) -> None:
    said = Message(role="user", parts=(Text(content="é\n" * 2_000_000),))
    content = Content(input=(said,), output=(said,), tools=({"name": "f", "description": "d" * 2_000_000},))
    for event in events(exporter, replace(CHAT, content=content), SAMPLES["huge"]):
        assert len(json.dumps(event, ensure_ascii=False).encode()) < 900 * 1024


class TestPlaces:
    """People, traces and parents."""

    def test_a_person_and_nobody(self, exporter: PostHog) -> None:
        known, nobody = events(exporter, CHAT)[-1], events(exporter, SAMPLES["free"])[-1]
        assert known["distinct_id"] == "u-1"
        assert "$process_person_profile" not in known["properties"]
        assert nobody["distinct_id"] == SAMPLES["free"].trace_id
        assert nobody["properties"]["$process_person_profile"] is False

    def test_trace_ids_hold_only_what_posthog_takes(self, exporter: PostHog) -> None:
        given = "a/b c#é-_~.@()!':|"
        trace_id = f"{ids.trace_id(given):032x}"
        call = replace(CHAT, trace_id=trace_id, request=replace(CHAT.request, trace=Trace(trace_id=given)))
        found = properties(exporter, call)
        assert (found["$ai_trace_id"], found["trace_id"]) == ("a_b_c__-_~.@()!':|", given)
        assert found["$ai_parent_id"] == found["$ai_trace_id"]

    def test_named_parents_come_once(self, exporter: PostHog) -> None:
        first, second = SAMPLES["named"], replace(SAMPLES["named"], span_id="0a1b2c3d4e5f6099")
        trace, chapter, page, other = events(exporter, first, second)
        assert [event["event"] for event in (trace, chapter, page)] == ["$ai_trace", "$ai_span", "$ai_generation"]
        assert "$ai_span_id" not in trace["properties"]
        assert chapter["properties"]["$ai_parent_id"] == trace["properties"]["$ai_trace_id"]
        for event in (page, other):
            assert event["properties"]["$ai_parent_id"] == chapter["properties"]["$ai_span_id"]
        assert "$ai_latency" not in trace["properties"], "how long all of it took is not known"

    def test_parent_of_the_request_is_as_it_was_given(self, exporter: PostHog) -> None:
        trace = Trace(trace_id="workflow_12345", parent_span_id="step 7")
        above = f"{ids.span_id('step 7'):016x}"
        call = replace(CHAT, request=replace(CHAT.request, trace=trace), parent_span_id=above)
        (event,) = events(exporter, call)
        assert event["properties"]["$ai_parent_id"] == "step 7"

    def test_a_span_of_the_application_is_no_parent_here(self, exporter: PostHog) -> None:
        inside = SAMPLES["inside"]
        found = properties(exporter, inside)
        assert (found["$ai_parent_id"], found["parent_span_id"]) == (inside.trace_id, inside.parent_span_id)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("https://eu.i.posthog.com/", "https://eu.i.posthog.com"),
        ("https://us.posthog.com", "https://us.i.posthog.com"),
        ("https://app.posthog.com/", "https://us.i.posthog.com"),
        ("https://eu.posthog.com", "https://eu.i.posthog.com"),
        ("https://ph.corp/proxy/", "https://ph.corp/proxy"),
    ],
)
def test_requests(given: str, address: str) -> None:
    exporter = make(PostHog, api_key=KEY, endpoint=given, headers={"x-proxy": "1"})
    request, probe = exporter.encode([CHAT]), exporter.probe()
    assert (request.url, probe.url) == (f"{address}/batch/", f"{address}/flags/?v=2")
    assert request.headers == {"Content-Type": "application/json", "x-proxy": "1"}
    assert json.loads(probe.body) == {"api_key": KEY, "distinct_id": "orobserve-connection-test"}


@pytest.mark.parametrize(
    ("given", "words"),
    [({"api_key": "phx_secret"}, "take the key of the project"), ({"endpoint": "us.i.posthog.com"}, "full address")],
)
def test_what_cannot_work_says_what_to_change(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        make(PostHog, **{"api_key": KEY, **given})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "verdict", "word"),
    [
        (200, b'{"status":"Ok"}', Verdict.DELIVERED, ""),
        (200, b'{"status":1,"quota_limited":[]}', Verdict.DELIVERED, ""),
        (200, b"1", Verdict.DELIVERED, ""),
        (200, b"ok", Verdict.DELIVERED, ""),
        (200, b"", Verdict.DELIVERED, ""),
        (200, b'{"status":"Ok","quota_limited":["events"]}', Verdict.REJECTED, "quota"),
        (413, b"", Verdict.TOO_LARGE, "413"),
        (429, b'{"quota_limited":["events"]}', Verdict.RETRY, "429"),
        (503, b"", Verdict.RETRY, "503"),
        (401, b"", Verdict.REJECTED, "401"),
    ],
)
def test_answers(exporter: PostHog, status: int, body: bytes, verdict: Verdict, word: str) -> None:
    result = exporter.judge(HTTPResponse(status=status, body=body))
    assert result.verdict is verdict
    assert word in result.reason


@pytest.mark.parametrize(
    ("status", "verdict", "word"),
    [
        (200, Verdict.DELIVERED, ""),
        (401, Verdict.REJECTED, "check api_key, and that endpoint"),
        (404, Verdict.REJECTED, "check endpoint"),
    ],
)
def test_probe_says_what_to_change(exporter: PostHog, status: int, verdict: Verdict, word: str) -> None:
    result = exporter.judge_probe(HTTPResponse(status=status))
    assert result.verdict is verdict
    assert word in result.reason


def test_delivery_and_a_quota_that_is_used_up() -> None:
    with Server(
        Answer(503), Answer(200, body=b'{"status":"Ok"}'), Answer(body=b'{"quota_limited":["events"]}')
    ) as server:
        clock = VirtualClock(skips=True)
        destination = Destination("ph", make(PostHog, api_key=KEY, endpoint=server.url), lambda sent: sent, clock=clock)
        destination.offer(CHAT)
        first, second = server.wait(2)
        destination.offer(SAMPLES["free"])
        server.wait(3)
        destination.close(clock.now() + 100)
        assert destination.join(clock.now() + 100)
    assert (first.path, first.body) == ("/batch/", second.body)
    assert (destination.state.delivered, destination.state.dropped) == (1, {"rejected": 1})
    assert "quota" in str(destination.state.last_error)
    assert KEY not in str(destination.state.last_error)
