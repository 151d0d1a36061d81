"""How many calls each process has in flight: noted beside the ledger, off the callers' threads.

A caller only counts, and wakes a thread where none was in flight. That thread writes at most once a second, and not
before calls have been in flight for about a second. What a process that was killed has noted is soon taken for stale.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from orobserve._guard import guard
from orobserve.delivery.clock import Clock
from orobserve.ledger import database

if TYPE_CHECKING:
    from pathlib import Path

_TABLE = """CREATE TABLE IF NOT EXISTS in_flight (
  process TEXT PRIMARY KEY, pid INTEGER NOT NULL, at INTEGER NOT NULL, calls INTEGER NOT NULL
) WITHOUT ROWID"""
_STEP = 1.0  # seconds between two looks
_AGAIN = 3 * 10**9  # nanoseconds after which the same number is noted again: it is still true
_STALE = 8 * 10**9  # after which it is no longer taken for true
_all: weakref.WeakSet[Flights] = weakref.WeakSet()


class InFlight(NamedTuple):
    """How many calls are in flight, and in how many processes."""

    calls: int
    processes: int


class Flights:
    """Counts the calls of this process, for others to see.

    Args:
        path: of the ledger.
        clock: the time.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or Clock()
        self._closed = False
        self.reset()
        _all.add(self)

    def reset(self) -> None:
        """Begin anew, in a forked child: what is in flight is the parent's."""
        self._lock = threading.RLock()  # re-entrant: the garbage collector may end a call while it is held
        self._changed = threading.Condition(self._lock)
        self._process = uuid4().hex
        self._count = 0
        self._asleep = True
        self._thread: threading.Thread | None = None
        self._noted, self._noted_at = 0, 0

    def begin(self) -> None:
        """Note a call in flight."""
        with self._lock:
            self._count += 1
            if self._asleep and not self._closed:
                self._asleep = False
                with guard:
                    self._wake()

    def end(self) -> None:
        """Note that a call is no longer in flight."""
        with self._lock:
            self._count -= 1

    def close(self) -> None:
        """Note nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wake(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="orobserve-flights", daemon=True)
            with suppress(RuntimeError):  # the interpreter is about to end
                thread.start()
                self._thread = thread
        else:
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._closed:
                    self._clock.wait(self._changed, _STEP)
                count = 0 if self._closed else self._count
            with guard:
                self._note(count)
            with self._changed:
                while not self._count and not self._noted and not self._closed:
                    self._asleep = True
                    self._clock.wait(self._changed, None)
                if self._closed and not self._noted:
                    return

    def _note(self, count: int) -> None:
        now = self._clock.epoch()
        if count == self._noted and (not count or now - self._noted_at < _AGAIN):
            return
        if self._closed:
            self._noted = 0  # the only attempt: it is soon stale anyway
        with suppress(database.LedgerError, sqlite3.Error, OSError):  # others are writing, or the ledger tells of it
            with database.writing(self._path) as connection:
                connection.execute(_TABLE)
                connection.execute("DELETE FROM in_flight WHERE at < ? OR process = ?", (now - _STALE, self._process))
                if count:
                    row = (self._process, os.getpid(), now, count)
                    connection.execute("INSERT INTO in_flight VALUES (?, ?, ?, ?)", row)
            self._noted, self._noted_at = count, now


def in_flight(path: Path, now: int) -> InFlight:
    """Return what the processes of a ledger have noted last.

    Args:
        path: of the ledger.
        now: nanoseconds since the epoch.

    Raises:
        LedgerError: there is none, or it cannot be read.
    """
    with database.reading(path) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'in_flight'").fetchone():
            return InFlight(0, 0)
        sql = "SELECT ifnull(sum(calls), 0), count(*) FROM in_flight WHERE at >= ?"
        return InFlight(*connection.execute(sql, (now - _STALE,)).fetchone())


def _after_fork() -> None:
    for flights in _all:
        flights.reset()


if hasattr(os, "register_at_fork"):  # pragma: no branch - it is missing on Windows
    os.register_at_fork(after_in_child=_after_fork)
