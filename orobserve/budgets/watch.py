"""Notices when a threshold is reached: after every batch of finished calls, on a thread that the first of them starts.

With a ledger the spend is what the ledger holds, of all processes and from before a restart; without one it is what
this process has seen since its start. Nothing here is on the way of a call.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

from orobserve._guard import guard
from orobserve.budget_settings import bounds
from orobserve.budgets.alert import Alert
from orobserve.budgets.fired import Mark, claim
from orobserve.budgets.notices import Notices
from orobserve.budgets.places import Place, Seen, Spent, stored
from orobserve.delivery.clock import Clock
from orobserve.delivery.worker import Worker
from orobserve.generation import changed
from orobserve.ledger import database
from orobserve.ledger.query import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from orobserve.budget_settings import Budget
    from orobserve.generation import Generation
    from orobserve.ledger.writer import Ledger

_LINGER = 1.0  # seconds that calls wait for others: by then the ledger has written them by itself
_PATIENCE = 60.0  # seconds for the ledger to write them, and for the turn among other processes
_PAUSE = 0.05
_REST = 19  # times as long as the questions took: they are to take a twentieth of a core at most
_LONGEST_REST = 60.0
_HOUR = 3600 * 10**9  # nanoseconds
_KEPT = 24 * _HOUR  # that a period is remembered after its end: for costs that are told late
_SHOWN = 8  # digits of a key's hash
_all: weakref.WeakSet[Watch] = weakref.WeakSet()


class Watch:
    """Watches what is spent.

    Args:
        budgets: what may be.
        labels: the user's names of keys, by their hash.
        ledger: what is shared with other processes; None: this one is alone.
        on_drop: told of calls that were not looked at: `budgets`, the reason (a value of `Drop`), how many.
        clock: the time.
        notices: who tells.
    """

    def __init__(
        self,
        budgets: Sequence[Budget],
        labels: Mapping[str, str],
        *,
        ledger: Ledger | None = None,
        on_drop: Callable[[str, str, int], None] = lambda *_: None,
        clock: Clock | None = None,
        notices: Notices | None = None,
    ) -> None:
        self._budgets, self._labels, self._ledger, self._on_drop = tuple(budgets), labels, ledger, on_drop
        self._clock = clock or Clock()
        self._notices = notices or Notices(self._clock)
        self._worker = Worker(
            "orobserve-budgets", take=lambda call: call, deliver=self._look, finish=lambda: None, clock=self._clock
        )
        self._worker.size, self._worker.linger = self._worker.capacity, _LINGER
        self._forget()
        _all.add(self)

    def _forget(self) -> None:
        self._seen = Seen(self._budgets, self._labels)
        self._told: set[tuple[Place, float]] = set()
        self._hour = 0  # in which past periods were forgotten last
        self._rest = (0.0, 0)  # until when no further questions are asked, unless somebody is in a hurry

    def offer(self, generation: Generation) -> None:
        """Take a finished call, or what is learnt of one later; never waits."""
        light = generation if generation.content is None else changed(generation, content=None)
        lost = self._worker.put(light, 0)
        if lost is not None:
            self._on_drop("budgets", lost.value, 1)

    def look(self, timeout: float) -> bool:
        """Look at all that was offered; returns False if that took longer than `timeout` seconds."""
        return self._worker.wait(self._worker.hurry(), self._clock.now() + timeout)

    def flush(self, timeout: float) -> bool:
        """Look, and tell of what is reached; returns False if that took longer than `timeout` seconds."""
        deadline = self._clock.now() + timeout
        return self.look(timeout) and self._notices.wait(deadline)

    def close(self, timeout: float) -> None:
        """Flush, then stop for good."""
        deadline = self._clock.now() + timeout
        self._worker.close(deadline)
        if self._worker.started:
            self._worker.join(deadline)
        self._notices.close(deadline)

    def after_fork(self) -> None:
        """Begin anew in a forked child: what was seen so far is the parent's."""
        self._worker.reset()
        self._notices.reset()
        self._forget()

    def _look(self, batch: list[Generation]) -> None:
        rest, urges = self._rest
        self._worker.pause(rest - self._clock.now(), urges)
        places: set[Place] = set()
        for call in batch:
            with guard:
                places.update(self._seen.take(call))
        self._tidy(self._clock.epoch())
        began = self._clock.now()
        found = self._spent(places)
        for alert in self._due(found):
            self._notices.put(alert)
        now = self._clock.now()
        self._rest = now + min(_LONGEST_REST, _REST * (now - began)), self._worker.urges

    def _tidy(self, now: int) -> None:
        """Forget, once an hour, what is known of periods that are over: there may be a sum for each user in each."""
        if now // _HOUR == self._hour:
            return

        def is_over(place: Place) -> bool:
            return bounds(self._budgets[place.budget].period, place.start)[1] < now - _KEPT

        self._hour = now // _HOUR
        self._seen.forget(is_over)
        self._told = {each for each in self._told if not is_over(each[0])}

    def _spent(self, places: set[Place]) -> dict[Place, Spent]:
        ledger = self._ledger
        if ledger is not None and ledger.flush(_PATIENCE):
            try:
                with Reader(ledger.path) as reader:
                    return stored(reader, places, self._budgets, self._labels)
            except (database.LedgerError, sqlite3.Error):
                pass  # the ledger has logged why; what this process has seen is better than no alert
        return self._seen.spent(places)

    def _due(self, found: Mapping[Place, Spent]) -> list[Alert]:
        """Return the alerts that are to be given now, and by this process: where several are reached, the highest."""
        reached = [
            (place, threshold)
            for place in sorted(found, key=lambda each: (each.budget, each.start, each.group or ""))
            for threshold in self._budgets[place.budget].thresholds
            if (place, threshold) not in self._told
            and found[place].cost >= self._budgets[place.budget].amount * Decimal(repr(threshold))
        ]
        if not reached:
            return []
        self._told |= set(reached)
        won = set(self._claimed([self._mark(*each) for each in reached]))
        highest = dict(reached)  # thresholds ascend
        return [self._alert(*each, found[each[0]]) for each in highest.items() if self._mark(*each) in won]

    def _claimed(self, marks: list[Mark]) -> list[Mark]:
        if self._ledger is None:
            return marks
        until, urges = self._clock.now() + _PATIENCE, self._worker.urges
        while (found := _attempt(self._ledger.path, marks, self._clock.epoch())) is None:
            if self._clock.now() >= until or not self._worker.pause(_PAUSE, urges):
                return marks  # told twice is better than never
        return found

    def _mark(self, place: Place, threshold: float) -> Mark:
        budget = self._budgets[place.budget]
        known = "|".join([budget.name, f"{budget.amount:f}", budget.period, budget.by or "", budget.value or ""])
        return Mark(known, place.group or "", place.start, repr(threshold))

    def _alert(self, place: Place, threshold: float, spent: Spent) -> Alert:
        budget, group = self._budgets[place.budget], place.group
        if budget.by == "key" and group is not None:
            group = self._labels.get(group, group[:_SHOWN])
        return Alert(
            budget=budget,
            period_start=datetime.fromtimestamp(place.start // 10**9, timezone.utc),
            threshold=threshold,
            spent=spent.cost,
            amount=budget.amount,
            group=group,
            unpriced=spent.unpriced,
        )


def _attempt(path: Path, marks: list[Mark], now: int) -> list[Mark] | None:
    """Claim alerts; None: others are writing. Where the ledger cannot be written, each process tells for itself."""
    try:
        return claim(path, marks, now)
    except (database.LedgerError, sqlite3.Error, OSError) as error:
        return None if isinstance(error, sqlite3.Error) and database.is_passing(error) else marks


def _after_fork() -> None:
    for watch in _all:
        watch.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - it is missing on Windows
    os.register_at_fork(after_in_child=_after_fork)
