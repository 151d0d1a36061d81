"""Received records wait here until the processes of this machine have written what they captured to the ledger.

Broadcast may tell of a call before its own process does, which waits for OpenRouter's record of it. Whoever comes
second must know of the first: so a received record is handed on only when a captured one would be in the ledger by now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve._guard import guard
from orobserve._identity import key_of
from orobserve.delivery.letters import weigh
from orobserve.delivery.worker import Worker
from orobserve.ledger.database import LedgerError
from orobserve.ledger.query import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve.generation import Generation
    from orobserve.ledger.writer import Ledger

_ROOM_PAUSE = 0.05  # seconds between two looks whether there is room


class Captured:
    """Holds records back, and sorts out those of calls that are in the ledger.

    Args:
        ledger: which these processes write, too; its clock is the time here.
        hold: seconds after a call's end in which it is written there.
        hand_on: takes a record of a call that was not captured.
        found: takes a record of one that was, and the one in the ledger.
        has_room: tells whether there is room for a record where it is handed on to.
    """

    def __init__(
        self,
        ledger: Ledger,
        hold: float,
        hand_on: Callable[[Generation], None],
        found: Callable[[Generation, Generation], None],
        has_room: Callable[[Generation], bool],
    ) -> None:
        self._path = ledger.path
        self._hold = hold
        self._hand_on = hand_on
        self._found = found
        self._room = has_room
        self._clock = ledger.clock
        self._worker = Worker(
            "orobserve-captured",
            take=lambda record: record,
            deliver=self._sort,
            finish=lambda: None,
            clock=ledger.clock,
        )
        self._worker.linger = 0.0

    def has_room(self, record: Generation) -> bool:
        """Tell whether a record may be put."""
        return self._worker.has_room(weigh(record))

    def put(self, record: Generation) -> None:
        """Hold a record back."""
        self._worker.put(record, weigh(record))

    def close(self, timeout: float) -> int:
        """Sort out what is held back at once, and take no more; returns how many records there was no time for."""
        deadline = self._clock.now() + timeout
        self._worker.close(deadline)
        return len(self._worker.join(deadline)) if self._worker.started else 0

    def _sort(self, batch: list[Generation]) -> None:
        urges = self._worker.urges
        due = max(record.timing.ended_at for record in batch) + self._hold * 1e9
        wait = (due - self._clock.epoch()) / 1e9
        if 0 < wait <= self._hold and not self._worker.closing:  # a call that ends in the future has another clock
            self._worker.pause(wait, urges)
        known = self._known(batch)
        for record in batch:
            captured = known.get(key_of(record))
            with guard:
                self._wait_for_room(record)
                if captured is None:
                    self._hand_on(record)
                else:
                    self._found(record, captured)

    def _known(self, batch: list[Generation]) -> dict[str, Generation]:
        keys = {key_of(record) for record in batch if record.id}
        try:
            with Reader(self._path) as reader:
                found = {key: reader.call(key) for key in keys}
        except LedgerError:  # there is none yet
            return {}
        return {key: record for key, record in found.items() if record is not None}

    def _wait_for_room(self, record: Generation) -> None:
        while not self._room(record) and not self._worker.expired:
            if not self._worker.pause(_ROOM_PAUSE, self._worker.urges):
                return
