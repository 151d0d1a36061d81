"""The statements that `snowflake` runs. Pure text: it knows no requests, and no value that is stored is part of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orobserve_exporters._row import COLUMNS, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

KEYS = ("TRACE_ID", "SPAN_ID")

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_KINDS = {column.name: column.kind for column in COLUMNS}
_TYPES = {
    Kind.TIME: "TIMESTAMP_NTZ",
    Kind.MILLISECONDS: "NUMBER(18, 3)",
    Kind.COUNT: "NUMBER(18, 0)",
    Kind.USD: "NUMBER(38, 15)",
    Kind.TEXTS: "ARRAY",
    Kind.JSON: "VARIANT",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the table is. Names as Snowflake keeps them, which is how its API wants them."""

    database: str
    schema: str
    table: str

    def __str__(self) -> str:
        return ".".join(_quoted(name) for name in (self.database, self.schema, self.table))


def resolved(name: str) -> str:
    """Return a name as Snowflake keeps it: in upper case, unless it is quoted or needs to be."""
    if len(name) > 1 and name[0] == name[-1] == '"':
        return name[1:-1].replace('""', '"')
    return name.upper() if _PLAIN.fullmatch(name) else name


def create(place: Place) -> str:
    """Return the statement that makes the table."""
    lines = ",\n".join(
        f"  {_quoted(column.name)} {_TYPES.get(column.kind) or f'VARCHAR({column.length})'}"
        f"{' NOT NULL' if column.required else ''} COMMENT '{column.comment}'"
        for column in COLUMNS
    )
    return f"CREATE TABLE IF NOT EXISTS {place} (\n{lines}\n)"


def describe(place: Place) -> str:
    """Return the question which columns there are; it needs no warehouse."""
    return f"DESCRIBE TABLE {place}"


def insert(place: Place, columns: Collection[str]) -> str:
    """Return the statement that adds rows, which are bound to it as one JSON array."""
    names = ", ".join(map(_quoted, columns))
    return f"INSERT INTO {place} ({names})\n{_source(columns)}"


def merge(place: Place, columns: Collection[str], times: tuple[int, int] | None) -> str:
    """Return the statement that adds rows, or replaces those with the same ids.

    Args:
        place: the table.
        columns: that are written.
        times: the earliest and the latest TIMESTAMP, in nanoseconds: only what lies between is searched for the ids.
    """
    same = [f"T.{_quoted(name)} = S.{_quoted(name)}" for name in KEYS]
    if times is not None:
        start, end = (f"TO_TIMESTAMP_NTZ({time}, 9)" for time in times)
        same.append(f'T."TIMESTAMP" BETWEEN {start} AND {end}')
    changes = ", ".join(f"{_quoted(name)} = S.{_quoted(name)}" for name in columns if name not in KEYS)
    names, values = (", ".join(prefix + _quoted(name) for name in columns) for prefix in ("", "S."))
    return (
        f"MERGE INTO {place} AS T USING (\n{_source(columns)}\n) AS S\nON {' AND '.join(same)}\n"  # noqa: S608 - names are quoted
        f"WHEN MATCHED THEN UPDATE SET {changes}\nWHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
    )


def _source(columns: Iterable[str]) -> str:
    """Return the rows as a table. A VARIANT cannot be bound, and VALUES takes no PARSE_JSON: hence one text."""
    values = ", ".join(f"{_value(name)} AS {_quoted(name)}" for name in columns)
    return f"SELECT {values}\nFROM (SELECT PARSE_JSON(?) AS J) AS R, LATERAL FLATTEN(INPUT => R.J)"


def _value(name: str) -> str:
    """Return a column's value. Times are numbers, which no setting of the account can misread."""
    found, kind = f"VALUE:{_quoted(name)}", _KINDS[name]
    if kind is Kind.TIME:
        return f"TO_TIMESTAMP_NTZ({found}::NUMBER(38, 0), 9)"
    return found if kind is Kind.JSON else f"{found}::{_TYPES.get(kind, 'VARCHAR')}"


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))
