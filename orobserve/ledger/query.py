"""Reads a ledger: calls by filter, one call whole, sessions, and what is new. Sums are in `sums`.

Nothing here writes, or waits for who writes.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from orobserve.ledger import codec, database, money
from orobserve.ledger.columns import DAY, TOKENS
from orobserve.ledger.filters import Filter, where
from orobserve.ledger.series import Point, series
from orobserve.ledger.sources import KINDS
from orobserve.ledger.sums import Sum, beginning_of, sums, sums_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from decimal import Decimal
    from pathlib import Path

    from orobserve.generation import Generation

_INDEXED = ("user", "session")
_PAGE = 1_000  # rows that are read at once
_PLAIN = (  # columns that are fields of a row as they are
    *("id", "key", "generation_id", "trace_id", "span_id", "parent_span_id", "started_at", "duration", "first_chunk"),
    *("operation", "model", "provider", "user", "session", "api_key", "name", "outcome", "status", "error"),
    "response_cache",
    *TOKENS,
)
COLUMNS = f"{', '.join(_PLAIN)}, failed, tags, cost_nano, cost_rest, saving_nano, saving_rest"

_USERS = """SELECT session, max(user) FROM calls
    WHERE session IN (SELECT value FROM json_each(:names)) GROUP BY session"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One call, without what was said. Times in nanoseconds; cost in USD; None is unknown.

    Attributes:
        id: grows with every write: a call that is completed later comes with a new one.
        key: what the call is known by.
        duration: from the request's start to its last byte.
        first_chunk: from the request's start to the first chunk with content.
        failed: whether it is an error.
        error: its type.
        response_cache: `hit` or `miss` of OpenRouter's own cache of responses.
        cache_saving: what the provider's prompt cache has saved; negative: a surcharge for writing it.
    """

    id: int
    key: str
    generation_id: str | None
    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None
    started_at: int
    duration: int | None
    first_chunk: int | None
    operation: str
    model: str | None
    provider: str | None
    user: str | None
    session: str | None
    api_key: str | None
    name: str | None
    tags: tuple[str, ...]
    outcome: str
    status: int | None
    failed: bool
    error: str | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost: Decimal | None
    cache_saving: Decimal | None
    response_cache: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The calls of one session: when it began and was last heard of (nanoseconds), who had it, and its sums."""

    id: str
    began_at: int
    last_at: int
    user: str | None
    sums: Sum


class Reader:
    """An open ledger, as long as the block lasts.

    Args:
        path: of the file.

    Raises:
        LedgerError: on entering or reading: there is none, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open it."""
        self._connection: sqlite3.Connection = self._stack.enter_context(database.reading(self._path))
        return self

    def __exit__(self, *error: Any) -> bool | None:  # noqa: ANN401 - as it comes
        """Close it."""
        return self._stack.__exit__(*error)

    def rows(self, wanted: Filter | None = None, *, limit: int | None = 100, dearest: bool = False) -> list[Row]:
        """Return the calls that a filter finds, newest first; or the dearest first, which reads them all."""
        condition, values = where(self._narrowed(wanted or Filter()))
        order = "cost_nano DESC, cost_rest DESC, id DESC" if dearest else "started_at DESC, id DESC"
        priced = " AND cost_nano IS NOT NULL" if dearest else ""
        sql = f"SELECT {COLUMNS} FROM calls WHERE {condition}{priced} ORDER BY {order} LIMIT :limit"  # noqa: S608
        found = self._connection.execute(sql, {**values, "limit": -1 if limit is None else limit})
        return [row_of(each) for each in found]

    def _narrowed(self, wanted: Filter) -> Filter:
        """Return the filter for the days alone of which the kept sums know such calls, where no index finds them."""
        kinds = [kind for kind in KINDS if getattr(wanted, kind) is not None]
        if len(kinds) != 1 or kinds[0] in _INDEXED:
            return wanted
        days = [beginning_of(each.group["day"]) for each in self.sums(("day",), replace(wanted, error=None))]
        first, end = min(days, default=0), max(days, default=-DAY) + DAY
        until = end if wanted.until is None else min(end, wanted.until)
        return replace(wanted, since=max(first, wanted.since or 0), until=until)

    def sums(self, by: Sequence[str] = (), wanted: Filter | None = None) -> list[Sum]:
        """Return the sums of the calls that a filter finds, a group each, the dearest first; see `sums.sums`."""
        return sums(self._connection, tuple(by), wanted or Filter())

    def series(self, step: str, by: str | None = None, wanted: Filter | None = None, *, top: int = 8) -> list[Point]:
        """Return sums and latencies over time, of the calls that a filter finds; see `series.series`."""
        return series(self._connection, step, by, wanted or Filter(), top)

    def call(self, id_: str) -> Generation | None:
        """Return the whole record of a call by its generation id or its span's id, if it is here.

        Where several calls have that id (attempts inside a span of somebody else's), the last one.
        """
        sql = """SELECT record FROM records WHERE id = (
            SELECT max(id) FROM calls WHERE key = :id OR span_id = :id OR (generation_id = :id AND generation_id <> key)
        )"""
        found = self._connection.execute(sql, {"id": id_}).fetchone()
        return None if found is None else codec.decode(found[0])

    def records(self, wanted: Filter | None = None) -> Iterator[Generation]:
        """Yield the whole records of the calls that a filter finds, oldest first."""
        condition, values = where(wanted or Filter())
        sql = f"SELECT record FROM calls JOIN records USING (id) WHERE {condition} ORDER BY started_at, id"  # noqa: S608
        for (record,) in self._connection.execute(sql, values):
            yield codec.decode(record)

    def sessions(self, wanted: Filter | None = None, *, limit: int | None = 100) -> list[Session]:
        """Return the sessions of the calls that a filter finds, the last heard of first."""
        condition, values = where(wanted or Filter())
        sql = f"""SELECT session, min(started_at), max(started_at) FROM calls
            WHERE session IS NOT NULL AND {condition} GROUP BY session ORDER BY 3 DESC LIMIT :limit"""  # noqa: S608
        found = self._connection.execute(sql, {**values, "limit": -1 if limit is None else limit}).fetchall()
        names = [name for name, _, _ in found]
        users = self._connection.execute(_USERS, {"names": json.dumps(names)})
        user_of = dict(users.fetchall())
        counted = {each.group["session"]: each for each in sums_of(self._connection, names, wanted or Filter())}
        return [
            Session(id=name, began_at=began, last_at=last, user=user_of[name], sums=counted[name])
            for name, began, last in found
        ]

    def cursor(self) -> int:
        """Return where the ledger ends now: `follow` from here brings only what is written from now on."""
        return int(self._connection.execute("SELECT ifnull(max(id), 0) FROM calls").fetchone()[0])

    def follow(
        self, cursor: int, wanted: Filter | None = None, *, wait: Callable[[], bool] = lambda: False
    ) -> Iterator[Row]:
        """Yield what was written since a cursor, in the order of writing; a call that was completed comes again.

        Args:
            cursor: `cursor()`, or the `id` of the last row that was seen; 0: from the beginning.
            wanted: which calls.
            wait: called when there is nothing more: waits as it likes, and returns False to end.
        """
        condition, values = where(wanted or Filter())
        sql = f"SELECT {COLUMNS} FROM calls WHERE id > :cursor AND {condition} ORDER BY id LIMIT {_PAGE}"  # noqa: S608
        while True:
            found = self._connection.execute(sql, {**values, "cursor": cursor}).fetchall()
            for each in map(row_of, found):
                cursor = each.id
                yield each
            if not found and not wait():
                return


def row_of(values: Sequence[Any]) -> Row:
    """Return the row of the values of `COLUMNS`."""
    plain = dict(zip(_PLAIN, values, strict=False))
    failed, tags, *amounts = values[len(_PLAIN) :]
    return Row(
        **plain,
        failed=bool(failed),
        tags=tuple(json.loads(tags)) if tags else (),
        cost=money.amount(*amounts[:2]),
        cache_saving=money.amount(*amounts[2:]),
    )
