"""Legacy text completions: `POST /completions`. Not in the OpenAPI document; same envelope as chat, `text` choices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.generation import Content, Message, Text
from orobserve.wire import chat, parts
from orobserve.wire.answer import Answer, Dialect
from orobserve.wire.request import read_fields
from orobserve.wire.values import Object, count, objects, text

if TYPE_CHECKING:
    from orobserve.wire.shape import Delta


def _read_body(answer: Answer, document: Object) -> None:
    chat.read_head(answer, document)
    output = []
    for choice in objects(document.get("choices")):
        chat.read_finish(answer, choice)
        content = choice.get("text")
        if answer.wants_content and isinstance(content, str):
            reason = text(choice.get("finish_reason"))
            output.append(Message(role="assistant", parts=(Text(content=content),), finish_reason=reason))
    answer.output = tuple(output) or None


def _read_event(answer: Answer, _name: str | None, chunk: Object) -> None:
    chat.read_head(answer, chunk)
    for choice in objects(chunk.get("choices")):
        index = chat.read_finish(answer, choice)
        for key, target in (("text", "text"), ("reasoning", "reasoning")):
            piece = choice.get(key)
            if isinstance(piece, str) and piece:
                answer.append(((target, str(index)), piece))


def _delta(chunk: Object) -> Delta | None:
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return None
    choice = choices[0]
    if any(chunk.get(key) for key in ("usage", "error", "openrouter_metadata")):
        return None
    if any(choice.get(key) for key in choice if key not in {"index", "text"}):
        return None
    piece = choice.get("text")
    return (("text", str(count(choice.get("index")) or 0)), piece) if isinstance(piece, str) and piece else None


def _read_prompt(body: Object) -> Content:
    return Content(input=parts.input_texts(body.get("prompt")))


DIALECT = Dialect(
    read_body=_read_body,
    read_event=_read_event,
    delta=_delta,
    read_request=read_fields,
    read_prompt=_read_prompt,
    output=chat.streamed_output,
)
