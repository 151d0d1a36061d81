"""Responses: `POST /responses`, also under `/api/alpha`. The terminal event repeats the whole response.

The prose and the schema of the API name some events differently; both spellings are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.generation import Content, Media, Message, Part, Reasoning, Text, ToolCallResponse
from orobserve.wire import chat, parts
from orobserve.wire.answer import Answer, Dialect
from orobserve.wire.errors import read_error
from orobserve.wire.request import read_fields
from orobserve.wire.values import Object, count, mapping, objects, text

if TYPE_CHECKING:
    from orobserve.wire.shape import Delta

_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "response.done"})
_REASONS = {"max_output_tokens": "length", "max_tokens": "length", "content_filter": "content_filter"}
_DELTAS = {
    "response.output_text.delta": "text",
    "response.content_part.delta": "text",
    "response.refusal.delta": "text",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "arguments",
}
_CALLS = frozenset({"function_call", "custom_tool_call"})


def _read_body(answer: Answer, document: Object) -> None:
    if response_id := text(document.get("id")):
        answer.response_id = response_id
    answer.model = text(document.get("model")) or answer.model
    answer.provider = text(document.get("provider")) or answer.provider
    answer.service_tier = text(document.get("service_tier")) or answer.service_tier
    answer.merge_usage(document.get("usage"))
    answer.merge_metadata(document)
    answer.error = read_error(document.get("error"), around=document) or answer.error
    output = objects(document.get("output"))
    _read_status(answer, document, output)
    if output:
        _count(answer, output)
        if answer.wants_content:
            answer.output = _output(output, answer.finish_reasons.get(0))


def _read_status(answer: Answer, document: Object, output: list[Object]) -> None:
    status = text(document.get("status"))
    if status in {None, "in_progress", "queued"}:
        return
    answer.native_finish_reasons[0] = str(status)
    if status == "incomplete":
        reason = text(mapping(document.get("incomplete_details")).get("reason"))
        answer.finish_reasons[0] = _REASONS.get(reason or "", reason or "length")
        answer.native_finish_reasons[0] = reason or str(status)
    elif status in {"failed", "cancelled"}:
        answer.finish_reasons[0] = "error"
        answer.error = answer.error or read_error({"message": status}, around=document)
    else:
        ends_in_call = text(output[-1].get("type")) in _CALLS if output else bool(answer.tool_calls)
        answer.finish_reasons[0] = "tool_calls" if ends_in_call else "stop"


def _count(answer: Answer, output: list[Object]) -> None:
    """Count from the whole output, which replaces what the events before it have told."""
    answer.citations = answer.images = 0
    answer.cited.clear()
    answer.tool_calls.clear()
    for position, item in enumerate(output):
        if text(item.get("type")) in _CALLS:
            answer.call_tool(("arguments", str(position)), text(item.get("call_id")), text(item.get("name")))
        elif item.get("type") == "image_generation_call":
            answer.images += 1
        for part in objects(item.get("content")):
            for note in objects(part.get("annotations")):
                if note.get("type") == "url_citation":
                    answer.cite(note)


def _output(output: list[Object], finish_reason: str | None) -> tuple[Message, ...]:
    found = tuple(part for item in output for part in _item_parts(item))
    return (Message(role="assistant", parts=found, finish_reason=finish_reason),)


def _item_parts(item: Object) -> tuple[Part, ...]:
    kind = text(item.get("type"))
    if kind in _CALLS:
        arguments = item.get("arguments") if kind == "function_call" else item.get("input")
        return (parts.tool_call(item.get("call_id"), item.get("name"), arguments),)
    if kind in {"function_call_output", "custom_tool_call_output"}:
        response = parts.without_media(item.get("output"))
        return (ToolCallResponse(id=text(item.get("call_id")), response=response),)
    if kind == "reasoning":
        pieces = [piece.get("text") for piece in objects(item.get("content")) or objects(item.get("summary"))]
        joined = "".join(piece for piece in pieces if isinstance(piece, str))
        return (Reasoning(content=joined),) if joined else ()
    if kind == "image_generation_call":
        return (parts.blob(item.get("result"), "image", None),)
    return parts.texts(item.get("content"), _read_part)


def _read_part(part: Object) -> list[Part]:
    kind = text(part.get("type"))
    if kind in {"input_text", "output_text", "text"}:
        return [Text(content=str(part.get("text") or ""))]
    if kind == "refusal":
        return [Text(content=str(part.get("refusal") or ""))]
    if kind == "input_image":
        return [parts.media(part.get("image_url"), "image")]
    if kind == "input_file":
        if file_id := text(part.get("file_id")):
            return [Media(type="file", modality="file", file_id=file_id)]
        return [parts.media(part.get("file_data") or part.get("file_url"), "file")]
    return chat.read_part(part)


def _read_event(answer: Answer, name: str | None, event: Object) -> None:
    kind = text(event.get("type")) or name or ""
    if kind in {"error", "response.error"}:
        given = event.get("error") if isinstance(event.get("error"), dict) else event
        flat = {key: value for key, value in mapping(given).items() if key != "type" or value != kind}
        answer.error = read_error(flat, around=event)
        answer.finish_reasons[0] = "error"
        answer.ended = True
    elif isinstance(event.get("response"), dict):
        _read_body(answer, event["response"])
        answer.merge_metadata(event)
        answer.ended = kind in _TERMINAL
    elif kind in _DELTAS:
        piece = event.get("delta")
        piece = mapping(piece).get("text") if isinstance(piece, dict) else piece
        if isinstance(piece, str) and piece:
            answer.append((_target(kind, event), piece))
    elif kind == "response.output_item.added":
        _read_item(answer, event)
    elif kind == "response.output_text.annotation.added":
        answer.cite(mapping(event.get("annotation")))
    elif kind.startswith("response.image_generation_call.partial_image"):
        answer.began = True


def _read_item(answer: Answer, event: Object) -> None:
    item = mapping(event.get("item"))
    if text(item.get("type")) in _CALLS:
        target = ("arguments", str(count(event.get("output_index")) or 0))
        answer.call_tool(target, text(item.get("call_id")), text(item.get("name")))


def _target(kind: str, event: Object) -> tuple[str, ...]:
    return (_DELTAS[kind], str(count(event.get("output_index")) or 0))


def _delta(event: Object) -> Delta | None:
    kind = text(event.get("type"))
    piece = event.get("delta")
    if kind not in _DELTAS or not isinstance(piece, str) or not piece or "response" in event:
        return None
    return _target(kind, event), piece


def _streamed_output(answer: Answer) -> tuple[Message, ...]:
    """Return what a stream said that ended before its terminal event."""
    found: list[Part] = []
    for target, content in answer.texts.items():
        if target[0] == "arguments":
            found.append(parts.tool_call(*answer.tool_calls.get(target, (None, None)), content))
        else:
            found.append(Reasoning(content=content) if target[0] == "reasoning" else Text(content=content))
    return (Message(role="assistant", parts=tuple(found)),) if found else ()


def _read_prompt(body: Object) -> Content:
    given = body.get("input")
    if not isinstance(given, list):
        messages = parts.input_texts(given)
    else:
        messages = tuple(_input_message(item) for item in objects(given))
    return Content(
        input=messages,
        system=parts.texts(body.get("instructions"), _read_part),
        tools=parts.tool_definitions(body),
    )


def _input_message(item: Object) -> Message:
    kind = text(item.get("type"))
    if kind in _CALLS | {"reasoning", "image_generation_call"}:
        role = "assistant"
    elif kind in {"function_call_output", "custom_tool_call_output"}:
        role = "tool"
    else:
        role = text(item.get("role")) or "user"
    return Message(role="system" if role == "developer" else role, parts=_item_parts(item))


DIALECT = Dialect(
    read_body=_read_body,
    read_event=_read_event,
    delta=_delta,
    read_request=read_fields,
    read_prompt=_read_prompt,
    output=_streamed_output,
)
