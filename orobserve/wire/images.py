"""Images: `POST /images`, JSON or a stream of partial images. The id is only in the header; pixels are only counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.generation import Content, Media, Message
from orobserve.wire import parts
from orobserve.wire.answer import Answer, Dialect
from orobserve.wire.chat import read_head
from orobserve.wire.errors import read_error
from orobserve.wire.request import read_fields
from orobserve.wire.values import Object, mapping, objects, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.wire.request import Fields


def _read_request(body: Mapping[str, Any]) -> Fields:
    return {"output_type": "image", **read_fields(body)}


def _read_image(answer: Answer, item: Object) -> Media:
    answer.images += 1
    mime_type = text(item.get("media_type")) or "image/png"
    return parts.media(item.get("b64_json") or item.get("url"), "image", mime_type)


def _read_usage(answer: Answer, document: Object) -> None:
    usage = document.get("usage")
    answer.merge_usage(usage)
    answer.service_tier = text(mapping(usage).get("service_tier")) or answer.service_tier


def _read_body(answer: Answer, document: Object) -> None:
    read_head(answer, document)
    _read_usage(answer, document)
    found = tuple(_read_image(answer, item) for item in objects(document.get("data")))
    if answer.wants_content and found:
        answer.output = (Message(role="assistant", parts=found),)


def _read_event(answer: Answer, name: str | None, event: Object) -> None:
    kind = text(event.get("type")) or name or ""
    if kind == "error":
        answer.error = read_error(event.get("error") or event, around=event)
        answer.ended = True
    elif kind == "image_generation.completed":
        found = _read_image(answer, event)
        _read_usage(answer, event)
        answer.began = True
        if answer.wants_content:
            before = answer.output[0].parts if answer.output else ()
            answer.output = (Message(role="assistant", parts=(*before, found)),)
    elif kind in {"image_generation.partial_image", "image_generation.text_chunk"}:
        answer.began = True
    else:
        read_head(answer, event)


def _read_prompt(body: Object) -> Content:
    return Content(input=parts.input_texts(body.get("prompt")))


DIALECT = Dialect(read_body=_read_body, read_event=_read_event, read_request=_read_request, read_prompt=_read_prompt)
