"""The metrics that are looked at when somebody collects them: spans that wait, destinations, budgets of API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from opentelemetry.metrics import Observation

from orobserve.telemetry import names
from orobserve.telemetry.labels import Bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.metrics import Meter

    from orobserve.generation import Budget


class Delivery(Protocol):
    """How a destination is doing."""

    @property
    def name(self) -> str:
        """As the user calls it."""

    @property
    def delivered(self) -> int:
        """How many records it has got."""

    @property
    def queued(self) -> int:
        """How many wait."""

    @property
    def deferred(self) -> int:
        """How often one was put off, and kept in the ledger."""


def observe_held(meter: Meter, held: Callable[[], int]) -> None:
    """Show how many spans wait for OpenRouter's record."""
    meter.create_observable_gauge(
        "orobserve.enrichment.pending",
        [lambda _options: [Observation(held())]],
        "{span}",
        "Spans that wait for their record",
    )


def observe_deliveries(meter: Meter, deliveries: Callable[[], Sequence[Delivery]]) -> None:
    """Show how destinations are doing."""

    def delivered(_options: object) -> Iterator[Observation]:
        return (Observation(each.delivered, {"destination": each.name}) for each in deliveries())

    def queued(_options: object) -> Iterator[Observation]:
        return (Observation(each.queued, {"destination": each.name}) for each in deliveries())

    def deferred(_options: object) -> Iterator[Observation]:
        return (Observation(each.deferred, {"destination": each.name}) for each in deliveries())

    meter.create_observable_counter("orobserve.delivery.delivered", [delivered], "{generation}", "Records delivered")
    meter.create_observable_counter("orobserve.delivery.deferred", [deferred], "{generation}", "Records put off")
    meter.create_observable_gauge("orobserve.delivery.queued", [queued], "{generation}", "Records that wait to be sent")


def observe_budgets(meter: Meter, budgets: Callable[[], Sequence[Budget]], limit: int) -> None:
    """Show the budgets of API keys, of which there may be so many labels."""
    bounded = Bounded(limit)

    def remaining(_options: object) -> Iterator[Observation]:
        for budget in budgets():
            if budget.remaining is not None:
                labels = bounded({names.KEY_LABEL: budget.label, names.KEY_PERIOD: budget.period})
                yield Observation(budget.remaining, labels)

    def usage(_options: object) -> Iterator[Observation]:
        for budget in budgets():
            for period, spent in budget.usage.items():
                yield Observation(spent, {**bounded({names.KEY_LABEL: budget.label}), names.KEY_PERIOD: period})

    meter.create_observable_gauge("openrouter.key.limit_remaining", [remaining], "USD", "What a key may still spend")
    meter.create_observable_gauge("openrouter.key.usage", [usage], "USD", "What a key has spent")
