from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from orobserve.generation import Content, Message, Text, ToolCallResponse, Trace
from orobserve_exporters.opik import Opik
from tests.exporters.generations import CHAT, ODD_TEXT, SAMPLES, SECOND, STARTED_AT
from tests.support.otlp import make

if TYPE_CHECKING:
    from orobserve.generation import Generation

KEY = "opik-secret"
SDK = json.loads((Path(__file__).parent / "golden" / "opik_sdk.json").read_text())
HOUR = 3_600_000
UUID7 = "01a204d2-25db-7b9c-b73f-5dc26fd5ddeb"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Summarise the report."}]
ANSWER = {"role": "assistant", "content": "It went well.", "reasoning": "Read it first."}


@pytest.fixture
def exporter() -> Opik:
    return make(Opik, api_key=KEY, workspace="w", project_name="p")


def sent(exporter: Opik, *batch: Generation) -> tuple[list[Any], list[Any]]:
    """Return the traces and the spans of a batch."""
    traces, spans = exporter.encode(batch)
    return json.loads(traces.body)["traces"], json.loads(spans.body)["spans"]


def span(exporter: Opik, name: str) -> dict[str, Any]:
    """Return the one span of a sample."""
    (found,) = sent(exporter, SAMPLES[name])[1]
    return found


def derived(milliseconds: int, otel_id: str) -> str:
    """Build the UUID of an OpenTelemetry id, written otherwise than in the exporter."""
    tail = bytearray(hashlib.sha256(bytes.fromhex(otel_id)).digest()[:10])
    tail[0] = tail[0] & 0x0F | 0x70
    tail[2] = tail[2] & 0x3F | 0x80
    return str(UUID(bytes=milliseconds.to_bytes(6, "big") + bytes(tail)))


def test_worked_example(exporter: Opik) -> None:
    (trace,), (found,) = sent(exporter, CHAT)
    milliseconds = STARTED_AT // 1_000_000
    alike = {
        "project_name": "p",
        "start_time": "2026-11-22T19:22:59.563896Z",
        "end_time": "2026-11-22T19:23:01.563896Z",
        "input": {"messages": MESSAGES},
        "output": {"choices": [{"index": 0, "message": ANSWER, "finish_reason": "stop"}]},
        "tags": ["nightly", "report"],
        "source": "sdk",
        "ttft": 420.0,
    }
    custom = {"team": "growth", "user_id": "u-1", "session_id": "s-1", "openrouter_trace_id": "workflow_12345"}
    assert trace == {
        **alike,
        "id": derived(milliseconds // HOUR * HOUR, "7af15d27557f4b0547b66811c67d365d"),
        "name": "Nightly report",
        "thread_id": "s-1",
        "metadata": custom,
    }
    assert found == {
        **alike,
        "id": derived(milliseconds, "0a1b2c3d4e5f6071"),
        "trace_id": trace["id"],
        "name": "Summarise",
        "type": "llm",
        "model": "anthropic/claude-sonnet-4",
        "provider": "anthropic",
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 200,
            "total_tokens": 1200,
            "original_usage.prompt_tokens": 1000,
            "original_usage.completion_tokens": 200,
            "original_usage.total_tokens": 1200,
            "original_usage.prompt_tokens_details.cached_tokens": 600,
            "original_usage.prompt_tokens_details.cache_write_tokens": 100,
            "original_usage.completion_tokens_details.reasoning_tokens": 50,
        },
        "total_estimated_cost": 0.0042,
        "metadata": {
            **custom,
            "generation_id": "gen-abc",
            "provider": "Anthropic",
            "finish_reasons": ["stop"],
            "time_to_first_token": 0.42,
            "cost_usd": 0.0042,
            "temperature": 0.2,
            "max_tokens": 500,
        },
    }


@pytest.mark.parametrize(("number", "kind"), [(0, "trace"), (1, "span")])
def test_what_goes_out_is_what_the_sdk_of_opik_sends(exporter: Opik, number: int, kind: str) -> None:
    """Path, headers, and the type of each field that both send; beyond that only fields that the SDK knows too."""
    request, theirs = exporter.encode([CHAT])[number], SDK[kind]
    assert (request.method, request.url) == ("POST", f"https://www.comet.com/opik/api{theirs['path']}")
    assert {name.lower() for name in request.headers} == {name.lower() for name in theirs["headers"]}
    assert request.headers["Authorization"] == KEY  # without a scheme
    (ours,) = json.loads(request.body)[f"{kind}s"]
    expected = theirs["item"]
    assert {type(ours[name]) is type(expected[name]) for name in ours.keys() & expected.keys()} == {True}
    assert ours.keys() - expected.keys() <= {"end_time", "metadata", "tags", "ttft"}
    assert expected.keys() - ours.keys() == {"last_updated_at"}  # Opik's own time does: what is sent later counts
    for name in ("id", "start_time"):
        assert len(ours[name]) == len(expected[name])
    assert UUID(ours["id"]).version == UUID(expected["id"]).version == 7


@pytest.mark.parametrize(
    ("name", "cost"), [("free", 0.0), ("unpriced", None), ("byok", 0.0105), ("split", 0.003), ("cancelled", None)]
)
def test_cost_is_what_was_billed(exporter: Opik, name: str, cost: float | None) -> None:
    found = span(exporter, name)
    assert found.get("total_estimated_cost") == cost
    assert ("total_estimated_cost" in found) == (cost is not None)


def test_byok_keeps_its_parts(exporter: Opik) -> None:
    assert (
        span(exporter, "byok")["metadata"].items()
        >= {
            "is_byok": True,
            "cost_charged_usd": 0.0005,
            "cost_upstream_usd": 0.01,
        }.items()
    )


def test_error(exporter: Opik) -> None:
    (trace,), (found,) = sent(exporter, SAMPLES["error"])
    said = {"exception_type": "429", "message": "Rate limit exceeded", "traceback": "Rate limit exceeded"}
    assert trace["error_info"] == found["error_info"] == said
    assert not found.keys() & {"usage", "total_estimated_cost", "provider"}
    assert "output" in found  # as far as it came
    assert found["model"] == "openai/gpt-4o-mini"
    mute = replace(SAMPLES["error"], error=replace(SAMPLES["error"].error, message=None))  # type: ignore[type-var]
    (found,) = sent(exporter, mute)[1]
    assert found["error_info"] == {"exception_type": "429", "traceback": "429"}  # Opik refuses a blank one


def test_tool_calls(exporter: Opik) -> None:
    found = span(exporter, "tools")
    (choice,) = found["output"]["choices"]
    assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["weather", "broken"]
    assert choice["finish_reason"] == "tool_calls"
    assert found["input"]["messages"][-1] == {"role": "tool", "tool_call_id": "call_0", "content": '{"now": "noon"}'}
    assert found["input"]["tools"][0]["function"]["name"] == "weather"


def test_answer_of_several_parts_has_no_reason_of_one(exporter: Opik) -> None:
    """A tool that ran on the server answers in the same message."""
    parts = (ToolCallResponse(id="call_1", response="sunny"), Text(content="It is sunny."))
    content = Content(output=(Message(role="assistant", parts=parts, finish_reason="stop"),))
    (found,) = sent(exporter, replace(SAMPLES["free"], content=content))[1]
    assert [choice["message"]["role"] for choice in found["output"]["choices"]] == ["tool", "assistant"]
    assert not [choice for choice in found["output"]["choices"] if "finish_reason" in choice]


def test_odd_text_is_kept(exporter: Opik) -> None:
    found = span(exporter, "odd_text")
    (message,) = found["input"]["messages"]
    assert message["content"] == ODD_TEXT.replace("\ud83d", "?").replace("\0", "\ufffd")
    assert found["metadata"]["deep"] == {"a": [1, None, True]}


def test_without_content_there_is_no_input_or_output(exporter: Opik) -> None:
    (trace,), (found,) = sent(exporter, SAMPLES["private"])
    assert not {*trace, *found} & {"input", "output"}
    assert found["usage"]["prompt_tokens"] == 1000


def test_named_span_stands_between_trace_and_generation(exporter: Opik) -> None:
    (trace,), (outer, found) = sent(exporter, SAMPLES["named"])
    assert (trace["name"], outer["name"], found["name"]) == ("Nightly report", "Chapter 1", "Page 1")
    assert "parent_span_id" not in outer
    assert found["parent_span_id"] == outer["id"]
    assert outer["type"] == "general"
    assert not outer.keys() & {"model", "usage", "total_estimated_cost", "provider"}
    later = replace(SAMPLES["named"], id="gen-next", span_id="0a1b2c3d4e5f6099")
    spans = sent(exporter, SAMPLES["named"], later)[1]
    assert len({item["id"] for item in spans}) == len(spans) == 3


def test_parent_that_opik_never_gets_is_metadata(exporter: Opik) -> None:
    (trace,), (found,) = sent(exporter, SAMPLES["inside"])
    assert "parent_span_id" not in found
    assert found["metadata"]["parent_span_id"] == "00f067aa0ba902b7"
    assert int(trace["id"].replace("-", "")[:12], 16) % HOUR == 0  # others of the trace find the same id


def test_trace_alone_has_the_exact_time_by_which_opik_sorts(exporter: Opik) -> None:
    (trace,), _ = sent(exporter, SAMPLES["free"])
    assert int(trace["id"].replace("-", "")[:12], 16) == STARTED_AT // 1_000_000


def test_generations_of_one_trace_make_one_trace(exporter: Opik) -> None:
    first = SAMPLES["inside"]
    timing = replace(first.timing, started_at=STARTED_AT + 5 * SECOND, ended_at=STARTED_AT + 9 * SECOND)
    answer = SAMPLES["tools"].content
    last = replace(first, span_id="00000000000fffff", timing=timing, content=answer)
    for batch in ((first, last), (last, first)):
        (trace,), spans = sent(exporter, *batch)
        assert [item["trace_id"] for item in spans] == [trace["id"]] * 2
        assert trace["start_time"] == "2026-11-22T19:22:59.563896Z"
        assert trace["end_time"] == "2026-11-22T19:23:08.563896Z"
        assert trace["input"]["messages"] == MESSAGES
        assert "tool_calls" in trace["output"]["choices"][0]["message"]
    assert sent(exporter, first)[0][0]["id"] == trace["id"]  # in another batch too


def test_trace_and_parent_of_opiks_own_making_are_taken_as_they_are(exporter: Opik) -> None:
    trace = Trace(trace_id=UUID7.upper(), parent_span_id=UUID7)
    (made,), (found,) = sent(exporter, replace(CHAT, request=replace(CHAT.request, trace=trace), tags=None))
    assert made["id"] == found["trace_id"] == UUID7
    assert found["parent_span_id"] == UUID7
    assert made["last_updated_at"] == "2026-11-22T19:53:30.843000Z"  # so that its owner's row counts


def test_encoding_again_gives_the_same(exporter: Opik) -> None:
    batch = list(SAMPLES.values())
    assert exporter.encode(batch) == exporter.encode(batch)
    assert all(KEY.encode() not in request.body for request in exporter.encode(batch))


def test_probe_asks_for_access(exporter: Opik) -> None:
    probe = exporter.probe()
    assert (probe.method, probe.url, probe.body) == ("POST", "https://www.comet.com/opik/api/v1/private/auth", b"{}")
    assert probe.headers["Comet-Workspace"] == "w"


def test_own_server_needs_neither_key_nor_workspace() -> None:
    request = make(Opik, base_url="http://localhost:5173/api/", headers={"x-extra": "1"}).encode([CHAT])[0]
    assert request.url == "http://localhost:5173/api/v1/private/traces/batch"
    assert request.headers == {"Content-Type": "application/json", "x-extra": "1"}
    assert "project_name" not in json.loads(request.body)["traces"][0]


@pytest.mark.parametrize(
    ("config", "said"), [({}, "OPIK_API_KEY"), ({"api_key": KEY, "base_url": "opik.example.com"}, "base_url")]
)
def test_settings_that_cannot_work(config: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        make(Opik, **config)
    assert KEY not in str(raised.value)
