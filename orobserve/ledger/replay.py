"""What people do with the outbox: fill it for a destination, send what is in it now, look at the dead, discard."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orobserve.delivery.hub import Hub
from orobserve.ledger import database, outbox
from orobserve.ledger.dispatch import Dispatch
from orobserve.ledger.filters import where
from orobserve.ledger.query import Reader
from orobserve.ledger.transactions import transaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orobserve.delivery.clock import Clock
    from orobserve.delivery.destination import Destination
    from orobserve.delivery.state import State
    from orobserve.ledger.filters import Filter

_CHUNK = 5_000  # rows that are made in one transaction, so that others may write in between
_LAST = 2.0  # seconds that what is being sent has to be done when it is interrupted
_OF_NAME = "destination IN (SELECT id FROM destinations WHERE name = :name)"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A call that a destination has refused, and why; `started_at` in nanoseconds since the epoch."""

    destination: str
    started_at: int
    model: str | None
    generation_id: str | None
    key: str
    reason: str | None


def post(path: Path, destination: Destination, wanted: Filter, now: int) -> int:
    """Have calls of the ledger sent to a destination, whether it has had them or not; returns how many.

    Those that a process has in hand are left to it.

    Args:
        path: of the ledger.
        destination: who gets them.
        wanted: which calls.
        now: nanoseconds since the epoch.

    Raises:
        LedgerError: the ledger cannot be used.
        sqlite3.Error: it cannot be written.
    """
    condition, values = where(wanted)
    found = f"""SELECT key, id FROM calls WHERE id > :last AND id <= :end AND {condition}
        ORDER BY id LIMIT {_CHUNK}"""  # noqa: S608 - names of ours
    posted = last = 0
    with Reader(path) as reader:
        end = reader.cursor()
    while True:
        with database.writing(path) as connection, transaction(connection):
            number = outbox.address(connection, destination.name, destination.place)
            calls = connection.execute(found, {**values, "last": last, "end": end}).fetchall()
            made = connection.executemany(
                """INSERT INTO outbox (key, destination, version, due_at) VALUES (?, ?, ?, ?)
                ON CONFLICT (key, destination) DO UPDATE
                SET dead = 0, reason = NULL, attempts = 0, due_at = excluded.due_at WHERE owner IS NULL""",
                [(key, number, version, now) for key, version in calls],
            )
        if not calls:
            return posted
        posted += made.rowcount
        last = calls[-1][1]


def count(path: Path, wanted: Filter) -> int:
    """Return how many calls `post` would have sent.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    condition, values = where(wanted)
    with database.reading(path) as connection:
        return int(connection.execute(f"SELECT count(*) FROM calls WHERE {condition}", values).fetchone()[0])  # noqa: S608


def due(path: Path, name: str, *, dead: bool) -> int:
    """Return how many calls `collect` would have sent.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    asked = f"SELECT count(*) FROM outbox WHERE owner IS NULL AND dead = :dead AND {_OF_NAME}"  # noqa: S608 - ours
    with database.reading(path) as connection:
        return int(connection.execute(asked, {"name": name, "dead": dead}).fetchone()[0])


def collect(path: Path, destination: Destination, now: int, *, dead: bool) -> int:
    """Have what is due, or dead, for destinations of one name sent to this one at once; returns how many calls.

    So the rows of a destination that has been set up differently since (a new key, say) are not left behind.

    Args:
        path: of the ledger.
        destination: who gets them.
        now: nanoseconds since the epoch.
        dead: the dead letters rather than what is due.

    Raises:
        LedgerError: the ledger cannot be used.
        sqlite3.Error: it cannot be written.
    """
    which = f"owner IS NULL AND dead = :dead AND {_OF_NAME}"
    with database.writing(path) as connection, transaction(connection):
        number = outbox.address(connection, destination.name, destination.place)
        values = {"name": destination.name, "dead": dead, "number": number, "now": now}
        moved = f"UPDATE OR IGNORE outbox SET destination = :number WHERE {which}"  # noqa: S608 - ours
        connection.execute(moved, values)
        connection.execute(f"DELETE FROM outbox WHERE {which} AND destination <> :number", values)  # noqa: S608 - ours
        revived = "UPDATE outbox SET dead = 0, reason = NULL, attempts = 0, due_at = :now"
        found = connection.execute(f"{revived} WHERE {which} AND destination = :number", values)
        return found.rowcount


def discard(path: Path, name: str, *, due: bool) -> int:
    """Remove the dead letters of the destinations of one name, and with `due` what is to be sent; returns how many.

    Raises:
        LedgerError: the ledger cannot be used.
        sqlite3.Error: it cannot be written.
    """
    which = "owner IS NULL" if due else "dead = 1"
    with database.writing(path) as connection, transaction(connection):
        return connection.execute(f"DELETE FROM outbox WHERE {which} AND {_OF_NAME}", {"name": name}).rowcount  # noqa: S608


def dead_letters(path: Path, name: str | None = None) -> list[DeadLetter]:
    """Return what destinations have refused, newest call first: of one name, or of all.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    with database.reading(path) as connection:
        found = connection.execute(
            """SELECT destinations.name, started_at, model, generation_id, key, outbox.reason
            FROM outbox JOIN destinations ON destination = destinations.id JOIN calls USING (key)
            WHERE dead = 1 AND (:name IS NULL OR destinations.name = :name) ORDER BY started_at DESC, outbox.id""",
            {"name": name},
        ).fetchall()
    names = ("destination", "started_at", "model", "generation_id", "key", "reason")
    return [DeadLetter(**dict(zip(names, each, strict=True))) for each in found]


class Replay:
    """Sends what is due for one destination, as its own process would.

    Args:
        path: of the ledger.
        destination: its clock is `clock`.
        clock: the time.
    """

    def __init__(self, path: Path, destination: Destination, clock: Clock) -> None:
        self._destination = destination
        self._clock = clock
        self._wake = threading.Condition()
        self._is_nudged = False
        self._dispatch = Dispatch(path, Hub([destination], clock=clock), clock=clock, nudge=self._nudge)

    def run(self, advance: Callable[[int], None]) -> State:
        """Send until nothing is due, or the destination does not answer for as long as its sender has patience.

        Args:
            advance: called with the number of calls that are settled since the last time.

        Raises:
            LedgerError: the ledger cannot be used.
            sqlite3.Error: it cannot be written.
        """
        done = 0
        try:
            while True:
                pause = self._dispatch.run()
                settled = _settled(self._destination.state)
                advance(settled - done)
                done = settled
                if self._dispatch.is_done or (self._destination.failing and not self._dispatch.in_hand):
                    return self._destination.state
                self._wait(pause)
        finally:
            self._destination.close(self._clock.now())  # what is queued stays due
            self._destination.join(self._clock.now() + _LAST)
            self._dispatch.finish()

    def _nudge(self, _seconds: float) -> None:
        with self._wake:
            self._is_nudged = True
            self._wake.notify()

    def _wait(self, seconds: float) -> None:
        with self._wake:
            if not self._is_nudged:
                self._clock.wait(self._wake, seconds)
            self._is_nudged = False


def _settled(state: State) -> int:
    return state.delivered + state.rejected + state.withheld + sum(state.dropped.values())
