"""Batches: `POST /api/beta/batches` starts a job; `GET .../{id}` tells its state, at last with all its usage."""

from __future__ import annotations

from orobserve.generation import Job
from orobserve.wire.answer import Answer, Dialect
from orobserve.wire.errors import read_error
from orobserve.wire.request import read_fields
from orobserve.wire.values import Object, text

_FINISHED = frozenset({"completed", "ended", "failed", "cancelled", "canceled", "expired"})


def _read_body(answer: Answer, document: Object) -> None:
    status = text(document.get("status")) or text(document.get("processing_status"))
    job_id = text(document.get("id"))
    if job_id:
        answer.job = Job(id=job_id, status=status, finished=status in _FINISHED)
    answer.response_id = job_id
    answer.model = text(document.get("model"))
    answer.merge_usage(document.get("usage"))
    answer.error = read_error(document.get("error"), around=document)
    if answer.error is None and status in {"failed", "expired"}:
        answer.error = read_error({"message": f"batch {status}", "error_type": status})


DIALECT = Dialect(read_body=_read_body, read_request=read_fields, counts_usage=False)
