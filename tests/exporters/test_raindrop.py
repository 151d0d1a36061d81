from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import HTTPResponse, Verdict
from orobserve.delivery.destination import Destination
from orobserve.generation import Content, Message, Text, ToolCallResponse, Trace, Usage
from orobserve_exporters.raindrop import Raindrop
from tests.delivery.clocks import VirtualClock
from tests.delivery.servers import Answer, Server
from tests.exporters.generations import CHAT, ODD_TEXT, SAMPLES
from tests.support.otlp import make

if TYPE_CHECKING:
    from orobserve.generation import Generation

KEY = "rd-secret"


@pytest.fixture
def exporter() -> Raindrop:
    return make(Raindrop, write_key=KEY)


def sent(exporter: Raindrop, call: Generation) -> Any:
    """Return the event of a call."""
    (event,) = json.loads(exporter.encode([call]).body)
    return event


def test_worked_example(exporter: Raindrop) -> None:
    assert sent(exporter, CHAT) == {
        "event_id": "816811fa-fc5b-52d5-978c-1f6cba816c15",
        "user_id": "u-1",
        "event": "llm_generation",
        "timestamp": "2026-11-22T19:22:59.563Z",
        "ai_data": {
            "model": "anthropic/claude-sonnet-4",
            "input": "Summarise the report.",
            "output": "It went well.",
            "convo_id": "s-1",
        },
        "properties": {
            # as Broadcast sends them
            "prompt_tokens": 1000,
            "completion_tokens": 200,
            "total_tokens": 1200,
            "total_cost": 0.0042,
            "duration_ms": 2000,
            "finish_reason": "stop",
            "model": "anthropic/claude-sonnet-4",
            "provider": "Anthropic",
            "source": "openrouter",
            "trace_id": "workflow_12345",
            "trace_name": "Nightly report",
            "generation_name": "Summarise",
            "team": "growth",
            # and these
            "tags": '["nightly","report"]',
            "generation_id": "gen-abc",
            "span_id": "0a1b2c3d4e5f6071",
            "cached_tokens": 600,
            "cache_write_tokens": 100,
            "reasoning_tokens": 50,
            "time_to_first_token": 0.42,
        },
    }


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("free", {"total_cost": 0.0}),
        ("unpriced", {}),
        ("byok", {"total_cost": 0.0105, "cost_charged_usd": 0.0005, "cost_upstream_usd": 0.01}),
        ("split", {"input_cost": 0.001, "output_cost": 0.002, "total_cost": 0.003}),
    ],
)
def test_cost(exporter: Raindrop, sample: str, expected: dict[str, float]) -> None:
    found = sent(exporter, SAMPLES[sample])["properties"]
    assert {name: value for name, value in found.items() if "cost" in name} == expected


def test_properties_are_flat_and_ours_cannot_be_written_over(exporter: Raindrop) -> None:
    found = sent(exporter, SAMPLES["odd_text"])["properties"]
    assert (found["deep"], found["dé jà.vu"], found["share"]) == ('{"a":[1,null,true]}', "ça 👍", 0.5)
    assert "none" not in found
    assert not any(isinstance(value, (dict, list)) for value in found.values())
    custom = {"total_cost": 99, "source": "mine", "tags": {"not": "a list"}}
    found = sent(exporter, replace(SAMPLES["unpriced"], tags=custom))["properties"]
    assert "total_cost" not in found
    assert (found["source"], found["tags"]) == ("openrouter", '{"not":"a list"}')


def test_a_total_that_is_missing_is_the_sum(exporter: Raindrop) -> None:
    found = sent(exporter, replace(CHAT, usage=Usage(input_tokens=3, output_tokens=4)))["properties"]
    assert {name: value for name, value in found.items() if name.endswith("_tokens")} == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
    }


@pytest.mark.parametrize(
    ("user", "session", "expected"), [("u", "s", "u"), (None, "s", "s"), (None, None, "workflow_12345")]
)
def test_there_is_always_a_user(exporter: Raindrop, user: str | None, session: str | None, expected: str) -> None:
    request = replace(CHAT.request, user=user, session_id=session)
    assert sent(exporter, replace(CHAT, request=request))["user_id"] == expected


def _user(text: str) -> Message:
    return Message(role="user", parts=(Text(content=text),))


RESULT = Message(role="tool", parts=(ToolCallResponse(id="call_0", response={"now": "noon"}),))


class TestTexts:
    """Raindrop refuses an event without any text."""

    def test_tool_calls_are_the_answer_where_there_is_no_other(self, exporter: Raindrop) -> None:
        found = sent(exporter, SAMPLES["tools"])["ai_data"]["output"]
        assert found == 'weather({"city":"Zürich","days":[1,2]})\nbroken({"not": json)'

    @pytest.mark.parametrize(
        ("messages", "expected"),
        [
            ((_user("first"), RESULT, _user("last"), RESULT), "last"),
            ((_user("only"), _user("")), "only"),
            ((RESULT,), '{"now":"noon"}'),
            ((), "[no text]"),
        ],
    )
    def test_input_is_the_latest_message_of_the_user(
        self, exporter: Raindrop, messages: tuple[Message, ...], expected: str
    ) -> None:
        found = sent(exporter, replace(CHAT, content=Content(input=messages)))["ai_data"]
        assert found["input"] == expected
        assert "output" not in found

    def test_privacy_mode_keeps_the_conversation(self, exporter: Raindrop) -> None:
        found = sent(exporter, SAMPLES["private"])["ai_data"]
        assert found == {
            "model": "anthropic/claude-sonnet-4",
            "input": "[not sent: privacy mode]",
            "convo_id": "s-1",
        }

    def test_odd_text_arrives(self, exporter: Raindrop) -> None:
        expected = ODD_TEXT.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
        assert sent(exporter, SAMPLES["odd_text"])["ai_data"]["output"] == expected

    def test_what_is_too_long_is_shortened(self, exporter: Raindrop) -> None:
        long = (_user("é\n" * 2_000_000),)
        event = sent(exporter, replace(CHAT, content=Content(input=long, output=long)))
        assert len(json.dumps(event, ensure_ascii=False).encode()) < 1_000_000
        assert event["ai_data"]["input"].endswith("…[truncated]")


def test_failed_call(exporter: Raindrop) -> None:
    event = sent(exporter, SAMPLES["error"])
    assert event["ai_data"]["input"] == "Summarise the report."
    expected = {"error": "Rate limit exceeded", "error_type": "429", "outcome": "failed"}
    assert event["properties"].items() >= expected.items()


def test_parent_of_the_request_is_as_it_was_given(exporter: Raindrop) -> None:
    trace = Trace(trace_id="workflow_12345", parent_span_id="step 7")
    call = replace(CHAT, request=replace(CHAT.request, trace=trace), parent_span_id="733783eb95dbf62d")
    assert sent(exporter, call)["properties"]["parent_span_id"] == "step 7"
    found = sent(exporter, SAMPLES["inside"])["properties"]["parent_span_id"]
    assert found == SAMPLES["inside"].parent_span_id


@pytest.mark.parametrize("base", ["https://rd.corp", "https://rd.corp/", "https://rd.corp/v1", "https://rd.corp/v1/"])
def test_requests(base: str) -> None:
    exporter = make(Raindrop, write_key=KEY, base_url=base, headers={"X-Raindrop-Project-Id": "p"})
    request, probe = exporter.encode([CHAT]), exporter.probe()
    assert request.url == "https://rd.corp/v1/events/track"
    assert probe.url == "https://rd.corp/v1/users/identify"
    expected = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {KEY}",
        "X-Raindrop-Project-Id": "p",
    }
    assert request.headers == probe.headers == expected
    assert KEY.encode() not in request.body + probe.body
    assert json.loads(probe.body) == [{"user_id": "orobserve-connection-test", "traits": {"source": "orobserve"}}]


def test_an_address_that_is_none() -> None:
    with pytest.raises(ValueError, match="base_url must be a full address"):
        make(Raindrop, write_key=KEY, base_url="api.raindrop.ai")


@pytest.mark.parametrize(
    ("status", "verdict", "word"),
    [
        (204, Verdict.DELIVERED, ""),
        (401, Verdict.REJECTED, "check write_key"),
        (404, Verdict.REJECTED, "check base_url"),
    ],
)
def test_probe_says_what_to_change(exporter: Raindrop, status: int, verdict: Verdict, word: str) -> None:
    result = exporter.judge_probe(HTTPResponse(status=status))
    assert result.verdict is verdict
    assert word in result.reason


def test_delivery() -> None:
    with Server(Answer(500), Answer(204, body=b"")) as server:
        clock = VirtualClock(skips=True)
        destination = Destination(
            "rd", make(Raindrop, write_key=KEY, base_url=server.url), lambda sent: sent, clock=clock
        )
        destination.offer(CHAT)
        first, second = server.wait(2)
        destination.close(clock.now() + 100)
        assert destination.join(clock.now() + 100)
    assert destination.state.delivered == 1
    assert first.path == "/v1/events/track"
    assert first.body == second.body
