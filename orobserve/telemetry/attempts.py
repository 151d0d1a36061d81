"""Provider attempts, one by one: as events of the generation's span, or as spans below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from orobserve.telemetry import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Span, Tracer

    from orobserve.generation import Attempt, Generation
    from orobserve.telemetry.attributes import Attributes

_HTTP_ERROR = 400


def _attempts(generation: Generation) -> Iterator[tuple[int, Attempt, Attributes, int, int]]:
    """Yield each attempt with its attributes, its start and its end.

    OpenRouter tells how long each took, not when it began: they are laid one after the other from the call's start.
    """
    start = generation.timing.started_at
    for number, attempt in enumerate(generation.routing.attempts if generation.routing is not None else (), 1):
        attributes: Attributes = {names.ATTEMPT_NUMBER: number}
        for field, name in names.FIELDS["attempt"].items():
            value = getattr(attempt, field)
            if value is not None:
                attributes[name] = value
        end = min(start + int((attempt.latency_ms or 0.0) * 1e6), generation.timing.ended_at)
        yield number, attempt, attributes, min(start, end), end
        start = end


def add_events(span: Span, generation: Generation) -> None:
    """Note each attempt on the generation's span, at its end."""
    for _, _, attributes, _, end in _attempts(generation):
        span.add_event(names.ATTEMPT_EVENT, attributes, end)


def add_spans(span: Span, generation: Generation, tracer: Tracer) -> None:
    """Make a span of each attempt below the generation's: without model, tokens and cost, which are the call's."""
    context = trace.set_span_in_context(span)
    for number, attempt, attributes, start, end in _attempts(generation):
        name = f"provider attempt {number}: {attempt.provider or 'unknown'}"
        child = tracer.start_span(name, context, SpanKind.INTERNAL, attributes, (), start)
        if attempt.status is not None and attempt.status >= _HTTP_ERROR:
            child.set_status(Status(StatusCode.ERROR, f"HTTP {attempt.status}"))
        child.end(end)
