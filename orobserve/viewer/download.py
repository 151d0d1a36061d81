"""What is shown, as CSV or JSON: streamed in pages, so that a million calls need no memory; costs to the last digit."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import fields
from itertools import islice
from typing import TYPE_CHECKING, Any

from orobserve.ledger.columns import TOKENS
from orobserve.ledger.query import Reader, Row
from orobserve.telemetry.console import no_formula
from orobserve.viewer.plain import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from orobserve.viewer.questions import Question

_PAGE = 1_000
_CALL = tuple(item.name for item in fields(Row) if item.name != "id")
_SUM = ("calls", "errors", "unpriced", *TOKENS, "cost", "cache_saving", "response_cache_hits")
_SESSION = ("id", "user", "began_at", "last_at")
_NUMBERS = {"cost", "cache_saving"}  # texts that are numbers


def calls(path: Path, asked: Question) -> Iterator[list[dict[str, Any]]]:
    """Yield pages of the calls that are asked for, in the order in which they were written.

    Each page is read by a connection of its own: SQLite's must stay on one thread, and a long one keeps the file large.
    """
    cursor, end = 0, None
    while True:
        with Reader(path) as reader:
            end = reader.cursor() if end is None else end
            found = list(islice(reader.follow(cursor, asked.wanted), _PAGE))
        page = [row for row in found if row.id <= end]
        yield [{name: plain(getattr(row, name)) for name in _CALL} for row in page]
        if len(page) < _PAGE:
            return
        cursor = page[-1].id


def groups(path: Path, asked: Question) -> Iterator[list[dict[str, Any]]]:
    """Yield the sums of the groups that are asked for, the dearest first."""
    with Reader(path) as reader:
        found = reader.sums((asked.by,), asked.wanted)
    yield [{**plain(each.group), **{name: plain(getattr(each, name)) for name in _SUM}} for each in found]


def sessions(path: Path, asked: Question) -> Iterator[list[dict[str, Any]]]:
    """Yield the sessions that are asked for, the last heard of first."""
    with Reader(path) as reader:
        found = reader.sessions(asked.wanted, limit=None)
    told = [
        (*(getattr(each, name) for name in _SESSION), *(getattr(each.sums, name) for name in _SUM)) for each in found
    ]
    yield [dict(zip((*_SESSION, *_SUM), map(plain, each), strict=True)) for each in told]


def columns(kind: str, asked: Question) -> tuple[str, ...]:
    """Return the names of the columns of a kind: `calls`, `groups` or `sessions`."""
    return {"calls": _CALL, "sessions": (*_SESSION, *_SUM)}.get(kind, (asked.by, *_SUM))


def as_csv(names: Sequence[str], pages: Iterator[list[dict[str, Any]]]) -> Iterator[str]:
    """Yield CSV with a line of names; what is unknown is empty, several tags are one JSON list."""
    yield _lines([names])
    for page in pages:
        yield _lines([[_cell(name, row[name]) for name in names] for row in page])


def as_json(_: Sequence[str], pages: Iterator[list[dict[str, Any]]]) -> Iterator[str]:
    """Yield one JSON list of objects; amounts are texts, so that no reader rounds them."""
    before = "["
    for page in pages:
        for row in page:
            yield f"{before}{json.dumps(row)}"
            before = ",\n"
    yield "]\n" if before != "[" else "[]\n"


FORMATS: dict[str, tuple[str, Callable[[Sequence[str], Iterator[list[dict[str, Any]]]], Iterator[str]]]] = {
    "csv": ("text/csv; charset=utf-8", as_csv),
    "json": ("application/json", as_json),
}


def _lines(rows: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def _cell(name: str, value: Any) -> Any:  # noqa: ANN401 - a column's
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False) if value else None
    return no_formula(value) if isinstance(value, str) and name not in _NUMBERS else value
