"""Who gets every record: the ledger, callbacks, and the destinations, which get it from the ledger where there is one.

So what a destination has not taken is still in the ledger. Where that cannot be written, they get it all the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orobserve._guard import guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve._worker import Worker
    from orobserve.budgets.watch import Watch
    from orobserve.delivery.hub import Hub
    from orobserve.delivery.state import State
    from orobserve.generation import Generation
    from orobserve.ledger.flights import Flights
    from orobserve.ledger.writer import Ledger

_ROUNDS = 3  # a record that was completed while the first was on its way is sent after that; what was left may be more
_NOTING = 0.2  # seconds that are kept for noting in the ledger what the destinations have taken


class Receivers:
    """Hands records to whoever there is.

    Args:
        ledger: if there is one.
        hub: the destinations, if there are any.
        watch: looks after the budgets, if there are any.
        flights: notes how many calls are in flight, where there is a ledger for it.
        callbacks: if they are to be waited for; they get their records from somebody else.
        suspended: tells that somebody else delivers to the destinations.
    """

    def __init__(
        self,
        ledger: Ledger | None = None,
        hub: Hub | None = None,
        *,
        watch: Watch | None = None,
        flights: Flights | None = None,
        callbacks: Worker | None = None,
        suspended: Callable[[], bool] = lambda: False,
    ) -> None:
        self.ledger = ledger
        self.hub = hub
        self.flights = flights
        self._watch = watch
        self._callbacks = callbacks
        self._suspended = suspended
        if ledger is not None and hub is not None and hub.destinations:
            ledger.deliver_to(hub, suspended)

    def __bool__(self) -> bool:
        """Whether there is anybody."""
        return self.ledger is not None or self.hub is not None or self._watch is not None

    def offer(self, generation: Generation) -> None:
        """Hand over a record; never waits."""
        with guard:
            if self.ledger is not None:
                self.ledger.offer(generation)
            elif self.hub is not None and not self._suspended():
                self.hub.hand_on(generation)
        if self._watch is not None:
            with guard:
                self._watch.offer(generation)  # after the ledger, which it asks

    def has_room(self, generation: Generation) -> bool:
        """Tell whether a record would be lost for want of room: for those who can make their sender wait."""
        if self.ledger is not None:
            return self.ledger.has_room(generation)
        return self.hub is None or self.hub.has_room(generation)

    def start(self) -> None:
        """Take up what earlier processes have left unsent: for a process that will be there for long."""
        if self.ledger is not None:
            self.ledger.start()

    def states(self) -> list[State]:
        """Return the counters of the destinations."""
        return [] if self.hub is None else self.hub.states()

    def flush(self, timeout: float) -> bool:
        """Write and send what is queued; returns False if some of it is not settled after `timeout` seconds."""
        until = time.monotonic() + timeout
        done = False
        for _ in range(_ROUNDS):
            done = self._flush_first(until)
            if self.hub is not None:
                done = self.hub.flush(_left(until)) and done
                if self.ledger is not None:
                    done = self.ledger.flush(_left(until)) and done
            if self.ledger is None or not self.ledger.in_hand:
                break
        return (self._watch is None or self._watch.flush(_left(until))) and done

    def close(self, timeout: float) -> bool:
        """Flush, then stop for good; what the ledger keeps is sent by whoever comes next."""
        until = time.monotonic() + timeout
        if self.flights is not None:
            self.flights.close()
        if self.ledger is not None:
            self.ledger.rest(timeout / 2)  # what it cannot write by then still has time to be sent
        done = self._flush_first(until)
        if self.hub is not None:
            done = self.hub.close(_left(until - (0.0 if self.ledger is None else _NOTING))) and done
        if self.ledger is not None:
            self.ledger.close(max(_left(until), _NOTING))
        if self._watch is not None:
            self._watch.close(_left(until))
        return done

    def _flush_first(self, until: float) -> bool:
        """Flush the ledger and look at the budgets: milliseconds, before those that may take all the time."""
        done = self.ledger is None or self.ledger.flush(_left(until))
        done = (self._watch is None or self._watch.look(_left(until))) and done
        return (self._callbacks is None or self._callbacks.flush(_left(until))) and done


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())
