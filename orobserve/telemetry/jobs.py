"""Videos and batches between the call that starts them and the poll that finds them finished.

The finished job is recorded once per process, however often it is polled; before that a poll only counts.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orobserve.generation import Job, Request

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from orobserve.generation import Generation

_LIMIT = 1024


@dataclass(slots=True)
class _Known:
    request: Request
    span: SpanContext | None
    model: str | None
    polls: int = 0
    recorded: bool = False


class Jobs:
    """The jobs of this process, the newest `_LIMIT` of them."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def begin(self, generation: Generation, span: SpanContext) -> None:
        """Remember a job that a call has started."""
        if generation.job is not None:
            known = _Known(generation.request, span if span.is_valid else None, generation.model)
            with self._lock:
                self._remember(generation.job.id, known)

    def _remember(self, job_id: str, known: _Known) -> None:
        self._jobs[job_id] = known
        if len(self._jobs) > _LIMIT:
            del self._jobs[next(iter(self._jobs))]

    def poll(self, generation: Generation) -> tuple[Generation, SpanContext | None] | None:
        """Take a poll; returns the record of a job that it finds finished for the first time, and where it began."""
        job = generation.job
        if job is None:
            return None
        with self._lock:
            known = self._jobs.get(job.id)
            if known is None:
                known = _Known(Request(), None, None)
                self._remember(job.id, known)
            known.polls += 1
            if not job.finished or known.recorded:
                return None
            known.recorded = True
            polls = known.polls
        finished = Job(id=job.id, status=job.status, finished=True, poll_count=polls)
        request = replace(known.request, api_key_hash=generation.request.api_key_hash)
        model = generation.model or known.model
        return replace(generation, job=finished, request=request, model=model), known.span
