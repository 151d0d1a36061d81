"""What became of the generations of one destination: counters, the last error, and one log line per cause."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from orobserve._guard import guard
from orobserve.wire.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_log = logging.getLogger("orobserve")
_MOST_CAUSES = 50  # an exporter whose reasons never repeat must not flood the log
_LONGEST = 300  # characters of a reason


class Drop(Enum):
    """Why generations did not arrive."""

    QUEUE_FULL = "queue_full"
    POLICY = "policy"  # a filter, sampler or mask raised
    ENCODE = "encode"  # the exporter could not encode it
    TOO_LARGE = "too_large"  # even alone and without its content
    REJECTED = "rejected"  # the destination never will take it
    REJECTED_IN_PART = "rejected_in_part"  # it took the rest of the batch
    EXPIRED = "expired"  # retried until the deadline
    SHUTDOWN = "shutdown"
    REMOVED = "removed"  # from the ledger, by age or size, while it was still due


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One destination as it stands. Generations, except `retried`: attempts that were made again.

    Attributes:
        queued: waiting, or in the batch that is being sent.
        deferred: not sent for now, and kept in the ledger to be sent later; one may be counted several times.
        withheld: kept back by the destination's policy, as the user wants.
        dropped: by the values of `Drop`; without `rejected`.
        rejected: refused in batches that were otherwise accepted.
        last_delivered_at: nanoseconds since the epoch.
    """

    name: str
    type: str
    queued: int
    delivered: int = 0
    retried: int = 0
    deferred: int = 0
    withheld: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    rejected: int = 0
    last_error: str | None = None
    last_delivered_at: int | None = None


class Tally:
    """Counts for one destination. `on_drop` is told the destination's name, the reason and how many."""

    def __init__(self, name: str, type_: str) -> None:
        self._name = name
        self._type = type_
        self.on_drop: Callable[[str, str, int], None] | None = None
        self.reset()

    def reset(self) -> None:
        """Begin anew, in a forked child."""
        self._lock = threading.RLock()  # the garbage collector may end a call, and offer it, while we count
        self._dropped: Counter[str] = Counter()
        self._delivered = self._retried = self._deferred = self._withheld = self._rejected = 0
        self._last_error: str | None = None
        self._last_delivered_at: int | None = None
        self._told: set[tuple[str, str]] = set()

    def state(self, queued: int) -> State:
        """Return the counters."""
        with self._lock:
            return State(
                name=self._name,
                type=self._type,
                queued=queued,
                delivered=self._delivered,
                retried=self._retried,
                deferred=self._deferred,
                withheld=self._withheld,
                dropped=dict(self._dropped),
                rejected=self._rejected,
                last_error=self._last_error,
                last_delivered_at=self._last_delivered_at,
            )

    def delivered(self, count: int, at: int) -> None:
        """Count generations that arrived, at nanoseconds since the epoch."""
        with self._lock:
            self._delivered += count
            self._last_delivered_at = at

    def withheld(self) -> None:
        """Count a generation that the policy kept back."""
        with self._lock:
            self._withheld += 1

    def retried(self) -> None:
        """Count an attempt that is made again."""
        with self._lock:
            self._retried += 1

    def deferred(self, count: int, reason: str) -> str:
        """Count generations that are kept to be sent later; returns the reason as it may be shown."""
        with self._lock:
            self._deferred += count
        return self.failed("generations wait in the ledger and are sent later", reason)

    def dropped(self, why: Drop, count: int, reason: str, *, kept: bool = False) -> str:
        """Count generations that are lost, or kept as dead letters; returns the reason as it may be shown."""
        with self._lock:
            if why is Drop.REJECTED_IN_PART:
                self._rejected += count
            else:
                self._dropped[why.value] += count
        fate = "refused, and kept in the ledger as dead letters" if kept else "lost"
        text = self.failed(f"generations are {fate} ({why.value})", reason)
        if self.on_drop is not None:
            with guard:
                self.on_drop(self._name, why.value, count)
        return text

    def note(self, what: str, reason: str) -> None:
        """Log something once per destination and cause."""
        with self._lock:
            cause = (what, reason)
            if cause in self._told or len(self._told) == _MOST_CAUSES:
                return
            self._told.add(cause)
        _log.warning("destination %s: %s: %s", self._name, what, reason)

    def failed(self, what: str, reason: str) -> str:
        """Remember an error, and log what follows from it; returns the reason as it may be shown."""
        text = redact(reason)[:_LONGEST]
        with self._lock:
            self._last_error = text
        self.note(what, text)
        return text
