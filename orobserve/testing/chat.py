"""Chat completions: the result, the stream of chunks, and errors inside a 200."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.testing import errors, usage
from orobserve.testing.media import PICTURE_URL
from orobserve.testing.prose import pieces
from orobserve.testing.sse import FINISHED, Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orobserve.testing.answers import Answer
    from orobserve.testing.request import Payload
    from orobserve.testing.scenarios import Failure, ToolCall

_NATIVE = {"stop": "stop", "tool_calls": "tool_calls", "length": "max_tokens", "content_filter": "content_filter"}
_ARGUMENT_PIECES = 3


def native_finish(answer: Answer) -> str:
    """Give the provider's own word for the finish reason."""
    return _NATIVE.get(answer.finish, answer.finish)


def result(answer: Answer) -> Payload:
    """Build the body of a call that is not streamed."""
    payload: Payload = {
        "id": answer.generation_id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "provider": answer.provider,
        "system_fingerprint": None,
        "service_tier": answer.service_tier,
        "choices": [
            {
                "index": 0,
                "logprobs": None,
                "finish_reason": answer.finish,
                "native_finish_reason": native_finish(answer),
                "message": _message(answer),
            }
        ],
    }
    usage.attach(payload, usage.chat(answer), answer)
    if answer.metadata is not None:
        payload["openrouter_metadata"] = answer.metadata
    return payload


def _message(answer: Answer) -> Payload:
    message: Payload = {
        "role": "assistant",
        "content": answer.text,
        "refusal": None,
        "reasoning": answer.reasoning or None,
    }
    if answer.reasoning:
        message["reasoning_details"] = [_thought(answer.reasoning)]
    if answer.tool_calls:
        message["tool_calls"] = [_call(call) for call in answer.tool_calls]
    if answer.scenario.images:
        message["images"] = _pictures(answer)
    if answer.scenario.citations:
        message["annotations"] = cite(answer)
    if "audio" in (answer.request.body.get("modalities") or ()):
        message["audio"] = {"id": f"audio_{answer.serial}", "data": "AAAA", "expires_at": answer.created + 3600}
        message["audio"]["transcript"] = answer.text
    return message


def _thought(text: str) -> Payload:
    return {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}


def _call(call: ToolCall) -> Payload:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _pictures(answer: Answer) -> list[Payload]:
    return [
        {"type": "image_url", "image_url": {"url": PICTURE_URL}, "index": index}
        for index in range(answer.scenario.images)
    ]


def cite(answer: Answer) -> list[Payload]:
    """Cite the scenario's pages."""
    return [
        {
            "type": "url_citation",
            "url_citation": {"url": url, "title": url, "content": "", "start_index": 0, "end_index": len(answer.text)},
        }
        for url in answer.scenario.citations
    ]


def events(answer: Answer) -> Iterator[Event]:
    """Stream the answer: deltas, the finish, one usage chunk, the terminator."""
    if answer.scenario.framing.role_chunk:
        yield Event(_chunk(answer, {"role": "assistant", "content": ""}))
    for delta in _deltas(answer):
        yield Event(_chunk(answer, {"role": "assistant", "content": "", **delta}))
    yield Event(_chunk(answer, {"role": "assistant", "content": ""}, answer.finish, native_finish(answer)))
    yield from closing(answer, _chunk(answer, {"role": "assistant", "content": ""}))


def closing(answer: Answer, last: Payload) -> Iterator[Event]:
    """Turn an ordinary chunk into the one with the usage, and end the stream."""
    if not answer.scenario.framing.usage_choices:
        last["choices"] = []
    usage.attach(last, usage.chat(answer), answer)
    if answer.metadata is not None:
        last["openrouter_metadata"] = answer.metadata
    yield Event(last)
    yield FINISHED


def _deltas(answer: Answer) -> Iterator[Payload]:
    for piece in pieces(answer.reasoning):
        yield {"reasoning": piece, "reasoning_details": [_thought(piece)]}
    for piece in answer.pieces:
        yield {"content": piece}
    for index, call in enumerate(answer.tool_calls):
        start = {**_call(call), "function": {"name": call.name, "arguments": ""}}
        yield {"content": None, "tool_calls": [{"index": index, **start}]}
        for piece in pieces(call.arguments, _ARGUMENT_PIECES):
            yield {"tool_calls": [{"index": index, "type": "function", "function": {"arguments": piece}}]}
    if answer.scenario.images:
        yield {"images": _pictures(answer)}
    if answer.scenario.citations:
        yield {"annotations": cite(answer)}


def _chunk(answer: Answer, delta: Mapping[str, Any], finish: str | None = None, native: str | None = None) -> Payload:
    choice = {"index": 0, "delta": dict(delta), "finish_reason": finish, "native_finish_reason": native}
    return {
        "id": answer.generation_id,
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": answer.model,
        "provider": answer.provider,
        "service_tier": answer.service_tier,
        "choices": [{**choice, "logprobs": None}],
    }


def failed(answer: Answer, failure: Failure) -> Payload:
    """Build a 200 body that says it failed, at the top level or in its choice."""
    if failure.place == "body200_top":
        return errors.body("chat", failure, story=answer.metadata)
    payload = result(answer)
    choice = payload["choices"][0]
    choice["finish_reason"] = choice["native_finish_reason"] = "error"
    choice["error"] = errors.detail(failure)
    choice["message"]["content"] = ""
    payload.pop("usage", None)
    return payload


def broken_off(answer: Answer, failure: Failure) -> Iterator[Event]:
    """End a stream with an error chunk."""
    data = _chunk(answer, {"role": "assistant", "content": ""}, "error", "error")
    data["error"] = errors.detail(failure)
    if answer.metadata is not None:
        data["openrouter_metadata"] = answer.metadata
    yield Event(data)
    yield FINISHED
