"""Responses API: the response object, its event sequence and its ways to fail."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from orobserve.testing import errors, usage
from orobserve.testing.prose import pieces
from orobserve.testing.sse import FINISHED, Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve.testing.answers import Answer
    from orobserve.testing.request import Payload
    from orobserve.testing.scenarios import Failure, ToolCall

_ARGUMENT_PIECES = 3
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def result(answer: Answer) -> Payload:
    """Build the body of a call that is not streamed."""
    status = "incomplete" if answer.finish in _INCOMPLETE else "completed"
    payload = _response(answer, status, _output(answer))
    payload["completed_at"] = answer.created + 1 if status == "completed" else None
    payload["output_text"] = answer.text
    if status == "incomplete":
        payload["incomplete_details"] = {"reason": _INCOMPLETE[answer.finish]}
    usage.attach(payload, usage.responses(answer), answer)
    if answer.metadata is not None:
        payload["openrouter_metadata"] = answer.metadata
    return payload


def _response(answer: Answer, status: str, output: list[Payload]) -> Payload:
    asked = answer.request.body
    return {
        "id": f"resp_{answer.serial}",
        "object": "response",
        "created_at": answer.created,
        "completed_at": None,
        "model": answer.model,
        "status": status,
        "output": output,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "metadata": asked.get("metadata"),
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "tool_choice": asked.get("tool_choice", "auto"),
        "tools": asked.get("tools", []),
        "temperature": asked.get("temperature"),
        "top_p": asked.get("top_p"),
        "presence_penalty": asked.get("presence_penalty"),
        "frequency_penalty": asked.get("frequency_penalty"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "previous_response_id": None,
        "store": False,
        "service_tier": answer.service_tier,
        "truncation": asked.get("truncation", "disabled"),
        "user": asked.get("user"),
    }


def _output(answer: Answer) -> list[Payload]:
    output: list[Payload] = []
    if answer.reasoning:
        output.append(_reasoning(answer, answer.reasoning))
    if answer.text or not answer.tool_calls:
        output.append(_message(answer, [_text_part(answer.text, _citations(answer))], "completed"))
    output += [_call(call, call.arguments, "completed") for call in answer.tool_calls]
    return output


def _reasoning(answer: Answer, text: str) -> Payload:
    content = [{"type": "reasoning_text", "text": text}] if text else []
    return {"type": "reasoning", "id": f"rs_{answer.serial}", "summary": [], "content": content}


def _message(answer: Answer, content: list[Payload], status: str) -> Payload:
    shell = {"type": "message", "id": f"msg_{answer.serial}", "role": "assistant"}
    return {**shell, "status": status, "content": content}


def _text_part(text: str, citations: list[Payload]) -> Payload:
    return {"type": "output_text", "text": text, "annotations": citations, "logprobs": []}


def _call(call: ToolCall, arguments: str, status: str) -> Payload:
    shell = {"type": "function_call", "id": f"fc_{call.id}", "call_id": call.id, "name": call.name}
    return {**shell, "arguments": arguments, "status": status}


def _citations(answer: Answer) -> list[Payload]:
    end = len(answer.text)
    return [
        {"type": "url_citation", "url": url, "title": url, "start_index": 0, "end_index": end}
        for url in answer.scenario.citations
    ]


def events(answer: Answer) -> Iterator[Event]:
    """Stream the response: every item opened, written and closed, then the whole response once more."""
    number = count()
    opening = _response(answer, "in_progress", [])
    final = result(answer)
    script: list[Payload] = [
        {"type": "response.created", "response": opening},
        {"type": "response.in_progress", "response": opening},
    ]
    for index, item in enumerate(final["output"]):
        script += _item_events(answer, index, item)
    for payload in script:
        yield _numbered(payload, number)
    last = _numbered({"type": f"response.{final['status']}", "response": final}, number)
    yield Event(last.data, terminal=True)
    yield FINISHED


def _numbered(payload: Payload, number: Iterator[int]) -> Event:
    return Event({**payload, "sequence_number": next(number)})


def _item_events(answer: Answer, index: int, item: Payload) -> list[Payload]:
    """Play one output item."""
    write = {"message": _text_events, "reasoning": _thought_events, "function_call": _argument_events}[item["type"]]
    empty: dict[str, Any] = {"message": {"content": []}, "reasoning": {"content": []}}.get(
        item["type"], {"arguments": ""}
    )
    opened = {**item, **empty, "status": "in_progress"}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": opened},
        *write(answer, {"item_id": item["id"], "output_index": index}, item),
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _text_events(answer: Answer, where: Payload, item: Payload) -> list[Payload]:
    part = item["content"][0]
    where = {**where, "content_index": 0}
    added = {"type": "response.content_part.added", **where, "part": _text_part("", [])}
    deltas = [
        {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []} for piece in answer.pieces
    ]
    noted = [
        {
            "type": "response.output_text.annotation.added",
            **where,
            "annotation_index": index,
            "annotation": citation,
        }
        for index, citation in enumerate(part["annotations"])
    ]
    done = {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []}
    return [added, *deltas, *noted, done, {"type": "response.content_part.done", **where, "part": part}]


def _thought_events(answer: Answer, where: Payload, _item: Payload) -> list[Payload]:
    where = {**where, "content_index": 0}
    deltas = [{"type": "response.reasoning_text.delta", **where, "delta": piece} for piece in pieces(answer.reasoning)]
    return [*deltas, {"type": "response.reasoning_text.done", **where, "text": answer.reasoning}]


def _argument_events(_answer: Answer, where: Payload, item: Payload) -> list[Payload]:
    kind = "response.function_call_arguments"
    text = item["arguments"]
    deltas = [{"type": f"{kind}.delta", **where, "delta": piece} for piece in pieces(text, _ARGUMENT_PIECES)]
    return [*deltas, {"type": f"{kind}.done", **where, "name": item["name"], "arguments": text}]


def failed(answer: Answer, failure: Failure) -> Payload:
    """Build the response object of a failed call, as it stands in a 200 body or in ``response.failed``."""
    payload = _response(answer, "failed", [])
    payload["error"] = errors.responses_error(failure)
    payload["error_type"] = failure.error_type
    if answer.metadata is not None:
        payload["openrouter_metadata"] = answer.metadata
    return payload


def broken_off(answer: Answer, failure: Failure) -> Iterator[Event]:
    """End a stream with a failure, in one of the shapes the documentation shows."""
    error = errors.responses_error(failure)
    code = failure.error_type if failure.code is None else str(failure.code)
    flat = {"type": "error", "code": code, "message": failure.message, "param": None}
    shapes: dict[str, Payload] = {
        "failed": {"type": "response.failed", "response": failed(answer, failure)},
        "flat": flat,
        "nested": {"type": "error", "error": error},
        "response.error": {"type": "response.error", "error": error},
    }
    yield Event({**shapes[failure.style], "sequence_number": failure.after}, terminal=True)
    yield FINISHED
