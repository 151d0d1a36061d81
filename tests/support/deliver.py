"""Batches delivered as users' calls are, in no time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.delivery.destination import Destination
from tests.delivery.clocks import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve import Generation
    from orobserve.delivery import DirectExporter, HTTPExporter
    from orobserve.delivery.state import State

_PATIENCE = 10_000  # seconds that nobody waits for


def deliver(
    exporter: HTTPExporter | DirectExporter, *batches: Sequence[Generation], clock: VirtualClock | None = None
) -> State:
    """Deliver each batch as one, with as many attempts as it takes, and return what became of them."""
    clock = clock or VirtualClock()
    clock.skips = True
    destination = Destination("under-test", exporter, lambda call: call, clock=clock)
    for batch in batches:
        with destination._worker._wake:  # its thread takes nothing before all is there, and asked for
            for call in batch:
                destination.offer(call)
            target = destination.hurry()
        destination.wait(target, clock.now() + _PATIENCE)
    destination.close(clock.now() + _PATIENCE)
    assert destination.join(clock.now() + _PATIENCE)
    return destination.state
