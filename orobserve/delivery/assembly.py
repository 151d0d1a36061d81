"""Destinations from their settings."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from orobserve._identity import is_late
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
            destination = Destination(each.name, exporter, _unless_served(exporter, provider, policy_for(each)))
            destination.place = place_of(each)
            made.append(destination)
    return Hub(made, on_drop=on_drop)


def place_of(settings: DestinationSettings) -> str:
    """Return what tells where a destination's records go, and how much of them: a hash, for secrets are part of it.

    What one program has left unsent, another sends only to the same place: names repeat, and projects differ.
    """
    said = [
        settings.type,
        dict(settings.config),
        settings.privacy_mode,
        [getattr(mask, "__qualname__", type(mask).__qualname__) for mask in settings.masks],
        [pattern.text for pattern in settings.mask_patterns],
    ]
    text = json.dumps(said, sort_keys=True, default=lambda value: type(value).__qualname__)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _unless_served(
    exporter: Exporter, provider: Callable[[], object], policy: Callable[[Generation], Generation | None]
) -> Callable[[Generation], Generation | None]:
    """Return the policy of a destination to which the application's own pipeline may already deliver our spans."""

    def apply(generation: Generation) -> Generation | None:
        is_served = not is_late(generation) and exporter.is_served_by(
            provider()
        )  # a late record's span went without it
        return None if is_served else policy(generation)

    return apply
