"""Where a call's span stands: below the application's own span, or where the request, or the ambient names, say."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from orobserve.generation import changed
from orobserve.telemetry import ids

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from orobserve.generation import Generation
    from orobserve.wire.exchange import Exchange

_NAMED_LIMIT = 4096
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Places:
    """Finds the place of calls that have no local parent."""

    def __init__(self) -> None:
        self._named: dict[tuple[int, str], None] = {}  # parent spans that were sent, oldest first

    def find(self, exchange: Exchange, tracer: Tracer, context: Context) -> tuple[ids.preset, Context]:
        """Put a call that has no local parent where its `trace` object, or the ambient names, say."""
        given, named = exchange.asked.trace, exchange.names
        wanted = given.trace_id if given and given.trace_id else None
        can_preset = ids.accept_presets(tracer)
        trace_id = ids.trace_id(wanted) if wanted else 0
        if given and given.parent_span_id and trace_id:
            return ids.preset(), _remote(trace_id, ids.span_id(given.parent_span_id), context)
        chain = [named[key] for key in ("trace_name", "span_name") if key in named]
        if not can_preset:
            return ids.preset(), _remote(trace_id, ids.named_span_id(trace_id, ""), context) if trace_id else context
        if not chain:
            return ids.preset(trace=trace_id), context
        return ids.preset(), self._parents(exchange, tracer, context, trace_id, chain)

    def _parents(
        self, exchange: Exchange, tracer: Tracer, context: Context, trace_id: int, chain: list[str]
    ) -> Context:
        """Make the named parent spans, each once per process, and return the context below them."""
        path = ""
        for name in chain:
            path += f"/{name}"
            with ids.preset(trace=trace_id, span=ids.named_span_id(trace_id, path) if trace_id else 0):
                key = (trace_id, path)
                if trace_id and key in self._named:
                    context = _remote(trace_id, ids.named_span_id(trace_id, path), context)
                    continue
                span = tracer.start_span(name, context, start_time=exchange.started_at)
            span.end(exchange.started_at)
            if trace_id:
                self._named[key] = None
                if len(self._named) > _NAMED_LIMIT:
                    self._named.pop(next(iter(self._named)), None)
            context = trace.set_span_in_context(span, context)
        return context


def is_inside(context: Context) -> bool:
    """Tell whether there is a recording span above."""
    span = trace.get_current_span(context)
    return span.is_recording()


def _remote(trace_id: int, span_id: int, context: Context) -> Context:
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=_SAMPLED)
    return trace.set_span_in_context(NonRecordingSpan(parent), context)


def identify(generation: Generation, span: Span, origin: Context) -> Generation:
    """Give the record the ids of its span.

    Where the span is none, because the application has set up no tracing or has sampled the trace out, the record gets
    ids all the same: destinations of its own need them, and the span above it is another's.

    Args:
        generation: the record.
        span: the span that stands for the call.
        origin: the context in which the call was made.
    """
    found = span.get_span_context()
    if found.is_valid and not isinstance(span, NonRecordingSpan):
        parent = getattr(span, "parent", None)
        return _with_ids(generation, found.trace_id, found.span_id, parent.span_id if parent else 0)
    outer, given = trace.get_current_span(origin).get_span_context(), generation.request.trace
    key = generation.id or f"{random.getrandbits(64):016x}"
    if outer.is_valid:
        return _with_ids(generation, outer.trace_id, ids.span_id(key), outer.span_id)
    parent_id = ids.span_id(given.parent_span_id) if given and given.parent_span_id else 0
    return _with_ids(generation, ids.trace_id((given and given.trace_id) or key), ids.span_id(key), parent_id)


def _with_ids(generation: Generation, trace_id: int, span_id: int, parent_span_id: int) -> Generation:
    return changed(
        generation,
        trace_id=trace.format_trace_id(trace_id),
        span_id=trace.format_span_id(span_id),
        parent_span_id=trace.format_span_id(parent_span_id) if parent_span_id else None,
    )
