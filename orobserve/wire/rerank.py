"""Rerank: `POST /rerank`. Scores and documents are not kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.generation import Content
from orobserve.wire import parts
from orobserve.wire.answer import Dialect
from orobserve.wire.embeddings import read_plain
from orobserve.wire.request import read_fields

if TYPE_CHECKING:
    from orobserve.wire.values import Object


def _read_prompt(body: Object) -> Content:
    return Content(input=parts.input_texts(body.get("query")))


DIALECT = Dialect(read_body=read_plain, read_request=read_fields, read_prompt=_read_prompt)
