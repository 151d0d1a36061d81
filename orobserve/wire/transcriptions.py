"""Transcriptions: `POST /audio/transcriptions`, as JSON or as a multipart form. The sound is never kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orobserve.generation import Content, Message, Text
from orobserve.wire import parts
from orobserve.wire.answer import Answer, Dialect
from orobserve.wire.chat import read_head
from orobserve.wire.request import READERS, read_fields
from orobserve.wire.values import Object, mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.wire.request import Fields

_READERS = {key: reader for key, reader in READERS.items() if key not in {"response_format", "provider"}}
_NUMERIC = frozenset({"temperature"})
_NAME = re.compile(rb'name="([^"]*)"')
_FORM_LIMIT = 64 * 1024  # a form field that is longer is no setting


def read_form(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the text fields of a multipart form (RFC 7578); files are skipped."""
    boundary = re.search(r'boundary="?([^";,]+)', content_type)
    if not boundary:
        return {}
    fields: dict[str, Any] = {}
    for piece in body.split(b"--" + boundary[1].strip().encode("latin-1", "replace")):
        head, _, value = piece.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if name and b"filename=" not in head and len(value) <= _FORM_LIMIT:
            key = name[1].decode("utf-8", "replace")
            text = value.removesuffix(b"\r\n").decode("utf-8", "replace")
            fields[key] = _number(text) if key in _NUMERIC else text
    return fields


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _read_request(body: Mapping[str, Any]) -> Fields:
    return {"output_type": "text", **read_fields(body, _READERS)}


def _read_body(answer: Answer, document: Object) -> None:
    read_head(answer, document)
    content = document.get("text")
    if answer.wants_content and isinstance(content, str) and content:
        answer.output = (Message(role="assistant", parts=(Text(content=content),)),)


def _read_prompt(body: Object) -> Content:
    audio = mapping(body.get("input_audio"))
    if not audio:
        return Content()
    sound = parts.blob(audio.get("data"), "audio", f"audio/{audio['format']}" if audio.get("format") else None)
    return Content(input=(Message(role="user", parts=(sound,)),))


DIALECT = Dialect(read_body=_read_body, read_request=_read_request, read_prompt=_read_prompt)
