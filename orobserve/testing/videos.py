"""Videos: the accepted job and its later states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.testing.pricing import number

if TYPE_CHECKING:
    from orobserve.testing.answers import Answer
    from orobserve.testing.ledger import Entry
    from orobserve.testing.request import Payload


def job_id(answer: Answer) -> str:
    """Name the job of a generation."""
    return f"job-{answer.serial}"


def _job(answer: Answer, status: str) -> Payload:
    name = job_id(answer)
    return {"id": name, "polling_url": f"/api/v1/videos/{name}", "status": status}


def submitted(answer: Answer) -> Payload:
    """Build the 202 body; the generation id may come later."""
    payload = _job(answer, "pending")
    return payload if answer.scenario.late_id else {"generation_id": answer.generation_id, **payload}


def state(entry: Entry, *, finished: bool, base_url: str) -> Payload:
    """Build what a poll answers."""
    answer = entry.answer
    if not finished:
        return {**submitted(answer), "status": "in_progress"}
    known = {"generation_id": answer.generation_id}
    if entry.failure:
        return {**known, **_job(answer, "failed"), "error": entry.failure.message}
    return {
        **known,
        **_job(answer, "completed"),
        "unsigned_urls": [f"{base_url}/videos/{job_id(answer)}/content?index=0"],
        "usage": {"cost": number(entry.charge.charged), "is_byok": entry.charge.byok},
    }
