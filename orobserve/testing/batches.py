"""Batches: one job object that carries its results and their summed usage once it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orobserve.testing import errors
from orobserve.testing.pricing import ZERO, number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from orobserve.testing.ledger import Entry
    from orobserve.testing.request import Payload
    from orobserve.testing.scenarios import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One request of a batch and what became of it."""

    custom_id: str
    entry: Entry
    body: Payload


@dataclass(slots=True, kw_only=True)
class Batch:
    """A submitted batch. ``polls`` counts down the look-ups until it has ended."""

    id: str
    endpoint: str
    model: str
    created: int
    lines: Sequence[Line]
    failure: Failure | None
    polls: int


def batch(job: Batch, *, submitted: bool = False) -> Payload:
    """Build the batch object in its present state."""
    ended = job.polls < 0
    status = "validating" if submitted else "in_progress"
    if ended:
        status = "failed" if job.failure else "completed"
    shown = job.lines if ended and not job.failure else ()
    failed = sum(line.entry.failure is not None for line in shown)
    return {
        "id": job.id,
        "object": "batch",
        "endpoint": job.endpoint,
        "model": job.model,
        "completion_window": "24h",
        "status": status,
        "created_at": job.created,
        "finalized_at": job.created + 60 if ended else None,
        "request_counts": {"total": len(job.lines), "completed": len(shown) - failed, "failed": failed},
        "error": {"message": job.failure.message} if ended and job.failure else None,
        "usage": _usage(shown) if shown else None,
        "results": [_result(line) for line in shown],
    }


def _usage(lines: Sequence[Line]) -> Payload:
    """Add up what the lines used."""
    done = [line.entry for line in lines if line.entry.failure is None]
    read = sum(entry.answer.tokens.prompt for entry in done)
    written = sum(entry.answer.tokens.completion for entry in done)
    charged = sum((entry.charge.charged for entry in done), ZERO)
    upstream: Decimal = sum((entry.charge.upstream for entry in done), ZERO)
    byok = any(entry.charge.byok for entry in done)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "cost": number(charged),
        "is_byok": byok,
        "cost_details": {"upstream_inference_cost": number(upstream) if byok else None},
    }


def _result(line: Line) -> Payload:
    """Build one result; exactly one of ``response`` and ``error`` is set."""
    generation_id = line.entry.answer.generation_id
    shell: Payload = {"id": f"batch_req_{generation_id.rpartition('-')[2]}", "custom_id": line.custom_id}
    failure = line.entry.failure
    if failure:
        error = {"message": failure.message, "type": failure.error_type, "param": None}
        return {**shell, "response": None, "error": {"code": errors.code(failure), **error}}
    response = {"status_code": 200, "request_id": generation_id, "body": line.body}
    return {**shell, "response": response, "error": None}
