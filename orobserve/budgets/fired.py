"""Which alerts were given: each once, by whichever process comes first among those that share a ledger.

A table of its own beside the ledger's, no step of its schema: it is made by whoever has the first alert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orobserve.ledger import database

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TABLE = """CREATE TABLE IF NOT EXISTS alerts (
  budget TEXT NOT NULL, whose TEXT NOT NULL, start INTEGER NOT NULL, threshold TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (budget, whose, start, threshold)
) WITHOUT ROWID"""
_KEPT = 400 * 86_400 * 10**9  # nanoseconds


class Mark(NamedTuple):
    """What an alert is known by: the budget as a text, its group, the start of the period, the threshold."""

    budget: str
    whose: str
    start: int
    threshold: str


def claim(path: Path, marks: Sequence[Mark], now: int) -> list[Mark]:
    """Return those that nobody has claimed before; from now on they are.

    Raises:
        LedgerError: the ledger cannot be used.
        sqlite3.Error: SQLite's own; `database.is_passing` tells whether to come again.
        OSError: it cannot be made.
    """
    with database.writing(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(_TABLE)
            connection.execute("DELETE FROM alerts WHERE at < ?", (now - _KEPT,))
            won = [
                mark
                for mark in marks
                if connection.execute("INSERT OR IGNORE INTO alerts VALUES (?, ?, ?, ?, ?)", (*mark, now)).rowcount
            ]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return won
