"""Tables of PostgreSQL: the one we make, and how one that is there is filled. Pure text: it knows no connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve_exporters._row import COLUMNS, Kind, missing, unfillable

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = ("TRACE_ID", "SPAN_ID")

_TYPES = {
    Kind.TEXT: "text",
    Kind.TIME: "timestamptz",
    Kind.MILLISECONDS: "double precision",
    Kind.COUNT: "bigint",
    Kind.USD: "numeric",  # sums of money to the last digit
    Kind.TEXTS: "text[]",
    Kind.JSON: "jsonb",
}
_ROWS = "$rows"
COLUMNS_QUERY = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, a.atthasdef
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
UNIQUE_QUERY = """
SELECT 1
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND i.indisunique AND i.indpred IS NULL AND i.indnkeyatts = 2
  AND ARRAY(SELECT lower(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
            ORDER BY 1) = ARRAY['span_id', 'trace_id']
"""


def create(schema: str, table: str) -> str:
    """Return the statements that make the table and its index."""
    name, index = full_name(schema, table), _quoted(f"{table}_timestamp")
    lines = [
        f"  {column.name.lower()} {_TYPES[column.kind]}{' NOT NULL' if column.required else ''}" for column in COLUMNS
    ]
    made = ",\n".join([*lines, "  PRIMARY KEY (trace_id, span_id)"])
    return f"CREATE TABLE IF NOT EXISTS {name} (\n{made}\n);\nCREATE INDEX IF NOT EXISTS {index} ON {name} (timestamp)"


class Table:
    """A table as it is, and how it is filled.

    Args:
        name: quoted.
        columns: name, type, whether it may be NULL, whether it has a default.
        is_unique: an index tells rows apart by trace and span.
    """

    def __init__(self, name: str, columns: Sequence[tuple[str, str, bool, bool]], *, is_unique: bool) -> None:
        kinds = {each[0].upper(): (each[0], each[1]) for each in columns}
        self.nullable = {each[0].upper(): each[2] for each in columns}
        self.unfillable = unfillable(self.nullable, [each[0].upper() for each in columns if each[3]])
        remarks = [missing(self.nullable)]
        if not is_unique:
            remarks.append("no unique index on (trace_id, span_id): costs that come later are not stored")
        self.remark = "; ".join(filter(None, remarks))
        ours = {column.name: kinds[column.name] for column in COLUMNS if column.name in kinds}
        names = {column: _quoted(given) for column, (given, _) in ours.items()}
        values = ", ".join(_cast(column, kind) for column, (_, kind) in ours.items())
        texts = ", ".join(f'"{column}" text' for column in ours)
        keys = ", ".join(names[key] for key in KEY if key in names)
        insert = f"INSERT INTO {name} ({', '.join(names.values())}) SELECT {values}"
        insert += f" FROM jsonb_to_recordset({_ROWS}) AS r({texts})"
        if is_unique:
            changes = ", ".join(f"{given} = EXCLUDED.{given}" for given in names.values())
            insert += f" ON CONFLICT ({keys}) DO UPDATE SET {changes}"
        elif names.keys() >= set(KEY):
            same = f'SELECT 1 FROM {name} WHERE ({keys}) = (r."TRACE_ID", r."SPAN_ID")'  # noqa: S608 - names are quoted
            insert += f" WHERE NOT EXISTS ({same})"
        self.insert = insert.replace("%", "%%").replace(_ROWS, "%s")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def full_name(schema: str, table: str) -> str:
    """Return a table's name with its schema, quoted."""
    return f"{_quoted(schema)}.{_quoted(table)}"


def _cast(column: str, kind: str) -> str:
    if kind.endswith("[]"):
        return f'ARRAY(SELECT jsonb_array_elements_text(r."{column}"::jsonb))::{kind}'
    return f'r."{column}"::{kind}'
