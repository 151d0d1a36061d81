"""Tables of BigQuery: the one we make, one that is there, and rows as `insertAll` takes them. Knows no requests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orobserve_exporters._figures import moment
from orobserve_exporters._row import COLUMNS, Kind, fitted, missing, unfillable
from orobserve_exporters._spans import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve_exporters._row import Row

_PARTITION, _CLUSTERS = "timestamp", ("model", "user_id")
_LONGEST_ID = 128
_FLOATS = ("FLOAT", "FLOAT64", "NUMERIC", "BIGNUMERIC")
_TYPES = {  # the one we choose, as the REST API calls it, and others that take the same values
    Kind.TEXT: ("STRING",),
    Kind.TIME: ("TIMESTAMP",),
    Kind.MILLISECONDS: _FLOATS,
    Kind.COUNT: ("INTEGER", "INT64", *_FLOATS),
    Kind.USD: _FLOATS,
    Kind.TEXTS: ("STRING", "JSON"),
    Kind.JSON: ("JSON", "STRING"),
}
_IN_SQL = {"FLOAT": "FLOAT64", "INTEGER": "INT64"}
_KINDS = {column.name: column.kind for column in COLUMNS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A column of the table; `name` as it is spelt there."""

    name: str
    type: str
    mode: str = "NULLABLE"
    default: bool = False


Table = dict[str, Known]  # by name in upper case

OURS: Table = {
    column.name: Known(
        name=column.name.lower(),
        type=_TYPES[column.kind][0],
        mode="REPEATED" if column.kind is Kind.TEXTS else "REQUIRED" if column.required else "NULLABLE",
    )
    for column in COLUMNS
}


def ddl(path: str) -> str:
    """Return the statement that makes the table."""
    lines = []
    for column in COLUMNS:
        known = OURS[column.name]
        kind = _IN_SQL.get(known.type, known.type)
        kind = f"ARRAY<{kind}>" if known.mode == "REPEATED" else kind
        must = " NOT NULL" if known.mode == "REQUIRED" else ""
        lines.append(f'  {known.name} {kind}{must} OPTIONS(description="{column.comment}")')
    columns = ",\n".join(lines)
    return (
        f"CREATE TABLE IF NOT EXISTS `{path}` (\n{columns}\n)\n"
        f"PARTITION BY DATE({_PARTITION})\nCLUSTER BY {', '.join(_CLUSTERS)}"
    )


def resource() -> dict[str, Any]:
    """Return what `tables.insert` makes the same table of."""
    fields = [
        {"name": known.name, "type": known.type, "mode": known.mode, "description": column.comment}
        for column, known in zip(COLUMNS, OURS.values(), strict=True)
    ]
    return {
        "schema": {"fields": fields},
        "timePartitioning": {"type": "DAY", "field": _PARTITION},
        "clustering": {"fields": list(_CLUSTERS)},
    }


def read(said: Mapping[str, Any]) -> Table:
    """Return the columns of a table that `tables.get` has told."""
    schema = said.get("schema")
    fields = schema.get("fields") if isinstance(schema, dict) else None
    found = [
        Known(
            name=str(field["name"]),
            type=str(field.get("type", "STRING")),
            mode=str(field.get("mode") or "NULLABLE"),
            default=bool(field.get("defaultValueExpression")),
        )
        for field in fields or ()
        if isinstance(field, dict) and field.get("name")
    ]
    return {known.name.upper(): known for known in found}


def fault(table: Table) -> str:
    """Return why no row of ours would be taken; empty if they would."""
    wrong = [
        f"{known.name} is {known.type} and must be {_TYPES[_KINDS[name]][0]}"
        for name, known in table.items()
        if name in _KINDS and known.type.upper() not in _TYPES[_KINDS[name]]
    ]
    needed = unfillable(_nullable(table), [name for name, known in table.items() if known.default])
    if needed:
        names = ", ".join(table[name].name for name in needed)
        wrong.append(f"{names} must have values that there are not: make the mode NULLABLE")
    return f"the table cannot be filled: {'; '.join(wrong)}" if wrong else ""


def remark(table: Table) -> str:
    """Return which of our columns a table lacks."""
    return missing(table)


def item(found: Row, table: Table) -> dict[str, Any]:
    """Return a row as `insertAll` takes it. Its id makes it known for a minute, if it comes again."""
    name = f"{found['TRACE_ID']}-{found['SPAN_ID']}"
    if len(name.encode()) > _LONGEST_ID:
        name = hashlib.sha256(name.encode()).hexdigest()
    kept = fitted(found, _nullable(table))
    values = {table[key].name: _value(value, key, table[key]) for key, value in kept.items() if value is not None}
    return {"insertId": name, "json": values}


def _nullable(table: Table) -> dict[str, bool]:
    return {name: known.mode != "REQUIRED" for name, known in table.items()}


def _value(value: Any, column: str, known: Known) -> Any:  # noqa: ANN401 - of any column
    """Return a value as it is sent; JSON goes as text into a JSON column, too."""
    kind = _KINDS[column]
    if kind is Kind.TIME:
        return moment(value).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if kind is Kind.TEXTS and known.mode != "REPEATED":
        return as_json(value)
    return value
