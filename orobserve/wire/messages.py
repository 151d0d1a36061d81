"""Anthropic Messages: `POST /messages`. Its input count leaves cached tokens out, and its streams carry no cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.generation import Content, Media, Message, Part, Reasoning, Text, ToolCallResponse
from orobserve.wire import parts
from orobserve.wire.answer import Answer, Dialect
from orobserve.wire.errors import read_error
from orobserve.wire.request import READERS, read_fields
from orobserve.wire.values import Object, count, mapping, objects, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.wire.request import Fields
    from orobserve.wire.shape import Delta

_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_DELTAS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "reasoning"),
    "input_json_delta": ("partial_json", "arguments"),
}
_READERS = {key: reader for key, reader in READERS.items() if key not in {"text", "reasoning"}}


def _read_request(body: Mapping[str, Any]) -> Fields:
    return read_fields(body, _READERS)


def _read_body(answer: Answer, document: Object) -> None:
    if document.get("type") == "error" or document.get("error"):
        _read_error(answer, document)
        return
    _read_message(answer, document)
    blocks = objects(document.get("content"))
    for position, block in enumerate(blocks):
        _read_block(answer, position, block)
    if answer.wants_content and blocks:
        found = tuple(part for block in blocks for part in _read_part(block))
        answer.output = (Message(role="assistant", parts=found, finish_reason=answer.finish_reasons.get(0)),)


def _read_error(answer: Answer, document: Object) -> None:
    answer.error = read_error(document.get("error"), around=document)
    request_id = text(document.get("request_id"))
    if request_id and request_id.startswith("gen-"):
        answer.id = request_id
    answer.merge_metadata(document)


def _read_message(answer: Answer, message: Object) -> None:
    answer.response_id = text(message.get("id")) or answer.response_id
    answer.model = text(message.get("model")) or answer.model
    answer.provider = text(message.get("provider")) or answer.provider
    answer.merge_metadata(message)
    _read_usage(answer, message.get("usage"))
    _read_stop(answer, message)


def _read_usage(answer: Answer, usage: Any) -> None:  # noqa: ANN401 - JSON
    answer.merge_usage(usage)
    given = mapping(usage)
    speed = "fast" if given.get("speed") == "fast" else None
    answer.service_tier = text(given.get("service_tier")) or speed or answer.service_tier


def _read_stop(answer: Answer, given: Object) -> None:
    if reason := text(given.get("stop_reason")):
        answer.native_finish_reasons[0] = reason
        answer.finish_reasons[0] = _REASONS.get(reason, reason)


def _read_block(answer: Answer, position: int, block: Object) -> None:
    if block.get("type") == "tool_use":
        answer.call_tool(("arguments", str(position)), text(block.get("id")), text(block.get("name")))
    for source in objects(block.get("citations")):
        answer.cite(source)


def _read_event(answer: Answer, name: str | None, event: Object) -> None:
    kind = text(event.get("type")) or name or ""
    if kind == "message_start":
        _read_message(answer, mapping(event.get("message")))
    elif kind == "content_block_start":
        _read_block(answer, count(event.get("index")) or 0, mapping(event.get("content_block")))
    elif kind == "content_block_delta":
        _read_delta(answer, event)
    elif kind == "message_delta":
        _read_stop(answer, mapping(event.get("delta")))
        _read_usage(answer, event.get("usage"))
    elif kind == "message_stop":
        answer.merge_metadata(event)
        answer.ended = True
    elif kind == "error":
        _read_error(answer, event)
        answer.finish_reasons[0] = "error"
        answer.ended = True


def _read_delta(answer: Answer, event: Object) -> None:
    found = _delta(event)
    if found is not None:
        answer.append(found)
    elif mapping(event.get("delta")).get("type") == "citations_delta":
        answer.cite(mapping(mapping(event.get("delta")).get("citation")))


def _delta(event: Object) -> Delta | None:
    if event.get("type") != "content_block_delta":
        return None
    given = mapping(event.get("delta"))
    key, target = _DELTAS.get(str(given.get("type")), (None, ""))
    piece = given.get(key) if key else None
    return ((target, str(count(event.get("index")) or 0)), piece) if isinstance(piece, str) and piece else None


def _streamed_output(answer: Answer) -> tuple[Message, ...]:
    found: dict[int, Part] = {}
    for target, content in answer.texts.items():
        if target[0] != "arguments":
            found[int(target[1])] = Reasoning(content=content) if target[0] == "reasoning" else Text(content=content)
    for target, (call_id, name) in answer.tool_calls.items():
        found[int(target[1])] = parts.tool_call(call_id, name, answer.texts.get(target))
    ordered = tuple(found[index] for index in sorted(found))
    return (Message(role="assistant", parts=ordered, finish_reason=answer.finish_reasons.get(0)),) if ordered else ()


def _read_part(block: Object) -> list[Part]:
    kind = text(block.get("type"))
    if kind == "text":
        return [Text(content=str(block.get("text") or ""))]
    if kind == "thinking":
        return [Reasoning(content=str(block.get("thinking") or ""))]
    if kind in {"tool_use", "server_tool_use"}:
        return [parts.tool_call(block.get("id"), block.get("name"), block.get("input"))]
    if kind == "tool_result":
        return [ToolCallResponse(id=text(block.get("tool_use_id")), response=parts.without_media(block.get("content")))]
    if kind in {"image", "document"}:
        return [_media(mapping(block.get("source")), "image" if kind == "image" else "file")]
    return []


def _media(source: Object, modality: str) -> Part:
    mime_type = text(source.get("media_type"))
    if source.get("type") == "base64":
        return parts.blob(source.get("data"), parts.modality_of(mime_type, modality), mime_type)
    if source.get("type") == "file":
        return Media(type="file", modality=modality, mime_type=mime_type, file_id=text(source.get("file_id")))
    if source.get("type") in {"text", "content"}:
        return Text(content=str(source.get("data") or source.get("content") or ""))
    return parts.media(source.get("url"), modality, mime_type)


def _read_prompt(body: Object) -> Content:
    return Content(
        input=tuple(_prompt_message(message) for message in objects(body.get("messages"))),
        system=parts.texts(body.get("system"), _read_part),
        tools=parts.tool_definitions(body),
    )


def _prompt_message(message: Object) -> Message:
    found = parts.texts(message.get("content"), _read_part)
    only_results = bool(found) and all(isinstance(part, ToolCallResponse) for part in found)
    return Message(role="tool" if only_results else text(message.get("role")) or "user", parts=found)


DIALECT = Dialect(
    read_body=_read_body,
    read_event=_read_event,
    delta=_delta,
    read_request=_read_request,
    read_prompt=_read_prompt,
    output=_streamed_output,
    cache_apart=True,
)
