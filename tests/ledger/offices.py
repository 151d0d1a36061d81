"""A process's ledger with destinations, several of which may share a file and a clock; and a destination to watch."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

from orobserve.delivery import DirectExporter, Limits, Result, Verdict
from orobserve.delivery.destination import Destination
from orobserve.delivery.hub import Hub
from orobserve.delivery.sender import Sender
from orobserve.ledger.outbox import DeliveryState, delivery_states
from orobserve.ledger.writer import Ledger
from orobserve.receivers import Receivers
from tests.ledger.records import EVERYTHING, call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orobserve.delivery.worker import Worker
    from orobserve.generation import Generation
    from orobserve.ledger.store import Keep
    from tests.delivery.clocks import VirtualClock

DOWN = Result(verdict=Verdict.RETRY, reason="it is down")
REFUSED = Result(verdict=Verdict.REJECTED, reason="HTTP 400")

_all: weakref.WeakSet[Office] = weakref.WeakSet()


class Product(DirectExporter):
    """Keeps what it takes, while it is up."""

    TYPE = "product"
    TITLE = "Product"
    LIMITS = Limits(items=10, linger=0.0)

    def __init__(self, *, updates: bool = False) -> None:
        super().__init__({})
        self.UPDATES = updates
        self.answer: Result | Callable[[Sequence[Generation]], Result] = Result(verdict=Verdict.DELIVERED)
        self.tried: list[list[str | None]] = []
        self.taken: list[str | None] = []  # the calls' ids
        self.records: list[Generation] = []
        self._changed = threading.Condition()

    def export(self, batch: Sequence[Generation]) -> Result:
        found = self.answer(batch) if callable(self.answer) else self.answer
        with self._changed:
            self.tried.append([each.id for each in batch])
            if found.verdict is Verdict.DELIVERED:
                self.taken += [each.id for each in batch]
                self.records += batch
            self._changed.notify_all()
        return found

    def until_tried(self, times: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.tried) >= times, 60), self.tried

    def until_taken(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.taken) >= count, 60), (len(self.taken), self.tried[-3:])


class Office:
    """What one process has: a ledger on a file, and products as destinations by name."""

    def __init__(
        self, path: Path, clock: VirtualClock, keep: Keep = EVERYTHING, *, patience: float = 300.0, **products: Product
    ) -> None:
        self.path, self.clock = path, clock
        self.lost: list[tuple[str, str, int]] = []
        self.ledger = Ledger(path, keep, clock=clock)
        made = []
        for name, product in products.items():
            sender = Sender(clock=clock, chance=lambda: 1.0, patience=patience)
            made.append(Destination(name, product, lambda given: given, sender=sender, clock=clock))
        self.hub = Hub(made, clock=clock, on_drop=lambda *told: self.lost.append(told))
        self.receivers = Receivers(self.ledger, self.hub)
        self.workers: list[Worker[Any]] = [self.ledger._worker, *(each._worker for each in made)]
        _all.add(self)

    def offer(self, *numbers: int, **changes: Any) -> None:
        for number in numbers:
            self.receivers.offer(call(number, **changes))

    def flush(self) -> None:
        """Have everything written, handed on, and its fate noted."""
        assert self.receivers.flush(30)

    def kill(self) -> None:
        """Do nothing more for what is in hand: no sign of life, and no note of what becomes of it."""
        self.ledger._worker.chore = None
        self.ledger._worker.nudge = lambda _: None  # type: ignore[method-assign]

    def pass_time(self, seconds: float, step: float = 10.0) -> None:
        """Let time pass, in steps in which everybody does what is due."""
        until = self.clock.seconds + seconds
        while self.clock.seconds < until:
            self.clock.step(min(step, until - self.clock.seconds), self._threads)

    def _threads(self) -> list[threading.Thread]:
        """Return the threads of all offices that live by this one's clock."""
        offices = [office for office in _all if office.clock is self.clock]
        workers = [worker for office in offices for worker in office.workers]
        return [worker._thread for worker in workers if worker._thread is not None]

    def until(self, reached: Callable[[], bool], seconds: float = 60.0) -> None:
        """Let time pass until something is so."""
        until = self.clock.seconds + seconds
        while not reached():
            assert self.clock.seconds < until
            self.pass_time(1.0)

    def state(self, name: str = "a") -> DeliveryState:
        return next(each for each in delivery_states(self.path) if each.destination == name)

    def close(self) -> None:
        self.clock.impatient = True
        for destination in self.hub.destinations:
            destination._worker._closing_at = self.clock.now()
        self.receivers.close(0.0)
        self.clock.advance(1e6)
        for worker in self.workers:
            if worker._thread is not None:
                worker._thread.join(10)
                assert not worker._thread.is_alive()


def numbered(numbers: Sequence[int]) -> list[str]:
    return [f"gen-{number}" for number in numbers]
