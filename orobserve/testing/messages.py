"""Anthropic Messages: the message, its named events, and errors in Anthropic's shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orobserve.testing import errors, usage
from orobserve.testing.prose import pieces
from orobserve.testing.sse import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve.testing.answers import Answer
    from orobserve.testing.request import Payload
    from orobserve.testing.scenarios import Failure, ToolCall

_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_ARGUMENT_PIECES = 3


def result(answer: Answer) -> Payload:
    """Build the body of a call that is not streamed."""
    payload = _message(answer, _content(answer), _STOP.get(answer.finish))
    usage.attach(payload, usage.messages_result(answer), answer)
    if answer.metadata is not None:
        payload["openrouter_metadata"] = answer.metadata
    return payload


def _message(answer: Answer, content: list[Payload], stop: str | None) -> Payload:
    return {
        "id": f"msg_{answer.serial}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "provider": answer.provider,
        "content": content,
        "stop_reason": stop,
        "stop_details": _refusal() if stop == "refusal" else None,
        "stop_sequence": None,
        "container": None,
    }


def _refusal() -> Payload:
    return {"type": "refusal", "category": None, "explanation": None}


def _content(answer: Answer) -> list[Payload]:
    content: list[Payload] = []
    if answer.reasoning:
        content.append({"type": "thinking", "thinking": answer.reasoning, "signature": f"sig{answer.serial}"})
    if answer.text or not answer.tool_calls:
        content.append({"type": "text", "text": answer.text, "citations": _citations(answer) or None})
    content += [_tool_use(call) for call in answer.tool_calls]
    return content


def _tool_use(call: ToolCall) -> Payload:
    return {
        "type": "tool_use",
        "id": call.id.replace("call_", "toolu_"),
        "name": call.name,
        "input": json.loads(call.arguments),
        "caller": {"type": "direct"},
    }


def _citations(answer: Answer) -> list[Payload]:
    return [
        {
            "type": "web_search_result_location",
            "url": url,
            "title": url,
            "cited_text": answer.text,
            "encrypted_index": "",
        }
        for url in answer.scenario.citations
    ]


def _event(payload: Payload, *, terminal: bool = False) -> Event:
    return Event(payload, payload["type"], terminal)


def events(answer: Answer) -> Iterator[Event]:
    """Stream the message. The usage carries counts and never money: that is how OpenRouter streams Messages."""
    start = _message(answer, [], None)
    counts = {**usage.messages(answer), "inference_geo": None, "service_tier": "standard"}
    usage.attach(start, {**counts, "output_tokens": 1 if answer.tokens.completion else 0}, answer)
    yield _event({"type": "message_start", "message": start})
    yield _event({"type": "ping"})
    for index, block in enumerate(_content(answer)):
        yield from _block_events(answer, index, block)
    stop = _STOP.get(answer.finish)
    details = _refusal() if stop == "refusal" else None
    delta = {"stop_reason": stop, "stop_details": details, "stop_sequence": None, "container": None}
    yield _event(usage.attach({"type": "message_delta", "delta": delta}, usage.messages(answer), answer))
    final: Payload = {"type": "message_stop"}
    if answer.metadata is not None:
        final["openrouter_metadata"] = answer.metadata
    yield _event(final, terminal=True)


def _block_events(answer: Answer, index: int, block: Payload) -> Iterator[Event]:
    """Open, write and close one content block."""
    write = {"thinking": _thinking, "text": _text, "tool_use": _input}[block["type"]]
    empty: dict[str, Payload] = {
        "thinking": {"thinking": "", "signature": ""},
        "text": {"text": "", "citations": None},
        "tool_use": {"input": {}},
    }
    yield _event({"type": "content_block_start", "index": index, "content_block": {**block, **empty[block["type"]]}})
    for delta in write(answer, block):
        yield _event({"type": "content_block_delta", "index": index, "delta": delta})
    yield _event({"type": "content_block_stop", "index": index})


def _thinking(answer: Answer, block: Payload) -> Iterator[Payload]:
    for piece in pieces(answer.reasoning):
        yield {"type": "thinking_delta", "thinking": piece}
    yield {"type": "signature_delta", "signature": block["signature"]}


def _text(answer: Answer, block: Payload) -> Iterator[Payload]:
    for piece in answer.pieces:
        yield {"type": "text_delta", "text": piece}
    for citation in block["citations"] or ():
        yield {"type": "citations_delta", "citation": citation}


def _input(_answer: Answer, block: Payload) -> Iterator[Payload]:
    for piece in pieces(json.dumps(block["input"]), _ARGUMENT_PIECES):
        yield {"type": "input_json_delta", "partial_json": piece}


def failed(answer: Answer, failure: Failure) -> Payload:
    """Build the error object, which Messages uses everywhere."""
    return errors.anthropic(failure, generation_id=answer.generation_id, story=answer.metadata)


def broken_off(answer: Answer, failure: Failure) -> Iterator[Event]:
    """End a stream with an error event."""
    yield _event(failed(answer, failure), terminal=True)
