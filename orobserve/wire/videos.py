"""Videos: `POST /videos` answers 202 with a job; `GET /videos/{id}` tells its state, at last with cost and usage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.generation import Content, Job
from orobserve.wire import parts
from orobserve.wire.answer import Answer, Dialect
from orobserve.wire.errors import read_error
from orobserve.wire.request import read_fields
from orobserve.wire.values import Object, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.wire.request import Fields

_FINISHED = frozenset({"completed", "failed", "cancelled", "expired"})


def _read_request(body: Mapping[str, Any]) -> Fields:
    return {"output_type": "video", **read_fields(body)}


def _read_body(answer: Answer, document: Object) -> None:
    status = text(document.get("status"))
    job_id = text(document.get("id"))
    if job_id:
        answer.job = Job(id=job_id, status=status, finished=status in _FINISHED)
    answer.id = text(document.get("generation_id"))
    answer.model = text(document.get("model"))
    answer.merge_usage(document.get("usage"))
    answer.merge_metadata(document)
    answer.error = read_error(document.get("error"), around=document)
    if answer.error is None and status in {"failed", "expired"}:
        answer.error = read_error({"message": f"video {status}", "error_type": status})


def _read_prompt(body: Object) -> Content:
    return Content(input=parts.input_texts(body.get("prompt")))


DIALECT = Dialect(read_body=_read_body, read_request=_read_request, read_prompt=_read_prompt, counts_usage=False)
