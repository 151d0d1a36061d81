"""Writes batches of records, one transaction each, and removes what is too old or too much."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orobserve._identity import Parts, completed, is_late
from orobserve.ledger import codec, database, outbox, rollups
from orobserve.ledger.columns import DAY, columns
from orobserve.ledger.filters import Filter
from orobserve.ledger.sums import sums
from orobserve.ledger.transactions import transaction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orobserve.generation import Generation
    from orobserve.ledger.dispatch import Dispatch, Posted


_CHUNK = 2_000  # calls that are removed in one go
_PAGES = 2_000  # of the file that are given back in one go
_CHECKED = 64_000_000  # bytes: a file up to this size is read through when a process writes to it first
# Two ids are two calls, though a clock that ticks slowly may have them start at once in a span of somebody else's.
_SAME_CALL = """SELECT id, parts, key FROM calls WHERE key = :key OR (
        span_id = :span_id AND started_at = :started_at
        AND ifnull(generation_id = :generation_id, 1)
    ) ORDER BY key = :key DESC"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How much is kept. None: all."""

    days: int | None = None
    size: int | None = None  # bytes


class Store:
    """The file of one ledger, as a writer sees it. Not for several threads at once.

    Args:
        path: of the file.
        keep: how much is kept.
        dispatch: posts each call to the destinations, if there are any.
    """

    def __init__(self, path: Path, keep: Keep, dispatch: Dispatch | None = None) -> None:
        self.path = path
        self._keep = keep
        self._dispatch = dispatch
        self._checked = False

    def write(self, batch: Sequence[tuple[Generation, str | bytes]], now: int) -> list[Posted]:
        """Write records and their JSON: when this returns they are in the file, all of them; else none is.

        Returns who is to get each of them.

        A damaged file is set aside, and they are written to a new one.

        Args:
            batch: what is to be written, oldest first.
            now: nanoseconds since the epoch.

        Raises:
            sqlite3.Error: others are writing (`is_passing`), or it cannot be written.
            OSError: likewise.
            LedgerError: likewise.
        """
        seen = database.inode(self.path)
        try:
            self._check()
            return self._write(batch, now)
        except sqlite3.Error as error:
            if not database.is_damage(error):
                raise
            database.set_aside(self.path, seen if seen is not None else database.inode(self.path), str(error))
            if self._dispatch is not None:
                self._dispatch.reset()
            return self._write(batch, now)

    def _check(self) -> None:
        if not self._checked:
            if self.path.exists() and self.path.stat().st_size <= _CHECKED:
                database.check(self.path)
            self._checked = True

    def _write(self, batch: Sequence[tuple[Generation, str | bytes]], now: int) -> list[Posted]:
        with database.writing(self.path) as connection:
            with transaction(connection):
                if self._dispatch is not None:
                    self._dispatch.begin(connection, now)
                posted = [self._put(connection, generation, written, now) for generation, written in batch]
                lost = self._remove(connection, now)
                rollups.fold(connection)
            if self._keep.size is not None:
                with suppress(
                    sqlite3.OperationalError
                ):  # others are writing, say: the calls are in the file all the same
                    connection.executescript(f"PRAGMA incremental_vacuum({_PAGES})")  # `execute` stops after one page
        if lost and self._dispatch is not None:
            self._dispatch.lost(lost)
        return posted

    def _put(self, connection: sqlite3.Connection, generation: Generation, written: str | bytes, now: int) -> Posted:
        """Write a record, unless it tells nothing that is not known; one of a call that is known replaces that."""
        row = columns(generation)
        found = connection.execute(_SAME_CALL, row).fetchall()
        is_update = is_late(generation)
        if found and not is_update and Parts(row["parts"]) in Parts(found[0][1]):
            key, version = found[0][2], found[0][0]
        else:
            if found:
                row, written = _replacing(connection, generation, found)
            key, version = row["key"], _insert(connection, row, written)
        if self._dispatch is None:
            return []
        return self._dispatch.post(connection, key, version, is_known=bool(found), is_late=is_update, now=now)

    def _remove(self, connection: sqlite3.Connection, now: int) -> dict[str, int]:
        """Remove a part of what is not to be kept; the next batch removes the next part.

        Returns how much of that was still due, by destination.
        """
        lost: Counter[str] = Counter()
        if self._keep.days is not None:
            lost += _remove_oldest(connection, _CHUNK, now - self._keep.days * DAY)
        if self._keep.size is not None:
            taken, free = database.room(connection)
            used = taken - free
            if used > self._keep.size:
                calls = sum(each.calls for each in sums(connection, (), Filter()))
                over = (used - self._keep.size) / used
                lost += _remove_oldest(connection, min(_CHUNK, max(calls // 10 + 1, int(calls * over) + 1)))
        return lost


def _remove_oldest(connection: sqlite3.Connection, number: int, before: int | None = None) -> Counter[str]:
    which = "" if before is None else "WHERE started_at < :before"
    sql = f"SELECT id, key FROM calls {which} ORDER BY started_at LIMIT :number"  # noqa: S608 - names of ours
    found = connection.execute(sql, {"before": before, "number": number}).fetchall()
    lost = outbox.due_of(connection, [key for _, key in found])
    connection.executemany("DELETE FROM calls WHERE id = ?", [(each,) for each, _ in found])
    return lost


def _replacing(
    connection: sqlite3.Connection, generation: Generation, found: Sequence[tuple[int, int, str]]
) -> tuple[dict[str, Any], str | bytes]:
    """Remove the calls that a record completes; returns the row and the JSON that take their place."""
    generation = completed(generation, _record(connection, found[0][0]))
    row = columns(generation)
    for number, _, key in found:
        outbox.take_over(connection, key, row["key"])
        connection.execute("DELETE FROM calls WHERE id = ?", (number,))
    return row, codec.encode(generation)


def _insert(connection: sqlite3.Connection, row: dict[str, Any], written: str | bytes) -> int:
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    made = connection.execute(f"INSERT INTO calls ({names}) VALUES ({values})", row)  # noqa: S608 - names of ours
    connection.execute("INSERT INTO records VALUES (?, ?)", (made.lastrowid, written))
    return made.lastrowid or 0


def _record(connection: sqlite3.Connection, number: int) -> Generation:
    return codec.decode(connection.execute("SELECT record FROM records WHERE id = ?", (number,)).fetchone()[0])
