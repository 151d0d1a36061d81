"""Chat completions: `POST /chat/completions`.

Read beyond the OpenAPI schema: `provider`, `native_finish_reason`, `message.annotations` and `choices[].error`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.generation import Content, Error, Media, Message, Part, Reasoning, Text, ToolCallResponse
from orobserve.wire import parts
from orobserve.wire.answer import Answer, Dialect
from orobserve.wire.errors import UNKNOWN, read_error
from orobserve.wire.request import read_fields
from orobserve.wire.values import Object, count, mapping, objects, text

if TYPE_CHECKING:
    from orobserve.wire.shape import Delta

_DELTA_KEYS = frozenset({"role", "content", "reasoning", "reasoning_details", "tool_calls"})
_CHUNK_KEYS = ("usage", "error", "openrouter_metadata", "debug")
_CHOICE_KEYS = ("finish_reason", "native_finish_reason", "error")


def read_head(answer: Answer, document: Object) -> None:
    """Take what bodies and chunks of the OpenAI family have in common."""
    if response_id := text(document.get("id")):
        answer.response_id = response_id
        if response_id.startswith("gen-"):
            answer.id = response_id
    answer.model = text(document.get("model")) or answer.model
    answer.provider = text(document.get("provider")) or answer.provider
    answer.service_tier = text(document.get("service_tier")) or answer.service_tier
    answer.system_fingerprint = text(document.get("system_fingerprint")) or answer.system_fingerprint
    answer.merge_usage(document.get("usage"))
    answer.merge_metadata(document)
    if "error" in document:
        answer.error = read_error(document["error"], around=document) or answer.error


def read_finish(answer: Answer, choice: Object) -> int:
    """Take a choice's finish reasons and error; a later null never overwrites a reason. Returns its index."""
    index = count(choice.get("index")) or 0
    if reason := text(choice.get("finish_reason")):
        answer.finish_reasons[index] = reason
    if native := text(choice.get("native_finish_reason")):
        answer.native_finish_reasons[index] = native
    if "error" in choice:
        answer.error = read_error(choice["error"], around=choice) or answer.error
    if reason == "error" and answer.error is None:
        answer.error = Error(type=UNKNOWN)
    return index


def _read_body(answer: Answer, document: Object) -> None:
    read_head(answer, document)
    output = []
    for choice in objects(document.get("choices")):
        index = read_finish(answer, choice)
        message = mapping(choice.get("message"))
        _count(answer, message, index)
        if answer.wants_content and message:
            output.append(_message(message, "assistant", text(choice.get("finish_reason"))))
    answer.output = tuple(output) or None


def _count(answer: Answer, message: Object, index: int) -> None:
    if "annotations" in message:
        for item in objects(message["annotations"]):
            if item.get("type") == "url_citation":
                answer.cite(mapping(item.get("url_citation")))
    if "images" in message:
        answer.images += len(objects(message["images"]))
    if "tool_calls" not in message:
        return
    for position, call in enumerate(objects(message["tool_calls"])):
        place = count(call.get("index"))
        target = ("arguments", str(index), str(position if place is None else place))
        function = mapping(call.get("function"))
        answer.call_tool(target, text(call.get("id")), text(function.get("name")))


def _read_event(answer: Answer, _name: str | None, chunk: Object) -> None:
    read_head(answer, chunk)
    for choice in objects(chunk.get("choices")):
        index = read_finish(answer, choice)
        delta = mapping(choice.get("delta"))
        _count(answer, delta, index)
        for key, target in (("content", "text"), ("reasoning", "reasoning"), ("refusal", "text")):
            piece = delta.get(key)
            if isinstance(piece, str) and piece:
                answer.append(((target, str(index)), piece))
        if delta.get("images") or delta.get("audio"):
            answer.began = True
        transcript = mapping(delta.get("audio")).get("transcript")
        if isinstance(transcript, str) and transcript:
            answer.append((("text", str(index)), transcript))
        for position, call in enumerate(objects(delta.get("tool_calls"))):
            arguments = mapping(call.get("function")).get("arguments")
            if isinstance(arguments, str) and arguments:
                place = count(call.get("index"))
                answer.append((("arguments", str(index), str(position if place is None else place)), arguments))


def delta(chunk: Object) -> Delta | None:
    """Return the text that a chunk brings if it brings nothing else (ids and names repeat on every chunk)."""
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return None
    choice = choices[0]
    given = choice.get("delta")
    if not isinstance(given, dict) or _says_more(chunk, _CHUNK_KEYS) or _says_more(choice, _CHOICE_KEYS):
        return None
    for key, value in given.items():
        if value and key not in _DELTA_KEYS:
            return None
    return _single_text(given, str(count(choice.get("index")) or 0))


def _says_more(given: Object, keys: tuple[str, ...]) -> bool:
    for key in keys:  # noqa: SIM110 - any() costs three times as much here
        if given.get(key):
            return True
    return False


def _single_text(given: Object, index: str) -> Delta | None:
    found: list[Delta] = []
    for key, target in (("content", "text"), ("reasoning", "reasoning")):
        value = given.get(key)
        if isinstance(value, str) and value:
            found.append(((target, index), value))
    calls = given.get("tool_calls")
    if calls:
        call = calls[0] if isinstance(calls, list) and len(calls) == 1 and isinstance(calls[0], dict) else {}
        function = mapping(call.get("function"))
        place, arguments = count(call.get("index")), function.get("arguments")
        if call.get("id") or function.get("name") or place is None or not isinstance(arguments, str) or not arguments:
            return None
        found.append((("arguments", index, str(place)), arguments))
    return found[0] if len(found) == 1 else None


def read_part(part: Object) -> list[Part]:
    """Read one content part of a chat message."""
    kind = text(part.get("type"))
    if kind in {"text", "input_text"} or (kind is None and isinstance(part.get("text"), str)):
        return [Text(content=str(part.get("text") or ""))]
    if kind == "image_url":
        image = part.get("image_url")
        return [parts.media(mapping(image).get("url") if isinstance(image, dict) else image, "image")]
    if kind == "input_audio":
        audio = mapping(part.get("input_audio"))
        return [parts.blob(audio.get("data"), "audio", f"audio/{audio['format']}" if audio.get("format") else None)]
    if kind in {"video_url", "input_video"}:
        return [parts.media(mapping(part.get(str(kind))).get("url"), "video")]
    if kind == "file":
        return [_file(mapping(part.get("file")))]
    return []


def _file(file: Object) -> Part:
    if file_id := text(file.get("file_id")):
        return Media(type="file", modality="file", file_id=file_id)
    return parts.media(file.get("file_data") or file.get("url"), "file")


_PLAIN = {"role", "content"}
_ROLES = {"user", "assistant", "system"}


def _message(message: Object, role: str, finish_reason: str | None = None) -> Message:
    if message.keys() == _PLAIN and message["role"] in _ROLES and type(message["content"]) is str:
        content = message["content"]  # the usual message of a request
        parts_of_it = (Text(content=content),) if content else ()
        return Message(role=message["role"], parts=parts_of_it, finish_reason=finish_reason)
    found: list[Part] = []
    if reasoning := _reasoning(message):
        found.append(Reasoning(content=reasoning))
    role = text(message.get("role")) or role
    role = "system" if role == "developer" else role
    if role == "tool":
        response = parts.without_media(message.get("content"))
        found.append(ToolCallResponse(id=text(message.get("tool_call_id")), response=response))
    else:
        found.extend(parts.texts(message.get("content"), read_part))
    if isinstance(transcript := mapping(message.get("audio")).get("transcript"), str):
        found.append(Text(content=transcript))
    if refusal := message.get("refusal"):
        found.append(Text(content=str(refusal)))
    images = objects(message.get("images"))
    found.extend(parts.media(mapping(image.get("image_url")).get("url"), "image") for image in images)
    for call in objects(message.get("tool_calls")):
        function = mapping(call.get("function"))
        found.append(parts.tool_call(call.get("id"), function.get("name"), function.get("arguments")))
    return Message(role=role, parts=tuple(found), name=text(message.get("name")), finish_reason=finish_reason)


def _reasoning(message: Object) -> str | None:
    if isinstance(message.get("reasoning"), str):
        return message["reasoning"] or None
    pieces = [item.get("text") or item.get("summary") for item in objects(message.get("reasoning_details"))]
    return "".join(piece for piece in pieces if isinstance(piece, str)) or None


def read_prompt(body: Object) -> Content:
    """Return what a request asks."""
    messages = tuple(_message(message, "user") for message in objects(body.get("messages")))
    return Content(input=messages, tools=parts.tool_definitions(body))


def streamed_output(answer: Answer) -> tuple[Message, ...]:
    """Return the messages that a stream's texts make, one per choice."""
    choices: dict[str, list[Part]] = {}
    for target, content in sorted(answer.texts.items(), key=lambda item: item[0][0] != "reasoning"):
        if target[0] == "reasoning":
            choices.setdefault(target[1], []).append(Reasoning(content=content))
        elif target[0] == "text":
            choices.setdefault(target[1], []).append(Text(content=content))
    for target, (call_id, name) in answer.tool_calls.items():
        arguments = answer.texts.get(target)
        choices.setdefault(target[1], []).append(parts.tool_call(call_id, name, arguments))
    return tuple(
        Message(role="assistant", parts=tuple(found), finish_reason=answer.finish_reasons.get(int(index)))
        for index, found in choices.items()
    )


DIALECT = Dialect(
    read_body=_read_body,
    read_event=_read_event,
    delta=delta,
    read_request=read_fields,
    read_prompt=read_prompt,
    output=streamed_output,
)
