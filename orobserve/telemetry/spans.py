"""One span per call: begun before it goes out, ended with the call's own times when its record is there."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanKind, Status, StatusCode

from orobserve._guard import guard
from orobserve._quiet import SUPPRESSION_KEYS
from orobserve.generation import Enrichment, changed
from orobserve.telemetry import attempts, attributes, content, names, nested
from orobserve.telemetry.places import Places, identify, is_inside
from orobserve.telemetry.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

    from orobserve.config import Config
    from orobserve.generation import Error, Generation
    from orobserve.telemetry.attributes import Attributes
    from orobserve.telemetry.events import Events
    from orobserve.telemetry.jobs import Jobs
    from orobserve.telemetry.metrics import Metrics
    from orobserve.wire.exchange import Exchange

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_NO_PRESET = nullcontext()
_forks = [0]  # how often this process was forked off: a call that was open then is its parent's to record
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _forks.append(_forks.pop() + 1))


@dataclass(frozen=True, slots=True)
class _Begun:
    """A call's span, the attributes it has from the start, and the context in which the call was made."""

    exchange: Exchange
    span: Span
    started: Attributes
    origin: Context


class Recorder:
    """Turns exchanges into spans, metrics, events, and records for whoever listens."""

    def __init__(
        self,
        config: Config,
        *,
        tracer: Callable[[], Tracer],
        metrics: Callable[[], Metrics | None],
        events: Events,
        jobs: Jobs,
        listen: Callable[[], Callable[[Generation], None] | None],
        enrich: Callable[[Generation, Exchange, Waiting], str | None],
    ) -> None:
        """Take the outlets.

        Args:
            config: the settings.
            tracer: returns where spans are started.
            metrics: returns where calls are counted, if anywhere.
            events: emits log events.
            jobs: remembers videos and batches.
            listen: returns who gets the finished records, if anybody does.
            enrich: has a call wait for OpenRouter's record of it, or returns the status with which it ends now.
        """
        self._config = config
        self._tracer = tracer
        self._metrics = metrics
        self._events = events
        self._jobs = jobs
        self._listen = listen
        self._enrich = enrich
        self.defer: Callable[[Callable[[], None]], None] | None = None  # has something done on another thread, soon
        self._places = Places()

    def begin(self, exchange: Exchange) -> Context:
        """Start the span of a call and return the context in which the call is to run."""
        context = otel_context.get_current()
        if exchange.route.endpoint.poll:
            exchange.on_end(lambda generation: self._finish_poll(generation, exchange, context))
            return context
        metrics = self._metrics()
        foreign, mode = nested.foreign_span(), self._config.when_nested
        if foreign is not None and mode != "off" and nested.is_hidden(foreign):
            mode, context = "span", nested.above(foreign, context)
        born = _forks[0]
        if foreign is not None and mode != "span":
            if mode == "enrich":
                nested.claim(foreign)
            finish = partial(self._finish_foreign, exchange, foreign, context, metrics)
        else:
            beneath = None if foreign is None else context
            begun = _aloud(beneath, self._start, exchange, context)
            finish = partial(self._finish, begun, beneath, metrics)
            context = trace.set_span_in_context(begun.span, context)
        exchange.on_end(lambda generation: finish(generation) if born == _forks[0] else None)
        if metrics is not None:  # at last: a call that could not begin is not in flight
            metrics.begin(exchange.route.endpoint.operation)
        return context

    def _start(self, exchange: Exchange, context: Context) -> _Begun:
        """Start a call's span."""
        origin = context
        asked, operation = exchange.asked, exchange.route.endpoint.operation
        tracer = self._tracer()
        given = exchange.names
        name = given.get("name") or (f"{operation} {asked.model}" if asked.model else operation)
        started = attributes.start_attributes(exchange, self._config)
        preset = None
        if (asked.trace is not None or given) and not is_inside(context):
            preset, context = self._places.find(exchange, tracer, context)
        with preset or _NO_PRESET:
            span = tracer.start_span(name, context, SpanKind.CLIENT, started, (), exchange.started_at)
        return _Begun(exchange, span, started, origin)

    def _finish(self, begun: _Begun, beneath: Context | None, metrics: Metrics | None, generation: Generation) -> None:
        """End the call of a span of ours; `beneath` is the context of a foreign span that has asked for silence."""
        self._end(begun, generation, metrics, lambda known: _aloud(beneath, self._close, begun, known))

    def _end(
        self,
        begun: _Begun,
        generation: Generation,
        metrics: Metrics | None,
        close: Callable[[Generation], None],
        *,
        standard: bool = True,
    ) -> None:
        """End a call when its record is there: now, where none is to come."""
        span = begun.span
        if generation.job is not None and not generation.job.finished:
            self._jobs.begin(generation, span.get_span_context())
        waiting = Waiting(
            span=span.get_span_context(),
            close=close,
            metrics=metrics,
            standard=standard,
            events=self._events,
            listen=self._listen,
            complete=partial(self._complete, begun),
        )
        status: str | None = ""
        if metrics is not None:
            metrics.end(generation.operation)
        with guard:
            status = self._enrich(generation, begun.exchange, waiting)
        if status is None:
            return
        if status:
            generation = changed(generation, enrichment=Enrichment(status=status))
        if status == "dropped" and metrics is not None:
            metrics.drop("enrichment", "queue_full")
        tells_content = self._config.content_on_span or self._config.content_on_event
        waiting.end(generation, None if tells_content else self.defer)

    def _complete(self, begun: _Begun, generation: Generation) -> Generation:
        said = begun.exchange.content()
        if said is not None:
            stored = generation.content  # OpenRouter's own, of an answer that was not read to its end
            generation = changed(generation, content=replace(said, output=stored.output) if stored else said)
        return generation if self._listen() is None else identify(generation, begun.span, begun.origin)

    def _close(self, begun: _Begun, generation: Generation) -> None:
        with guard:
            self._describe(generation, begun.span, begun.started)
        with guard:
            begun.span.end(generation.timing.ended_at)

    def _describe(self, generation: Generation, span: Span, started: Attributes) -> None:
        wanted = self._config.content_on_span or self._config.content_on_event  # a destination may want it alone
        said = content.masked(generation.content, self._config) if wanted and generation.content is not None else None
        if span.is_recording():
            if generation.error is not None:
                _set_error(span, generation, generation.error)
            encoded = attributes.encode(generation, self._config)
            for name in started:  # setting one again costs as much as the first time
                encoded.pop(name, None)
            if said is not None and self._config.content_on_span:
                with guard:
                    encoded.update(content.as_text(content.encode(said, self._config)))
            span.set_attributes(encoded)
            if generation.routing is not None and generation.routing.attempts:
                self._add_attempts(span, generation)
        self._events.emit(generation, said, span.get_span_context())

    def _add_attempts(self, span: Span, generation: Generation) -> None:
        if self._config.attempt_spans:
            attempts.add_spans(span, generation, self._tracer())
        else:
            attempts.add_events(span, generation)

    def _finish_foreign(
        self, exchange: Exchange, foreign: Span, context: Context, metrics: Metrics | None, generation: Generation
    ) -> None:
        if generation.cost is None or generation.cost.total is None:
            nested.release(foreign)
        begun = _Begun(exchange, foreign, {}, context)
        if self._config.when_nested == "off":
            self._end(begun, generation, metrics, _leave, standard=False)
            return
        if not foreign.is_recording():  # it has ended before the call has: what came late gets a span of its own
            self._finish(_aloud(context, self._start, exchange, context), context, metrics, generation)
            return
        encoded = attributes.encode(generation, self._config)
        if generation.error is not None:  # the call failed, but not yet its owner, who may try again
            error = {key: encoded.pop(key) for key in names.FIELDS["error"].values() if key in encoded}
            foreign.add_event(names.ERROR_EVENT, error, generation.timing.ended_at)
        nested.fill(foreign, encoded)
        # Its owner ends it, and does not wait: what the record adds goes to an event beside it.
        close = partial(self._add_to_foreign, foreign)
        self._end(begun, generation, metrics, close, standard=not nested.has_own_metrics(foreign))

    def _add_to_foreign(self, foreign: Span, generation: Generation) -> None:
        if generation.enrichment is not None and generation.enrichment.status == "complete":
            self._events.emit_late(generation, foreign.get_span_context())

    def _finish_poll(self, generation: Generation, exchange: Exchange, context: Context) -> None:
        """Record a finished job, once; polls before that only count."""
        finished = self._jobs.poll(generation)
        if finished is None:
            return
        generation, start_context = finished
        metrics = self._metrics()
        if metrics is not None:
            metrics.begin(generation.operation)
        exchange.asked = generation.request
        if start_context is not None and not is_inside(context):
            context = trace.set_span_in_context(NonRecordingSpan(start_context), context)
        self._finish(self._start(exchange, context), None, metrics, generation)


def _leave(_generation: Generation) -> None:
    """Leave another instrumentation's span as it is."""


def _set_error(span: Span, generation: Generation, error: Error) -> None:
    if error.transport:
        message = {names.EXCEPTION_MESSAGE: error.message} if error.message else {}
        span.add_event(names.EXCEPTION_EVENT, {names.EXCEPTION_TYPE: error.type, **message}, generation.timing.ended_at)
    span.set_status(Status(StatusCode.ERROR, error.message))


def _aloud(
    beneath: Context | None, act: Callable[_Arguments, _Result], *given: _Arguments.args, **named: _Arguments.kwargs
) -> _Result:
    """Do something without the suppression that the owner of a foreign span has set around its call.

    Logfire's span processors obey it at both ends of a span, whatever the span's own context says.
    """
    if beneath is None:
        return act(*given, **named)
    for key in SUPPRESSION_KEYS:
        if otel_context.get_value(key, beneath):
            beneath = otel_context.set_value(key, None, beneath)
    token = otel_context.attach(beneath)
    try:
        return act(*given, **named)
    finally:
        otel_context.detach(token)
