"""Time that stands still until a test moves it, for the look-ups and for the simulator alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.enrichment import Clock

if TYPE_CHECKING:
    import threading

    from orobserve.enrichment import Enricher

_PATIENCE = 60.0  # seconds of real time before a test gives up


class StandingClock(Clock):
    """A clock that a test moves."""

    def __init__(self) -> None:
        self._now = 1000.0

    def now(self) -> float:
        return self._now

    def time(self) -> float:
        """Return seconds since the epoch."""
        return 1_787_400_000.0 + self._now

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        condition.wait(_PATIENCE)

    def advance(self, seconds: float, enricher: Enricher, *, to_the_end: bool = True) -> None:
        """Move on, and wait until all that is due by then has been done; or only what the rate lets be done."""
        self._now += seconds
        settle(enricher, to_the_end=to_the_end)


def settle(enricher: Enricher, *, to_the_end: bool = True) -> None:
    """Wait until no look-up is under way and nothing is due."""
    books, now = enricher._books, enricher.clock.now()

    def is_idle() -> bool:
        due = books.due and max(books.due[0][0], 0.0 if to_the_end else books.next_slot) <= now
        late = books.deadlines and books.deadlines[0].is_held and books.deadlines[0].deadline <= now
        return not (books.in_flight or books.ending or due or late)

    with books.changed:
        books.changed.notify_all()  # time has moved
        assert books.changed.wait_for(is_idle, _PATIENCE), "a look-up never came back"
