"""Time that tests make: nothing waits for real."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from orobserve.delivery.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

EPOCH = 1_800_000_000 * 10**9
_TIMEOUT = 10.0  # real seconds: what takes longer has gone wrong


class VirtualClock(Clock):
    """A destination's thread skips its waits (`skips`), or stays in them until `advance` ends them or it is woken.

    Who waits on the test's own thread (flush, close) waits for real until that is woken; `impatient` ends it at once.
    """

    def __init__(self, *, skips: bool = False, impatient: bool = False) -> None:
        self.skips = skips
        self.impatient = impatient
        self.seconds = 1000.0
        self.waits: list[float] = []  # of destinations' threads, as asked for
        self.on_wait: Callable[[], None] | None = None  # called when one begins
        self._owner = threading.current_thread()
        self._state = threading.Condition()
        self._waiting: dict[threading.Thread, threading.Condition] = {}
        self._inside: dict[threading.Thread, threading.Condition | None] = {}  # what destinations' threads wait for

    def now(self) -> float:
        return self.seconds

    def epoch(self) -> int:
        return EPOCH + round((self.seconds - 1000.0) * 10**9)

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        if threading.current_thread() is self._owner:
            if self.impatient:
                self.seconds += seconds or 0
            else:
                assert condition.wait(_TIMEOUT), "nothing happened"
            return
        thread = threading.current_thread()
        with self._state:
            self._inside[thread] = condition
            self._state.notify_all()
        try:
            self._wait(condition, seconds)
        finally:
            with self._state:
                self._inside[thread] = None

    def _wait(self, condition: threading.Condition, seconds: float | None) -> None:
        if seconds is None:
            condition.wait()
            return
        self.waits.append(seconds)
        if self.on_wait is not None:
            self.on_wait()
        if self.skips:
            self.seconds += seconds
            return
        with self._state:
            self._waiting[threading.current_thread()] = condition
            self._state.notify_all()
        condition.wait(_TIMEOUT)
        with self._state:
            del self._waiting[threading.current_thread()]

    def until_waiting(self, count: int = 1) -> None:
        """Return when so many destinations' threads are in a wait that ends some day."""
        with self._state:
            assert self._state.wait_for(lambda: len(self._waiting) >= count, _TIMEOUT)

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake who waits for it."""
        self.seconds += seconds
        with self._state:
            waiting = list(self._waiting.values())
        for condition in waiting:
            with condition:
                condition.notify_all()

    def step(self, seconds: float, threads: Callable[[], Iterable[threading.Thread]]) -> None:
        """Let time pass, and return when all those threads have done what was due, and wait."""

        def are_at_rest() -> bool:
            # A thread that was notified is no longer among its condition's waiters, though it has not gone on yet.
            waits = (self._inside.get(thread) for thread in threads() if thread.is_alive())
            return all(condition is not None and condition._waiters for condition in waits)  # type: ignore[attr-defined]

        self.advance(seconds)
        until = time.monotonic() + _TIMEOUT
        with self._state:
            while not are_at_rest():
                assert time.monotonic() < until, "a thread does not come to rest"
                self._state.wait(0.002)  # a thread says that it will wait a moment before it does
