"""Any destination in a pipeline of the application's own: a `SpanExporter` that takes the calls among the spans.

The application's span processor is the queue, its sampler and its other processors come first, and what its spans do
not carry (messages, unless `content` puts them there) the destination cannot get. It must not know payloads.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from orobserve import config
from orobserve._guard import guard
from orobserve._quiet import quiet
from orobserve.delivery.clock import Clock
from orobserve.delivery.destination import Destination
from orobserve.delivery.letters import Letter
from orobserve.delivery.policy import policy_for
from orobserve.delivery.settings import Shared, resolve
from orobserve.delivery.state import Drop
from orobserve.errors import ConfigurationError
from orobserve.telemetry.decode import decode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from orobserve.delivery.exporter import Exporter
    from orobserve.delivery.settings import DestinationSettings
    from orobserve.delivery.state import State
    from orobserve.generation import Generation

TIMEOUT = 30.0  # seconds, as the SDK's own OTEL_BSP_EXPORT_TIMEOUT

_configured: weakref.WeakSet[ConfiguredSpanExporter] = weakref.WeakSet()


def has_taken_over() -> bool:
    """Tell whether the SDK's pipeline delivers to the configured destinations: nobody else must then do so too."""
    return bool(_configured)


class _InPlace(Destination):
    """A destination that delivers on the caller's thread, since the span processor has a queue and a thread already.

    Its own thread could not even be started in the last export, which is when the interpreter exits.
    """

    def __init__(self, settings: DestinationSettings) -> None:
        exporter = settings.make()
        super().__init__(settings.name, exporter, policy_for(settings))
        self._lock = threading.Lock()

    def deliver(self, calls: Sequence[Generation], deadline: float) -> bool:
        """Deliver what the policy lets through, until the deadline; returns False if any of it was lost."""
        with self._lock, quiet():  # exporters are used by one thread at a time, whatever the processor does
            before = self._lost
            if self._worker.closing:
                self._tally.dropped(Drop.SHUTDOWN, len(calls), "the span exporter is shut down")
                return False
            kept = [letter for letter in map(self._take, map(Letter, calls)) if letter is not None]
            for start in range(0, len(kept), self.exporter.LIMITS.items):
                self._sender.patience = max(0.0, deadline - self._clock.now())
                self._deliver(kept[start : start + self.exporter.LIMITS.items])
            return self._lost == before

    def join(self, deadline: float) -> bool:
        """Wait for the delivery that is going on, and give back what is held."""
        with self._lock:
            return super().join(deadline)

    def after_fork(self) -> None:
        """Begin anew in a forked child, whose parent may be delivering just now."""
        super().after_fork()
        self._lock = threading.Lock()

    @property
    def _lost(self) -> int:
        state = self.state
        return sum(state.dropped.values()) + state.rejected


class _Calls(SpanExporter):
    """Delivers the calls among the spans; all other spans are ignored."""

    def __init__(self, settings: Sequence[DestinationSettings], timeout: float) -> None:
        self._destinations = [_InPlace(each) for each in settings if each.enabled]
        self._timeout = timeout
        self._clock = Clock()

    @property
    def states(self) -> list[State]:
        """The counters of the destinations as they stand."""
        return [destination.state for destination in self._destinations]

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Deliver, with repeated attempts where they may help; a failure means that some calls were lost."""
        calls = _calls(spans)
        if not calls:
            return SpanExportResult.SUCCESS
        deadline = self._clock.now() + self._timeout
        done = [destination.deliver(calls, deadline) for destination in self._destinations]
        return SpanExportResult.SUCCESS if all(done) else SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 0) -> bool:  # noqa: ARG002 - the SDK's signature
        """Have a batch that waits for its next attempt tried at once; nothing is ever left queued here."""
        for destination in self._destinations:
            destination.hurry()
        return True

    def shutdown(self) -> None:
        """Give what is still being tried a last attempt, and give back what is held; harmless if repeated."""
        now = self._clock.now()
        for destination in self._destinations:
            destination.close(now)
        for destination in self._destinations:
            destination.join(now)


class DestinationSpanExporter(_Calls):
    """One destination, or several, for a span processor of your own.

    Args:
        destination: as for `orobserve.instrument`: a name, a destination object, an exporter, or a list of them.
        timeout: seconds for all attempts of one export.

    Raises:
        ConfigurationError: it cannot be used.
    """

    def __init__(
        self, destination: str | Mapping[str, Any] | Exporter | Sequence[Any], *, timeout: float = TIMEOUT
    ) -> None:
        super().__init__(resolve("destination", destination, Shared(environ=os.environ)), timeout)


class ConfiguredSpanExporter(_Calls):
    """The destinations of the environment and of `orobserve.toml`, for `OTEL_TRACES_EXPORTER=orobserve`.

    Raises:
        ConfigurationError: there are none, or a setting cannot be used.
    """

    def __init__(self) -> None:
        settings = config.load({}).destinations
        if not settings:
            raise ConfigurationError(
                "OROBSERVE_DESTINATIONS",
                None,
                allowed="names of destinations",
                fix="set OROBSERVE_DESTINATIONS=langfuse, say, or leave orobserve out of OTEL_TRACES_EXPORTER",
            )
        super().__init__(settings, TIMEOUT)
        _configured.add(self)


def _calls(spans: Sequence[ReadableSpan]) -> list[Generation]:
    calls = []
    for span in spans:
        with guard:
            call = decode(span)
            if call is not None:
                calls.append(call)
    return calls
