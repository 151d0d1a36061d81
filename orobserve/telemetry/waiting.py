"""A call whose response has ended, until OpenRouter's own record of it is there, or is waited for no longer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orobserve._guard import guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import SpanContext

    from orobserve.generation import Generation
    from orobserve.telemetry.events import Events
    from orobserve.telemetry.metrics import Metrics


@dataclass(slots=True, kw_only=True)
class Waiting:
    """What is still to be said of a call: on its span, in metrics, to listeners. Each is told once.

    Attributes:
        span: whose call it is.
        close: writes the record onto the span and ends it, where the span is ours.
        metrics: where to count, if anywhere.
        standard: whether the `gen_ai.*` metrics are ours to record.
        events: where late news go.
        listen: who gets the record, if anybody does.
        complete: adds to the record what costs time: what was said, and the ids of its span.
    """

    span: SpanContext
    close: Callable[[Generation], None]
    metrics: Metrics | None
    standard: bool
    events: Events
    listen: Callable[[], Callable[[Generation], None] | None]
    complete: Callable[[Generation], Generation]
    before: Generation | None = None

    def end(self, generation: Generation, defer: Callable[[Callable[[], None]], None] | None = None) -> None:
        """Say what is known now.

        Args:
            generation: what is known.
            defer: has the rest done on another thread, where the span needs none of what `complete` adds.
        """
        if defer is None:
            with guard:
                generation = self.complete(generation)
        self.before = generation
        with guard:
            self.close(generation)
        if self.metrics is not None:
            with guard:
                self.metrics.record(generation, standard=self.standard)
        if defer is None:
            self._hand_on(generation)
        elif self.listen() is not None:
            defer(lambda: self._hand_on(self.complete(generation)))

    def update(self, generation: Generation) -> None:
        """Say what was learnt after the end: the span is closed by now, and nothing is counted a second time."""
        with guard:
            generation = self.complete(generation)
        with guard:
            self.events.emit_late(generation, self.span)
        if self.metrics is not None and self.before is not None:
            with guard:
                self.metrics.complete(self.before, generation)
        self._hand_on(generation)

    def settle(self, status: str, seconds: float) -> None:
        """Count what came of looking for the record."""
        if self.metrics is not None:
            self.metrics.settle(status, seconds)

    def _hand_on(self, generation: Generation) -> None:
        listen = self.listen()
        if listen is not None:
            listen(generation)
