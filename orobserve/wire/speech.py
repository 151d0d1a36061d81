"""Speech: `POST /audio/speech`. The response is sound; only its headers say something, so the cost comes later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.generation import Content
from orobserve.wire import parts
from orobserve.wire.answer import Dialect
from orobserve.wire.embeddings import read_plain
from orobserve.wire.request import READERS, read_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.wire.request import Fields
    from orobserve.wire.values import Object

_READERS = {key: reader for key, reader in READERS.items() if key not in {"response_format", "provider"}}


def _read_request(body: Mapping[str, Any]) -> Fields:
    return {"output_type": "speech", **read_fields(body, _READERS)}


def _read_prompt(body: Object) -> Content:
    return Content(input=parts.input_texts(body.get("input")))


DIALECT = Dialect(
    read_body=read_plain,
    read_request=_read_request,
    read_prompt=_read_prompt,
    bytes_only=True,
    counts_usage=False,
)
