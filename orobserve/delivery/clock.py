"""The time that delivery goes by. Tests bring a clock of their own, so that nothing there waits for real."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading


class Clock:
    """The machine's own time."""

    def now(self) -> float:
        """Return seconds of a clock that never goes back, for durations and deadlines."""
        return time.monotonic()

    def epoch(self) -> int:
        """Return nanoseconds since the epoch."""
        return time.time_ns()

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait until the condition, which the caller holds, is notified, or the seconds are over; None: no end."""
        condition.wait(seconds)
