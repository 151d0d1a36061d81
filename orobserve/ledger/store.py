"""Writes batches of records, one transaction each, and removes what is too old or too much."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orobserve._identity import Parts, completed
from orobserve.ledger import codec, database, rollups
from orobserve.ledger.columns import DAY, columns
from orobserve.ledger.filters import Filter
from orobserve.ledger.sums import sums

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orobserve.generation import Generation


_CHUNK = 2_000  # calls that are removed in one go
_PAGES = 2_000  # of the file that are given back in one go
_CHECKED = 64_000_000  # bytes: a file up to this size is read through when a process writes to it first
_BYTES_OF_A_CALL = 1_000  # at least, about: more than that many calls never make room for one


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
    """

    def __init__(self, path: Path, keep: Keep) -> None:
        self.path = path
        self._keep = keep
        self._checked = False

    def write(self, batch: Sequence[tuple[Generation, str | bytes]], now: int) -> None:
        """Write records and their JSON: when this returns they are in the file, all of them; else none is.

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
            self._write(batch, now)
        except sqlite3.Error as error:
            if not database.is_damage(error):
                raise
            database.set_aside(self.path, seen if seen is not None else database.inode(self.path), str(error))
            self._write(batch, now)

    def _check(self) -> None:
        if not self._checked:
            if self.path.exists() and self.path.stat().st_size <= _CHECKED:
                database.check(self.path)
            self._checked = True

    def _write(self, batch: Sequence[tuple[Generation, str | bytes]], now: int) -> None:
        with database.writing(self.path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                for generation, written in batch:
                    _put(connection, generation, written)
                self._remove(connection, now)
                rollups.fold(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            if self._keep.size is not None:
                connection.executescript(f"PRAGMA incremental_vacuum({_PAGES})")  # `execute` stops after one page

    def _remove(self, connection: sqlite3.Connection, now: int) -> None:
        """Remove a part of what is not to be kept; the next batch removes the next part."""
        if self._keep.days is not None:
            _remove_oldest(connection, _CHUNK, now - self._keep.days * DAY)
        if self._keep.size is not None:
            pages, free, size = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
            used = (pages - free) * size
            if used > self._keep.size:
                calls = sum(each.calls for each in sums(connection, (), Filter()))
                over = (used - self._keep.size) / used
                _remove_oldest(connection, min(_CHUNK, max(calls // 10 + 1, int(calls * over) + 1)))


def _remove_oldest(connection: sqlite3.Connection, number: int, before: int | None = None) -> None:
    which = "" if before is None else "WHERE started_at < :before"
    connection.execute(
        f"DELETE FROM calls WHERE id IN (SELECT id FROM calls {which} ORDER BY started_at LIMIT :number)",  # noqa: S608
        {"before": before, "number": number},
    )


def _put(connection: sqlite3.Connection, generation: Generation, written: str | bytes) -> None:
    """Write a record, unless it tells nothing that is not known; one of a call that is known replaces that."""
    row = columns(generation)
    found = connection.execute(
        "SELECT id, parts FROM calls WHERE key = :key OR (span_id = :span_id AND started_at = :started_at) "
        "ORDER BY key = :key DESC",
        row,
    ).fetchall()
    if found:
        is_late = generation.enrichment is not None and generation.enrichment.is_late
        if not is_late and Parts(row["parts"]) in Parts(found[0][1]):
            return
        generation = completed(generation, _record(connection, found[0][0]))
        row, written = columns(generation), codec.encode(generation)
        connection.executemany("DELETE FROM calls WHERE id = ?", [(each[0],) for each in found])
    _insert(connection, row, written)


def _insert(connection: sqlite3.Connection, row: dict[str, Any], written: str | bytes) -> None:
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    made = connection.execute(f"INSERT INTO calls ({names}) VALUES ({values})", row)  # noqa: S608 - names of ours
    connection.execute("INSERT INTO records VALUES (?, ?)", (made.lastrowid, written))


def _record(connection: sqlite3.Connection, number: int) -> Generation:
    return codec.decode(connection.execute("SELECT record FROM records WHERE id = ?", (number,)).fetchone()[0])
