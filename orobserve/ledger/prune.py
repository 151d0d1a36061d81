"""Removes calls from a ledger while others write to it: a few at a time, each time after giving way to them.

What is removed is gone: its bytes are overwritten, and nothing of it is left in the sums that are kept.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orobserve.ledger import database, rollups
from orobserve.ledger.filters import where
from orobserve.ledger.transactions import transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orobserve.ledger.filters import Filter

_CHUNK = 500  # calls that are removed in one transaction
_LONGEST = 0.1  # seconds, and fewer if they are so large that it takes longer
_PAGES = 500  # of the file that are given back in one
_SHARE = 1.0  # how long others have their turn after a transaction, as a multiple of what it took
_LEAST = 0.005  # seconds, likewise
_PATIENCE = 60.0  # seconds that others may keep us waiting
_START = (-1, -1)  # before all calls: a time and an id
_OF_A_CALL = 430  # bytes besides its record, about: its row, and its places in the indexes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be removed: how many calls of how many, and the bytes they take up, about."""

    calls: int
    all: int
    bytes: int


def plan(path: Path, wanted: Filter, size: int | None = None) -> Plan:
    """Return what `prune` would remove.

    Args:
        path: of the ledger.
        wanted: which calls may go.
        size: only as many of them, the oldest first, as are too much for so many bytes; None: all.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    condition, values = where(wanted)
    with database.reading(path) as connection:
        count = connection.execute("SELECT count(*) FROM calls").fetchone()[0]
        over = None if size is None else _used(connection) - size
        sql = f"""SELECT {_OF_A_CALL} + length(CAST(record AS BLOB)) FROM calls JOIN records USING (id)
            WHERE {condition} ORDER BY started_at, id"""  # noqa: S608 - names of ours
        calls = found = 0
        for (octets,) in connection.execute(sql, values):
            if over is not None and found >= over:
                break
            calls, found = calls + 1, found + octets
    return Plan(calls=calls, all=count, bytes=found)


def prune(
    path: Path,
    wanted: Filter,
    size: int | None = None,
    *,
    advance: Callable[[int], None],
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Remove calls, the oldest first, and return how many; see `plan`. The file is as large as before: `shrink` it.

    Args:
        path: of the ledger.
        wanted: which calls may go.
        size: where to stop, in bytes that are in use; None: when all are gone.
        advance: called with the number of calls that were removed since the last time.
        pause: waits so many seconds.

    Raises:
        LedgerError: the ledger cannot be used.
        sqlite3.Error: it cannot be written.
    """
    condition, values = where(wanted)
    sql = f"""SELECT id, started_at FROM calls WHERE {condition} AND (started_at, id) > (:at, :last)
        ORDER BY started_at, id LIMIT {_CHUNK}"""  # noqa: S608 - names of ours
    removed, place = 0, _START
    reached = place  # where the next chunk begins, if this one is not taken back

    def chunk(connection: sqlite3.Connection) -> int:
        nonlocal reached
        if place == _START:
            rollups.fold(connection, 1)  # before what is in use is measured
        found = connection.execute(sql, {**values, "at": place[0], "last": place[1]}).fetchall()
        done, until = 0, time.monotonic() + _LONGEST
        for number, at in found:
            if size is not None and _used(connection) <= size:
                break
            connection.execute("DELETE FROM calls WHERE id = ?", (number,))
            done, reached = done + 1, (at, number)
            if time.monotonic() > until:
                break
        rollups.fold(connection, rollups.FOLD_AT if done else 1)  # at the end all: names are in what is not folded yet
        return done

    for count in _in_turns(path, lambda connection: _at_once(connection, chunk), pause):
        removed, place = removed + count, reached
        advance(count)
    return removed


def shrink(path: Path, *, advance: Callable[[int], None], pause: Callable[[float], None] = time.sleep) -> None:
    """Give the room of removed calls back to the system.

    Args:
        path: of the ledger.
        advance: called with the number of bytes that were given back since the last time.
        pause: waits so many seconds.

    Raises:
        LedgerError: the ledger cannot be used.
        sqlite3.Error: it cannot be written.
    """

    def chunk(connection: sqlite3.Connection) -> int:
        _, before = database.room(connection)
        connection.executescript(f"PRAGMA incremental_vacuum({_PAGES})")  # `execute` stops after one page
        return max(0, before - database.room(connection)[1])

    for count in _in_turns(path, chunk, pause):
        advance(count)
    with database.writing(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # or as much as who reads now lets us


def room(path: Path) -> tuple[int, int]:
    """Return the bytes that the ledger takes up, and those of them that `shrink` would give back.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    with database.reading(path) as connection:
        return database.room(connection)


def _in_turns(path: Path, chunk: Callable[[sqlite3.Connection], int], pause: Callable[[float], None]) -> Iterator[int]:
    """Yield what each chunk, a transaction of its own, has done, until one has nothing to do; others write between."""
    waited = 0.0
    while True:
        began = time.monotonic()
        try:
            with database.writing(path) as connection:
                done = chunk(connection)
        except sqlite3.Error as error:
            if not database.is_passing(error) or waited >= _PATIENCE:
                raise
            waited += time.monotonic() - began + _LEAST
            pause(_LEAST)
            continue
        waited = 0.0
        if not done:
            return
        yield done
        pause(max(_LEAST, _SHARE * (time.monotonic() - began)))


def _at_once(connection: sqlite3.Connection, chunk: Callable[[sqlite3.Connection], int]) -> int:
    connection.execute("PRAGMA secure_delete = ON")
    with transaction(connection):
        return chunk(connection)


def _used(connection: sqlite3.Connection) -> int:
    taken, free = database.room(connection)
    return taken - free
