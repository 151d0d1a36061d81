"""Reads what commands need beside `query`: every call one by one, ids by their beginning, what happened in sessions.

Each answer is of one moment, however much is written meanwhile: so no call comes twice, and none is missed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orobserve.ledger import database
from orobserve.ledger.filters import Filter, where
from orobserve.ledger.query import COLUMNS, row_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orobserve.ledger.query import Row

# A switch is a call that was served by another provider than the one before it of the same model: that one's prompt
# cache is of no use to it.
_HISTORIES = """SELECT session, json_group_array(DISTINCT model), json_group_array(DISTINCT provider),
    sum(provider <> before), max(ends) FROM (
        SELECT session, model, provider, started_at + ifnull(duration, 0) AS ends,
        lag(provider) OVER (PARTITION BY session, model, provider IS NULL ORDER BY started_at, id) AS before
        FROM calls WHERE session IN (SELECT value FROM json_each(:names)) AND {}
    ) GROUP BY session"""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happened in a session: models and providers by name, how often the provider changed, and its end (ns)."""

    models: tuple[str, ...]
    providers: tuple[str, ...]
    switches: int
    ended_at: int


def rows(path: Path, wanted: Filter) -> Iterator[Row]:
    """Yield the calls that a filter finds, oldest first, however many.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    condition, values = where(wanted)
    with database.reading(path) as connection:
        sql = f"SELECT {COLUMNS} FROM calls WHERE {condition} ORDER BY started_at, id"  # noqa: S608
        yield from map(row_of, connection.execute(sql, values))


def written(path: Path, wanted: Filter) -> Iterator[tuple[Row, str | bytes]]:
    """Yield the calls that a filter finds with their records, as `codec` wrote them, oldest first, however many.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    condition, values = where(wanted)
    with database.reading(path) as connection:
        sql = f"SELECT {COLUMNS}, record FROM calls JOIN records USING (id) WHERE {condition} ORDER BY started_at, id"  # noqa: S608
        for *row, record in connection.execute(sql, values):
            yield row_of(row), record


def ids(path: Path, beginning: str, *, limit: int) -> list[str]:
    """Return the generation ids with that beginning, in their order.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    sql = """SELECT key FROM calls WHERE key >= :first AND key < :last AND generation_id = key
        UNION SELECT generation_id FROM calls WHERE generation_id <> key AND generation_id >= :first
        AND generation_id < :last ORDER BY 1 LIMIT :limit"""
    values = {"first": beginning, "last": beginning + "\U0010ffff", "limit": limit}
    with database.reading(path) as connection:
        return [found for (found,) in connection.execute(sql, values)]


def histories(path: Path, sessions: Sequence[str], wanted: Filter) -> dict[str, History]:
    """Return what happened in these sessions, in the calls that a filter finds.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    condition, values = where(wanted)
    with database.reading(path) as connection:
        found = connection.execute(_HISTORIES.format(condition), {**values, "names": json.dumps(sessions)}).fetchall()
    return {
        session: History(models=_names(models), providers=_names(providers), switches=switches or 0, ended_at=ended)
        for session, models, providers, switches, ended in found
    }


def _names(listed: str) -> tuple[str, ...]:
    return tuple(sorted(name for name in json.loads(listed) if name is not None))
