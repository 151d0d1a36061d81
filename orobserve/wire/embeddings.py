"""Embeddings: `POST /embeddings`. The vectors are never looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.generation import Content
from orobserve.wire import chat, parts
from orobserve.wire.answer import Answer, Dialect
from orobserve.wire.request import read_fields

if TYPE_CHECKING:
    from orobserve.wire.values import Object


def read_plain(answer: Answer, document: Object) -> None:
    """Read a body that has nothing but the common head: id, model, provider, usage, error."""
    chat.read_head(answer, document)


def _read_prompt(body: Object) -> Content:
    given: Any = body.get("input")
    return Content(input=parts.input_texts(given))


DIALECT = Dialect(read_body=read_plain, read_request=read_fields, read_prompt=_read_prompt)
