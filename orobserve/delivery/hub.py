"""All destinations together: each gets every record on a queue of its own; flushed and closed in parallel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve._guard import guard
from orobserve._identity import is_late
from orobserve.delivery.clock import Clock
from orobserve.delivery.letters import weigh

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orobserve.delivery.destination import Destination
    from orobserve.delivery.state import State
    from orobserve.generation import Generation


class Hub:
    """Hands generations to destinations.

    Args:
        destinations: the names are unique.
        clock: the time, the same as theirs.
        on_drop: told of every loss: the destination's name, the reason (a value of `Drop`), how many generations.
    """

    def __init__(
        self,
        destinations: Sequence[Destination],
        *,
        clock: Clock | None = None,
        on_drop: Callable[[str, str, int], None] | None = None,
    ) -> None:
        self.destinations = tuple(destinations)
        self._updatable = tuple(each for each in destinations if each.exporter.UPDATES)
        self._clock = clock or Clock()
        for destination in destinations:
            destination.on_drop = on_drop

    def offer(self, generation: Generation) -> None:
        """Queue a generation everywhere; takes microseconds and never waits."""
        weight = weigh(generation)
        for destination in self.destinations:
            with guard:
                destination.offer(generation, weight)

    def has_room(self, generation: Generation) -> bool:
        """Tell whether every destination has room, or none to wait for: for those who can make their sender wait."""
        weight = weigh(generation)
        return all(destination.has_room(weight) for destination in self.destinations)

    def offer_update(self, generation: Generation) -> None:
        """Queue a generation that replaces one with the same ids, where the product can do that."""
        for destination in self._updatable:
            with guard:
                destination.offer(generation)

    def hand_on(self, generation: Generation) -> None:
        """Queue a record wherever it belongs: one that is late only where it can replace the first."""
        (self.offer_update if is_late(generation) else self.offer)(generation)

    def flush(self, timeout: float) -> bool:
        """Send what is queued at once, everywhere; returns False if some of it is not settled after `timeout` seconds.

        Settled is delivered, or dropped and counted. A batch that waits for its next attempt is tried at once.
        """
        deadline = self._clock.now() + timeout
        targets = [(destination, destination.hurry()) for destination in self.destinations]
        waited = [destination.wait(target, deadline) for destination, target in targets]  # each, not up to the first
        return all(waited)

    def close(self, timeout: float) -> bool:
        """Flush, then stop for good; what is not sent after `timeout` seconds is dropped and counted."""
        deadline = self._clock.now() + timeout
        for destination in self.destinations:
            destination.close(deadline)
        joined = [destination.join(deadline) for destination in self.destinations]
        return all(joined)

    def states(self) -> list[State]:
        """Return the counters of every destination."""
        return [destination.state for destination in self.destinations]
