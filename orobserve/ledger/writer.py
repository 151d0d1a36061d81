"""From the caller's thread to the file: a queue, and a thread that writes what is in it; a destination's own worker.

Nothing that goes wrong here reaches the application: what cannot be written is counted and logged, and the destinations
get it all the same.
"""

from __future__ import annotations

import math
import os
import sqlite3
import weakref
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from orobserve._guard import guard
from orobserve.delivery import privacy
from orobserve.delivery.clock import Clock
from orobserve.delivery.letters import weigh
from orobserve.delivery.state import Drop, State, Tally
from orobserve.delivery.worker import Worker
from orobserve.generation import changed
from orobserve.ledger import codec, database
from orobserve.ledger.dispatch import Dispatch
from orobserve.ledger.store import Keep, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orobserve.delivery.hub import Hub
    from orobserve.delivery.privacy import Mask
    from orobserve.generation import Generation
    from orobserve.ledger.dispatch import Posted

    Entry: TypeAlias = tuple[Generation, Generation, str | bytes]  # as it came, as it is stored, and that as JSON

NAME = "ledger"
_BATCH = 500  # records in a transaction
_LINGER = 0.5  # seconds that the first of them waits for others
_PATIENCE = 60.0  # seconds that a batch waits for its turn among other processes
_PAUSE = 0.05
_REST = 30.0  # seconds before the next try to note what was delivered, where the file is at fault
_NO_TIME = "there was no time left to write them"
_all: weakref.WeakSet[Ledger] = weakref.WeakSet()


class Ledger:
    """Writes every record to a file, on a thread that the first one starts.

    Args:
        path: of the file.
        keep: how much is kept.
        content: whether what was said is stored.
        masks: what it goes through before that.
        on_drop: told of every loss: the name, the reason (a value of `Drop`), how many.
        clock: the time.
    """

    def __init__(
        self,
        path: Path,
        keep: Keep,
        *,
        content: bool = True,
        masks: Sequence[Mask] = (),
        on_drop: Callable[[str, str, int], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.path = path
        self._keep, self._content, self._masks = keep, content, tuple(masks)
        self.clock = clock or Clock()
        self._latest = math.inf  # until when a batch waits for its turn at most
        self._dispatch: Dispatch | None = None
        self._store = Store(path, keep)
        self._tally = Tally(NAME, NAME)
        self._tally.on_drop = on_drop
        self._worker: Worker[Generation] = Worker(
            f"orobserve-{NAME}", take=lambda given: given, deliver=self._deliver, finish=self._finish, clock=self.clock
        )
        self._worker.size, self._worker.linger = _BATCH, _LINGER
        _all.add(self)

    @property
    def state(self) -> State:
        """The counters as they stand; `delivered` is written."""
        return self._tally.state(self._worker.queued)

    @property
    def in_hand(self) -> int:
        """How many deliveries have been handed to destinations of this process, and are not settled."""
        return self._dispatch.in_hand if self._dispatch is not None else 0

    def deliver_to(self, hub: Hub, suspended: Callable[[], bool] = lambda: False) -> None:
        """Hand what is written on to destinations from now on, and keep what they have not taken yet.

        Args:
            hub: the destinations.
            suspended: tells that somebody else delivers to them.
        """
        self._dispatch = Dispatch(self.path, hub, clock=self.clock, nudge=self._worker.nudge, suspended=suspended)
        self._worker.chore = partial(self._note, self._dispatch)
        self._store = Store(self.path, self._keep, self._dispatch)

    def start(self) -> None:
        """Take up what earlier processes have left unsent, without waiting for the first record."""
        if self._dispatch is not None:
            self._worker.start()

    def rest(self, patience: float) -> None:
        """Take up no more of what was left, and wait no longer than so many seconds for others: the process ends."""
        self._latest = self.clock.now() + patience
        if self._dispatch is not None:
            self._dispatch.rests = True

    def offer(self, generation: Generation) -> None:
        """Queue a record; never waits. A late one, or one of a call that is known, completes what is stored."""
        lost = self._worker.put(generation, weigh(generation))
        if lost is not None:
            self._tally.dropped(lost, 1, "the queue is full" if lost is Drop.QUEUE_FULL else "the ledger is closed")
            self._pass_by([generation])

    def has_room(self, generation: Generation) -> bool:
        """Tell whether the queue has room: for those who can make their sender wait."""
        return self._worker.has_room(weigh(generation))

    def flush(self, timeout: float) -> bool:
        """Write what is queued; returns False if some of it is neither written nor dropped after `timeout` seconds."""
        return self._worker.wait(self._worker.hurry(), self.clock.now() + timeout)

    def close(self, timeout: float) -> None:
        """Flush, then stop for good; what is not written after `timeout` seconds is dropped and counted."""
        deadline = self.clock.now() + timeout
        self._worker.close(deadline)
        left = self._worker.join(deadline) if self._worker.started else []
        if left:
            self._tally.dropped(Drop.SHUTDOWN, len(left), _NO_TIME)

    def after_fork(self) -> None:
        """Begin anew in a forked child: what is queued is the parent's."""
        self._worker.reset()
        self._tally.reset()
        if self._dispatch is not None:
            self._dispatch.reset()
        self._store = Store(self.path, self._keep, self._dispatch)

    def _deliver(self, batch: list[Generation]) -> None:
        entries = []
        for generation in batch:
            entry = self._encode(generation)
            if entry is None:
                self._pass_by([generation])
            else:
                entries.append(entry)
        until = self.clock.now() + _PATIENCE
        parts = [entries] if entries else []
        while parts:
            part = parts.pop()
            if self._write(part, until):
                continue
            if len(part) > 1:  # one record that cannot be written does not take the others with it
                parts += [[each] for each in reversed(part)]
            else:
                self._tally.dropped(Drop.ENCODE, 1, "a record cannot be written; see the log")
                self._pass_by([part[0][0]])

    def _write(self, part: list[Entry], until: float) -> bool:
        """Write records, or drop them where the file is at fault; returns False if one of them is."""
        is_done = False
        posted: list[Posted] | None = None
        with guard:
            while not is_done:
                urges = self._worker.urges
                posted, error = self._attempt(part)
                is_passing = isinstance(error, sqlite3.Error) and database.is_passing(error)
                is_late = self.clock.now() >= min(until, self._latest)
                is_done = not is_passing or is_late or not self._worker.pause(_PAUSE, urges)
            if error is None:
                self._tally.delivered(len(part), self.clock.epoch())
            else:
                self._drop(len(part), error)
        if is_done:
            self._hand_on([generation for generation, _, _ in part], posted)
        return is_done

    def _hand_on(self, generations: list[Generation], posted: list[Posted] | None) -> None:
        if posted is None:
            self._pass_by(generations)
        elif self._dispatch is not None:
            for generation, each in zip(generations, posted, strict=True):
                self._dispatch.hand_on(generation, each)

    def _pass_by(self, generations: list[Generation]) -> None:
        if self._dispatch is not None:
            for generation in generations:
                self._dispatch.pass_by(generation)

    def _note(self, dispatch: Dispatch) -> float:
        try:
            return dispatch.run()
        except (sqlite3.Error, OSError, database.LedgerError) as error:
            self._tally.failed("what was delivered cannot be noted, and may be sent again", _said(error))
            return _REST

    def _finish(self) -> None:
        if self._dispatch is not None:
            with guard:
                self._dispatch.finish()

    def _attempt(self, part: list[Entry]) -> tuple[list[Posted] | None, Exception | None]:
        """Try once; returns what is wrong with the file. What is wrong with a record is raised."""
        try:
            return self._store.write([(stored, written) for _, stored, written in part], self.clock.epoch()), None
        except (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.DataError):
            raise
        except (sqlite3.Error, OSError, database.LedgerError) as error:
            return None, error

    def _drop(self, count: int, error: Exception) -> None:
        why = Drop.SHUTDOWN if self._worker.closing else Drop.REJECTED
        self._tally.dropped(why, count, f"{self.path} cannot be written: {_said(error)}")

    def _encode(self, generation: Generation) -> Entry | None:
        """Return a record with its JSON; without what was said, where that has none (nested without end, say)."""
        stored = None
        with guard:
            stored = privacy.mask(generation, self._masks, ()) if self._content else privacy.strip(generation)
        if stored is None:
            self._tally.dropped(Drop.POLICY, 1, "a mask raised an error")
            return None
        for each in (stored, changed(stored, content=None)):
            with suppress(ValueError, RecursionError):
                return generation, each, codec.encode(each)
        self._tally.dropped(Drop.ENCODE, 1, "it cannot be written as JSON")
        return None


def _said(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _after_fork() -> None:
    for ledger in _all:
        ledger.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - it is missing on Windows
    os.register_at_fork(after_in_child=_after_fork)
