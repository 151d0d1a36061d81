"""Message content: only where asked for, masked first, cut to size, never binary; on spans, on events, or both."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import _logs

from orobserve.generation import Content, Message, Text
from orobserve.telemetry import content
from tests.telemetry.calls import ANSWER, call, delta, sse

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Telemetry

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
EVENT = "gen_ai.client.inference.operation.details"


@pytest.fixture(autouse=True)
def _logs_set_up(telemetry: Telemetry) -> None:
    _logs.set_logger_provider(telemetry.logger_provider)


@pytest.mark.parametrize(
    ("mode", "on_span", "on_event"),
    [
        (None, False, None),
        ("NO_CONTENT", False, None),
        ("false", False, None),
        ("SPAN_ONLY", True, None),
        ("true", True, None),
        ("Event_Only", False, True),
        ("SPAN_AND_EVENT", True, True),
    ],
)
@pytest.mark.parametrize("way", ["variable", "own variable", "argument"])
def test_modes(
    mode: str | None,
    on_span: bool,
    on_event: bool | None,
    way: str,
    telemetry: Telemetry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if mode is not None and way != "argument":
        monkeypatch.setenv(VARIABLE if way == "variable" else "OROBSERVE_CONTENT", mode)
    telemetry.instrument(**{"content": mode} if mode is not None and way == "argument" else {})
    call()
    assert (INPUT in telemetry.span.attributes) is on_span
    assert [OUTPUT in log.attributes for log in telemetry.logs] == ([] if on_event is None else [on_event])


@pytest.mark.parametrize(("given", "expected"), [("no_content", False), (True, True), (False, False)])
def test_arguments_win_over_the_environment(
    given: Any, expected: bool, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "EVENT_ONLY" if expected else "SPAN_AND_EVENT")
    telemetry.instrument(content=given)
    call()
    assert (INPUT in telemetry.span.attributes) is expected
    assert telemetry.logs == []


@pytest.mark.parametrize("streamed", [True, False])
def test_messages_in_the_conventions_shape(streamed: bool, telemetry: Telemetry) -> None:
    telemetry.instrument(content="span_and_event")
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, PICTURE]},
    ]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    answer = sse(delta("Not "), delta("much."), delta(finish_reason="stop")) if streamed else ANSWER
    call(answer, messages=messages, tools=tools, stream=streamed)
    span, (log,) = telemetry.span, telemetry.logs
    told = json.loads(span.attributes[INPUT])
    assert told[0] == {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]}
    picture = told[1]["parts"][1]
    assert (picture["type"], picture["modality"], picture["mime_type"], picture["content"]) == (
        "blob",
        "image",
        "image/png",
        "",
    )
    (said,) = json.loads(span.attributes[OUTPUT])
    assert said["role"] == "assistant"
    assert said["parts"] == [{"type": "text", "content": "Not much."}]
    assert json.loads(span.attributes["gen_ai.tool.definitions"]) == [{"type": "function", "name": "f"}]
    assert json.dumps(log.attributes[OUTPUT], default=list)  # structured there, not text
    assert log.attributes[OUTPUT][0]["role"] == "assistant"


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def test_the_event_is_linked_and_complete(telemetry: Telemetry, records: Callable[[], list[Any]]) -> None:
    telemetry.instrument(emit_event=True)
    call()
    span, (log,) = telemetry.span, telemetry.logs
    assert log.event_name == EVENT
    assert (log.trace_id, log.span_id) == (span.context.trace_id, span.context.span_id)
    assert log.timestamp == span.end_time == records()[0].timing.ended_at
    assert dict(log.attributes) == dict(span.attributes)


@pytest.mark.parametrize("value", ["true", "false", ""])
def test_the_event_by_the_conventions_variable(
    value: str, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", value)
    telemetry.instrument()
    call()
    assert len(telemetry.logs) == (value == "true")


def test_the_mask_runs_first(telemetry: Telemetry) -> None:
    def mask(given: Content) -> Content:
        return replace(given, input=(Message(role="user", parts=(Text(content="***"),)),), output=())

    telemetry.instrument(content="span_and_event", mask=mask)
    call()
    (told,) = json.loads(telemetry.span.attributes[INPUT])
    assert told == {"role": "user", "parts": [{"type": "text", "content": "***"}]}
    assert OUTPUT not in telemetry.span.attributes
    assert "Not much" not in repr(telemetry.logs[0].attributes)


@pytest.mark.swallows
@pytest.mark.parametrize("result", [None, "not content", ZeroDivisionError()])
def test_a_mask_that_fails_or_declines_means_no_content(result: Any, telemetry: Telemetry) -> None:
    def mask(_: Content) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    telemetry.instrument(content="span_and_event", mask=mask)
    call()
    assert [name for name in telemetry.span.attributes if name in {INPUT, OUTPUT}] == []
    assert telemetry.span.attributes["openrouter.cost.total"] == 0.25
    assert not any("Not much" in repr(log.attributes) for log in telemetry.logs)


@pytest.mark.parametrize("limit", [200, 1000, 32768])
@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "x" * 100_000}],
        [{"role": "user", "content": '"\\\n👋' * 20_000}],
        [{"role": "user", "content": f"message {number}"} for number in range(5_000)],
        [{"role": "user", "content": [{"type": "text", "text": "y" * 40_000}] * 3}],
    ],
    ids=["long", "escaped", "many", "parts"],
)
def test_what_is_cut_is_still_json(messages: list[Any], limit: int, telemetry: Telemetry) -> None:
    telemetry.instrument(content="span_only", content_limit=limit)
    call(messages=messages)
    text = telemetry.span.attributes[INPUT]
    told = json.loads(text)
    assert len(text.encode()) <= limit
    assert told, "something is kept"
    assert {part["type"] for message in told for part in message["parts"]} == {"text"}
    if len(messages) == 1:
        assert "…[truncated]" in text
    else:
        assert told[-1]["parts"][0]["content"] == "message 4999", "the newest stay"


def test_short_content_is_whole(telemetry: Telemetry) -> None:
    telemetry.instrument(content="span_only")
    text = "Grüße, 世界! 👩‍🚀\u2028"
    call(messages=[{"role": "user", "content": text}])
    assert json.loads(telemetry.span.attributes[INPUT])[0]["parts"][0]["content"] == text


def test_a_long_conversation_is_cut_in_no_time(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    dumps = json.dumps
    monkeypatch.setattr(content.json, "dumps", lambda value, **k: written.append(value) or dumps(value, **k))
    telemetry.instrument(content="span_only")
    call(messages=[{"role": "user", "content": f"message {number}"} for number in range(5_000)])
    assert sum(len(value) for value in written if isinstance(value, list)) < 100_000, "messages that were written"


def test_keys_are_taken_out_of_content(telemetry: Telemetry) -> None:
    telemetry.instrument(content="span_only")
    call(messages=[{"role": "user", "content": "use sk-or-v1-0123456789abcdef please"}])
    assert "[REDACTED]" in telemetry.span.attributes[INPUT]
    assert "0123456789abcdef" not in telemetry.span.attributes[INPUT]
