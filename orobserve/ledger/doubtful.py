"""Calls of a ledger that OpenRouter is to be asked about: whose cost is unknown, and those of certain models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from orobserve.ledger import database, money
from orobserve.ledger.filters import Filter, where

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal
    from pathlib import Path


class Doubtful(NamedTuple):
    """A call: by what it is known here and at OpenRouter, its model, and what it costs as far as is known here."""

    key: str
    generation_id: str
    model: str | None
    cost: Decimal | None


def doubtful(path: Path, wanted: Filter, models: Sequence[str], limit: int) -> tuple[list[Doubtful], int]:
    """Return calls that have a generation id, those of unknown cost first; and how many there are in all.

    Args:
        path: of the ledger.
        wanted: of which calls.
        models: all calls of these; of others only those that did not fail and have no cost.
        limit: how many are returned.

    Raises:
        LedgerError: there is none, or it cannot be read.
    """
    condition, values = where(wanted)
    condition += """ AND generation_id LIKE 'gen-%'
        AND ((cost_nano IS NULL AND NOT failed) OR model IN (SELECT value FROM json_each(:models)))"""
    values |= {"models": json.dumps(models), "limit": limit}
    with database.reading(path) as connection:
        (total,) = connection.execute(f"SELECT count(*) FROM calls WHERE {condition}", values).fetchone()  # noqa: S608
        sql = f"""SELECT key, generation_id, model, cost_nano, cost_rest FROM calls WHERE {condition}
            ORDER BY cost_nano IS NOT NULL, started_at, id LIMIT :limit"""  # noqa: S608 - names of ours
        rows = connection.execute(sql, values).fetchall()
    return [Doubtful(key, id_, model, _cost(nano, rest)) for key, id_, model, nano, rest in rows], int(total)


def _cost(nano: int | None, rest: int) -> Decimal | None:
    return None if nano is None else money.total(nano, *divmod(rest, money.HALF))
