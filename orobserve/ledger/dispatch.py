"""From the ledger to the destinations: what is written is handed on, and what was left unsent is taken up again.

All of it is done on the ledger's thread, except that destinations say from theirs what became of a record. A process
that dies loses no more than such a word: then a record is sent twice.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from orobserve._guard import guard
from orobserve.delivery.letters import Fate, weigh
from orobserve.ledger import codec, database, outbox
from orobserve.ledger.transactions import transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orobserve.delivery.clock import Clock
    from orobserve.delivery.destination import Destination
    from orobserve.delivery.hub import Hub
    from orobserve.delivery.letters import Receipt
    from orobserve.generation import Generation
    from orobserve.ledger.outbox import Claim

_LINGER = 0.5  # seconds that the first mark waits for others
_PAUSE = 0.2  # seconds before the next try while others write
_REST = 60.0  # seconds between two looks for what other processes have left
_RENEWAL = 30.0  # seconds after which a process that has something in hand says that it lives
_PROBE = 30.0  # seconds between two tries at a destination that does not answer, while nothing new comes
_BATCHES = 4  # of what was left that are in hand at once, beside what is new
_SECOND = 10**9


class _Lane:
    """One destination, as the outbox sees it."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.number = 0  # in the file
        self.reset()

    def reset(self) -> None:
        self.backlog = 0  # rows in hand that were left by somebody
        self.due_in: float | None = 0.0  # seconds until more is due; 0 or less: more is than could be taken in hand
        self.probed_at = float("-inf")

    @property
    def is_short(self) -> bool:
        """Whether more was due than could be taken into hand."""
        return self.due_in is not None and self.due_in <= 0

    def wanted(self, now: float) -> int:
        """Return how many rows that were left may be taken into hand now."""
        destination = self.destination
        size = destination.exporter.LIMITS.items
        if not destination.failing:
            return min(destination.spare, max(0, _BATCHES * size - self.backlog))
        is_at_rest = not self.backlog and not destination.queued and now >= self.probed_at + _PROBE
        return min(destination.spare, size) if is_at_rest else 0


Posted: TypeAlias = "list[tuple[_Lane, Receipt]]"
_Mark: TypeAlias = "tuple[_Lane, Sequence[Receipt], Fate, str]"


class Dispatch:
    """Hands records on to destinations, and notes what becomes of them.

    Args:
        path: of the ledger.
        hub: the destinations.
        clock: the time, the same as theirs.
        nudge: has `run` called within so many seconds.
        suspended: tells that somebody else delivers to the destinations.
    """

    def __init__(
        self,
        path: Path,
        hub: Hub,
        *,
        clock: Clock,
        nudge: Callable[[float], None],
        suspended: Callable[[], bool] = lambda: False,
    ) -> None:
        self._path = path
        self._hub = hub
        self._clock = clock
        self._nudge = nudge
        self._suspended = suspended
        self.rests = False  # takes up no more of what was left
        self._lanes = [_Lane(destination) for destination in hub.destinations]
        for lane in self._lanes:
            lane.destination.outcomes.on_settled = partial(self._settled, lane)
        self.reset()

    def reset(self) -> None:
        """Begin anew, in a forked child or with another file: what was in hand is not ours."""
        self._owner = secrets.randbits(62)
        self._marks: deque[_Mark] = deque()
        self.in_hand = 0  # rows
        for lane in self._lanes:
            lane.reset()

    @property
    def is_done(self) -> bool:
        """Whether nothing is in hand, and nothing was due at the last look."""
        return not self.in_hand and not any(lane.is_short for lane in self._lanes)

    def begin(self, connection: sqlite3.Connection, now: int) -> None:
        """Prepare a transaction in which calls are posted."""
        if not self._suspended():
            outbox.live(connection, self._owner, now)
            for lane in self._lanes:
                lane.number = outbox.address(connection, lane.destination.name, lane.destination.place)

    def post(
        self, connection: sqlite3.Connection, key: str, version: int, *, is_known: bool, is_late: bool, now: int
    ) -> Posted:
        """Note in a call's own transaction who is to get it; returns who gets it from this process, once it is written.

        Args:
            connection: as `begin` has prepared it.
            key: the call's.
            version: its `calls.id`.
            is_known: the ledger had the call already.
            is_late: the record completes one that was handed on before.
            now: nanoseconds since the epoch.
        """
        posted: Posted = []
        for lane in () if self._suspended() else self._lanes:
            updates = lane.destination.exporter.UPDATES
            if is_known and outbox.is_posted(connection, key, lane.number):
                if updates:
                    outbox.renew(connection, key, version, lane.number, now)
                    self._nudge(_LINGER)
            elif updates or not is_late:
                posted.append((lane, outbox.post(connection, key, version, lane.number, self._owner, now)))
        return posted

    def hand_on(self, generation: Generation, posted: Posted) -> None:
        """Hand a record that is written on to those it is posted to."""
        weight = weigh(generation)
        self.in_hand += len(posted)
        for lane, receipt in posted:
            with guard:
                lane.destination.offer(generation, weight, receipt)

    def pass_by(self, generation: Generation) -> None:
        """Hand a record that cannot be written on to the destinations, as without a ledger."""
        if not self._suspended():
            self._hub.hand_on(generation)

    def lost(self, counts: dict[str, int]) -> None:
        """Count calls that were removed from the ledger before they could be sent."""
        for lane in self._lanes:
            if count := counts.get(lane.destination.name, 0):
                lane.destination.outcomes.removed(count)

    def run(self) -> float:
        """Note what has become of records, and take up what was left; returns the seconds until that is due again."""
        is_resting = self.rests or self._suspended()
        return self._update(lambda lane: 0 if is_resting else lane.wanted(self._clock.now()))

    def finish(self) -> None:
        """Note what is left to be noted, and take up no more. What is still being sent stays in hand for a while."""
        self._update(lambda _lane: 0)

    def _update(self, wanted: Callable[[_Lane], int]) -> float:
        marks = [self._marks.popleft() for _ in range(len(self._marks))]
        if not marks and not self._path.exists():
            return _REST
        self._count(marks, -1)
        try:
            claims = self._exchange(marks, {lane: wanted(lane) for lane in self._lanes})
        except BaseException as error:
            self._marks.extendleft(reversed(marks))
            self._count(marks, 1)
            if isinstance(error, sqlite3.Error) and database.is_passing(error):
                return _PAUSE
            raise
        for lane, found in claims.items():
            for each in found:
                self._take_up(lane, each)
        return self._pause()

    def _count(self, marks: Sequence[_Mark], sign: int) -> None:
        for lane, receipts, _, _ in marks:
            mine = [receipt for receipt in receipts if receipt.owner == self._owner]
            self.in_hand += sign * len(mine)
            lane.backlog += sign * sum(receipt.is_backlog for receipt in mine)

    def _exchange(self, marks: Sequence[_Mark], wanted: dict[_Lane, int]) -> dict[_Lane, list[Claim]]:
        """Write marks, and claim what is wanted, in one transaction."""
        claims: dict[_Lane, list[Claim]] = {}
        with database.writing(self._path) as connection, transaction(connection):
            now = self._clock.epoch()
            self.begin(connection, now)
            for lane in self._lanes:
                outbox.settle(connection, lane.number, [mark[1:] for mark in marks if mark[0] is lane], now)
                limit = wanted[lane]
                claims[lane] = outbox.claim(connection, lane.number, self._owner, limit, now) if limit else []
                due_at = outbox.next_due(connection, lane.number)
                lane.due_in = None if due_at is None else (due_at - now) / _SECOND
            if not self.in_hand and not any(claims.values()):
                outbox.leave(connection, self._owner, now)
        return claims

    def _take_up(self, lane: _Lane, claim: Claim) -> None:
        self.in_hand += 1
        lane.backlog += 1
        if lane.destination.failing:
            lane.probed_at = self._clock.now()
        with guard:
            generation = codec.decode(claim.record)
            lane.destination.offer(generation, weigh(generation), claim.receipt)
            return
        self._settled(lane, [claim.receipt], Fate.DEAD, "the ledger's record cannot be read")

    def _pause(self) -> float:
        pause = _RENEWAL if self.in_hand else _REST
        for lane in self._lanes:
            if lane.due_in is not None and lane.due_in > 0:
                pause = min(pause, lane.due_in)
            elif lane.due_in is not None and lane.destination.failing:
                pause = min(pause, max(_PAUSE, lane.probed_at + _PROBE - self._clock.now()))
        return pause

    def _settled(self, lane: _Lane, receipts: Sequence[Receipt], fate: Fate, reason: str) -> None:
        self._marks.append((lane, receipts, fate, reason))
        has_moved = fate is not Fate.UNTRIED  # what there was no room for is not worth another look at once
        self._nudge(0.0 if lane.is_short and receipts[0].is_backlog and has_moved else _LINGER)
