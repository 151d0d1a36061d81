"""Destinations from their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.delivery.destination import Destination
from orobserve.delivery.hub import Hub
from orobserve.delivery.policy import policy_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orobserve.delivery.exporter import Exporter
    from orobserve.delivery.settings import DestinationSettings
    from orobserve.generation import Generation


def assemble(
    settings: Sequence[DestinationSettings],
    provider: Callable[[], object],
    on_drop: Callable[[str, str, int], None],
) -> Hub:
    """Return the destinations that are enabled.

    Args:
        settings: of each.
        provider: returns the tracer provider in use: its own pipeline may serve a product already.
        on_drop: told of every loss: the destination's name, the reason, how many.
    """
    made = []
    for each in settings:
        if each.enabled:
            exporter = each.make()
            made.append(Destination(each.name, exporter, _unless_served(exporter, provider, policy_for(each))))
    return Hub(made, on_drop=on_drop)


def _unless_served(
    exporter: Exporter, provider: Callable[[], object], policy: Callable[[Generation], Generation | None]
) -> Callable[[Generation], Generation | None]:
    """Return the policy of a destination to which the application's own pipeline may already deliver our spans."""

    def apply(generation: Generation) -> Generation | None:
        is_late = generation.enrichment is not None and generation.enrichment.is_late  # its span went without it
        return None if not is_late and exporter.is_served_by(provider()) else policy(generation)

    return apply
