"""PostgreSQL, or Supabase by its connection string: the columns of Broadcast's warehouses, one row per generation.

A batch is one statement: the rows travel as one JSON document and are unpacked by the server, cast to whatever types
the table has. A row that is sent again replaces itself, by the primary key (trace_id, span_id).
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from orobserve.delivery import DirectExporter, Field, Limits, Result, Verdict
from orobserve_exporters._figures import moment
from orobserve_exporters._postgres_table import COLUMNS_QUERY, KEY, UNIQUE_QUERY, Table, create, full_name
from orobserve_exporters._row import COLUMNS, FIELDS, Kind, fitted, row
from orobserve_exporters._spans import as_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orobserve.generation import Generation
    from orobserve_exporters._row import Row

INSTALL = "pip install 'orobserve[postgres]'"
_TIMES = {column.name for column in COLUMNS if column.kind is Kind.TIME}
_MOST = 8_000_000  # characters of one statement's rows
_CONNECT_TIMEOUT = 10  # seconds
_STATEMENT_TIMEOUT = "30s"
_GONE = {"42P01", "42703"}  # the table, or a column of it
_NO_UNIQUE_INDEX = "42P10"
_DENIED = "42501"
_HINTS = {
    "28": "the credentials are refused: check the user and the password of url",
    "3D": "there is no such database: check url",
    "refused": "nobody listens there: check host and port of url",
    "unknown": "the name is not found by DNS: check the host of url",
    "timeout": "no answer in time: check host and port of url, and the network's rules",
    "TLS": "the TLS handshake failed: check sslmode and sslrootcert of url",
}
_DATA = "22"  # class of errors that a value causes
_FINAL = {"22", "23", "28", "3D", "42", "0A"}  # classes of errors that do not pass by themselves


class Postgres(DirectExporter):
    """One connection, opened at the first batch. The table is made if it is missing; else it is used as it is."""

    TYPE = "postgres"
    TITLE = "PostgreSQL, or Supabase"
    FIELDS = (
        Field(
            name="url",
            help="postgresql://user:password@host:5432/database; libpq's own variables (PGHOST, ...) if not given",
            secret=True,
            env=("POSTGRES_URL", "DATABASE_URL"),
        ),
        Field(name="schema", help="schema of the table", default="public"),
        Field(name="table", help="table; it is made if it is missing and may be", default="openrouter_traces"),
        *FIELDS,
    )
    LIMITS = Limits(items=500)
    UPDATES = True

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take the settings.

        Raises:
            ValueError: psycopg is not installed, or `url` is no address.
        """
        super().__init__(config)
        try:
            self._psycopg: Any = import_module("psycopg")
        except ImportError as error:
            raise ValueError(f"the postgres destination needs psycopg: {INSTALL} ({error})") from error
        try:
            self._psycopg.conninfo.conninfo_to_dict(config["url"] or "")
        except self._psycopg.Error:
            raise ValueError("url must be postgresql://user:password@host:5432/database") from None
        self._connection: Any = None
        self._process = os.getpid()
        self._inherited: list[Any] = []  # connections of the parent process, which are its own to close
        self._table: Table | None = None

    @classmethod
    def ddl(cls, config: Mapping[str, Any]) -> str:
        """Return the statements that make the table and its index."""
        return create(config["schema"] or "public", config["table"] or "openrouter_traces")

    def export(self, batch: Sequence[Generation]) -> Result:
        """Store a batch, after a look at the table where it is not known yet, or has changed."""
        psycopg = self._psycopg
        try:
            try:
                table = self._table or self._learn()
                self._store(table, batch)
            except psycopg.Error as error:
                if error.sqlstate not in {*_GONE, _NO_UNIQUE_INDEX} or self._table is None:
                    raise
                table = self._learn()
                self._store(table, batch)
        except psycopg.Error as error:
            return self._failure(error)
        return Result(verdict=Verdict.DELIVERED, reason=table.remark)

    def payloads(self, batch: Sequence[Generation]) -> list[bytes]:
        """Return the JSON documents of rows that a batch is sent as."""
        columns = self._table.nullable if self._table else {column.name: True for column in COLUMNS}
        found = {tuple(each[key] for key in KEY): each for each in (row(call, self.config) for call in batch)}
        lines = [as_json(_values(fitted(each, columns))) for each in found.values()]
        return [f"[{','.join(part)}]".encode() for part in _parts(lines)]

    def check(self) -> Result:
        """Connect, look at the table, and see whether it may be filled."""
        try:
            table = self._learn()
            with self._connected().cursor() as cursor:
                allowed = "SELECT " + ", ".join(f"has_table_privilege(%s, '{right}')" for right in _RIGHTS)
                granted = cursor.execute(allowed, [self._name] * len(_RIGHTS)).fetchone()
        except self._psycopg.Error as error:
            return self._failure(error)
        lacking = [right for right, has in zip(_RIGHTS, granted, strict=True) if not has]
        if lacking:
            return Result(verdict=Verdict.REJECTED, reason=self._denied(", ".join(lacking)))
        if table.unfillable:
            reason = f"the table has columns that need a value which there is not: {', '.join(table.unfillable)}"
            return Result(verdict=Verdict.REJECTED, reason=f"{reason}; let them be NULL, or give them a default")
        return Result(verdict=Verdict.DELIVERED, reason=table.remark)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None and self._process == os.getpid():
            self._connection.close()
        self._connection = None

    @property
    def _name(self) -> str:
        return full_name(self.config["schema"], self.config["table"])

    def _connected(self) -> Any:  # noqa: ANN401 - psycopg is not always installed
        if self._process != os.getpid():  # a forked child
            self._inherited.append(self._connection)
            self._process, self._connection = os.getpid(), None
        if self._connection is None or self._connection.closed:
            self._connection = self._psycopg.connect(
                self.config["url"] or "",
                autocommit=True,
                prepare_threshold=None,  # poolers between transactions know no prepared statements
                connect_timeout=_CONNECT_TIMEOUT,
                application_name="orobserve",
                tcp_user_timeout=30_000,  # milliseconds
            )
        return self._connection

    def _learn(self) -> Table:
        """Read the table's columns and indexes, and make the table if there is none."""
        connection = self._connected()
        place = (self.config["schema"], self.config["table"])
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('orobserve'))")  # of processes that start together
            columns = cursor.execute(COLUMNS_QUERY, place).fetchall()
            if not columns:
                cursor.execute(self.ddl(self.config))
                columns = cursor.execute(COLUMNS_QUERY, place).fetchall()
            is_unique = cursor.execute(UNIQUE_QUERY, place).fetchone() is not None
        self._table = Table(self._name, columns, is_unique=is_unique)
        return self._table

    def _store(self, table: Table, batch: Sequence[Generation]) -> None:
        connection = self._connected()
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{_STATEMENT_TIMEOUT}'")
            for payload in self.payloads(batch):
                cursor.execute(table.insert, [payload.decode()])

    def _failure(self, error: Any) -> Result:  # noqa: ANN401 - a psycopg.Error
        """Return what an error means. Its text may quote a row, so only its code and kind are told."""
        code, text = error.sqlstate or "", str(error)
        said = f"PostgreSQL answers with {type(error).__name__}{f' ({code})' if code else ''}"
        if code in _GONE:
            self._table = None
        if code == _DENIED:
            return Result(verdict=Verdict.REJECTED, reason=f"{self._denied(', '.join(_RIGHTS))} ({said})")
        kind = code[:2] or next((kind for word, kind in _CONNECTING.items() if word in text), "")
        if kind == _DATA:
            return Result(verdict=Verdict.TOO_LARGE, reason=said)  # one value is to blame: halves may be taken
        hint = _HINTS.get(kind)
        verdict = Verdict.REJECTED if kind in _FINAL else Verdict.RETRY
        return Result(verdict=verdict, reason=f"{hint} ({said})" if hint else said)

    def _denied(self, rights: str) -> str:
        return (
            f"the user lacks a permission: GRANT {rights} ON {self._name}; if there is no such table yet, make it by "
            "the statements of `orobserve destinations ddl postgres`, or GRANT CREATE ON SCHEMA"
        )


_RIGHTS = ("INSERT", "SELECT", "UPDATE")
_CONNECTING = {  # libpq gives no code for what fails before there is a session
    "authentication failed": "28",
    "no password supplied": "28",
    "does not exist": "3D",
    "Connection refused": "refused",
    "resolve host": "unknown",
    "translate host": "unknown",
    "Name or service not known": "unknown",
    "timeout": "timeout",
    "SSL": "TLS",
}


def _values(found: Row) -> Row:
    """Return a row as JSON: times as text."""
    return {
        name: moment(value).isoformat() if name in _TIMES and value is not None else value
        for name, value in found.items()
    }


def _parts(lines: Sequence[str]) -> Iterator[list[str]]:
    """Return the rows in groups of about as much text as one statement should have."""
    part: list[str] = []
    size = 0
    for line in lines:
        if part and size + len(line) > _MOST:
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line)
    if part:
        yield part
