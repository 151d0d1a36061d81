"""Snowflake, through its SQL API: a generation as a row of Broadcast's table, and no client library.

https://docs.snowflake.com/en/developer-guide/sql-api/reference. Every statement that writes wakes the warehouse, of
which a minute is billed: that is why generations wait for each other here.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from orobserve.delivery import Field, HTTPExporter, HTTPRequest, HTTPResponse, Limits, Result, Step, Verdict
from orobserve_exporters import _snowflake_sql as sql
from orobserve_exporters._otlp import sent_headers
from orobserve_exporters._row import COLUMNS, FIELDS, TABLE, Kind, fitted, missing, row, unfillable
from orobserve_exporters._snowflake_answers import (
    MISSING,
    STALE,
    Known,
    columns,
    ended,
    explained,
    handle,
    sql_code,
    started,
)
from orobserve_exporters._spans import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from orobserve.delivery import Conversation
    from orobserve.generation import Generation
    from orobserve_exporters._row import Row

    Judge = Callable[[HTTPResponse], Result]
    Talk = Generator[Step, HTTPResponse, HTTPResponse]

_ACCOUNT = re.compile(r"[a-zA-Z0-9_]+(?:[.-][a-zA-Z0-9_]+)*")
_DOMAIN = ".snowflakecomputing.com"
_CONTENT_LIMIT = 1_500_000  # bytes of JSON: as JSON in JSON, they may become twice as many
_TIMEOUT = 120  # seconds that a statement may take
_SLACK = 1_000_000_000  # nanoseconds: a table's times may be rounded
_RUNNING, _SQL_FAILED = 202, 422
_GO_ON = Result(verdict=Verdict.DELIVERED)
_DDL = "run `orobserve destinations ddl snowflake` and have its statement executed"
_JSON = {column.name for column in COLUMNS if column.kind is Kind.JSON}
_OURS = {
    column.name: Known(nullable=not column.required, length=column.length if column.kind is Kind.TEXT else None)
    for column in COLUMNS
}


class Snowflake(HTTPExporter):
    """Snowflake. A table that is there is taken as it is: only columns that it has are written."""

    TYPE = "snowflake"
    TITLE = "Snowflake"
    FIELDS = (
        Field(name="account", help="such as myorg-account123", required=True, env=("SNOWFLAKE_ACCOUNT",)),
        Field(
            name="token",
            help="programmatic access token; its user needs a network policy",
            required=True,
            secret=True,
            env=("SNOWFLAKE_TOKEN", "SNOWFLAKE_PAT"),
        ),
        Field(name="database", help="database", default="SNOWFLAKE_LEARNING_DB", env=("SNOWFLAKE_DATABASE",)),
        Field(name="schema", help="schema", default="PUBLIC", env=("SNOWFLAKE_SCHEMA",)),
        TABLE,
        Field(name="warehouse", help="warehouse", default="COMPUTE_WH", env=("SNOWFLAKE_WAREHOUSE",)),
        Field(name="role", help="role; the user's default if not given", env=("SNOWFLAKE_ROLE",)),
        Field(name="host", help="address, for a private link or another cloud", env=("SNOWFLAKE_HOST",)),
        Field(name="exact", help="find what is there already (MERGE): dearer, no duplicates", default=True, kind=bool),
        Field(name="flush_seconds", help="how long generations wait for others", default=60, kind=int),
        *FIELDS,
    )

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take the settings.

        Raises:
            ValueError: the account cannot be one.
        """
        super().__init__(config)
        self._base = _base(config["account"], config["host"])
        self._place = _place(config)
        # A statement is answered after 45 seconds at the latest, done or not.
        self.LIMITS = Limits(items=1000, bytes=8_000_000, linger=max(0, config["flush_seconds"]), timeout=60.0)
        self.UPDATES = bool(config["exact"])
        self._known: Mapping[str, Known] | None = None  # columns; None: not asked yet

    @classmethod
    def ddl(cls, config: Mapping[str, Any]) -> str:
        """Return the statement that makes the table."""
        defaults = {field.name: field.default for field in cls.FIELDS}
        return sql.create(_place({name: config.get(name) or default for name, default in defaults.items()}))

    def encode(self, batch: Sequence[Generation]) -> HTTPRequest:
        """Return the request that writes a batch, with the columns as they are known."""
        return self._write(batch, 1)

    def deliver(self, batch: Sequence[Generation]) -> Conversation:
        """Write a batch; once again if the table turns out to be another than it was."""
        if self._known is None:
            yield from self._learn()
        answer = yield from self._run(self._write(batch, 1), self._judge_first)
        if answer.status == _SQL_FAILED:
            yield from self._learn()
            yield from self._run(self._write(batch, 2), self.judge)
        return Result(verdict=Verdict.DELIVERED, reason=missing(self._known or ()))

    def judge(self, response: HTTPResponse) -> Result:
        """Return what became of a statement."""
        return explained(response) or super().judge(response)

    def probe(self) -> HTTPRequest:
        """Return the question which columns the table has."""
        return self._request(sql.describe(self._place))

    def judge_probe(self, response: HTTPResponse) -> Result:
        """Return whether the question was answered."""
        return explained(response) or super().judge_probe(response)

    def examine(self) -> Conversation:
        """Look at the table, then write no rows into it: that needs the warehouse, and every right."""
        answer = yield Step(self.probe(), partial(self._judge_missing, self.judge_probe))
        if answer.status == _SQL_FAILED:
            return Result(
                verdict=Verdict.DELIVERED,
                reason="the table is missing: it is made with the first batch, if the role may",
            )
        known = columns(answer)
        needed = unfillable(
            {name: found.nullable for name, found in known.items()},
            [name for name, found in known.items() if found.default],
        )
        if needed:
            reason = f"the table's {', '.join(needed)} must have values that there are not: drop NOT NULL there"
            return Result(verdict=Verdict.REJECTED, reason=reason)
        if lacking := [name for name in sql.KEYS if name not in known]:
            return Result(verdict=Verdict.REJECTED, reason=f"the table lacks {', '.join(lacking)}: check table")
        yield Step(self._request(self._statement(known, None), "[]"), self.judge_probe)
        return Result(verdict=Verdict.DELIVERED, reason=missing(known))

    def _learn(self) -> Conversation:
        """Ask which columns there are; a table that is missing is made, if it may be."""
        judge = partial(self._judge_columns, self.judge)
        answer = yield from self._run(self.probe(), partial(self._judge_missing, judge))
        if answer.status == _SQL_FAILED:
            yield from self._run(self._request(sql.create(self._place)), self._judge_creation)
            answer = yield from self._run(self.probe(), judge)
        self._known = columns(answer)
        return None

    def _run(self, request: HTTPRequest, judge: Judge) -> Talk:
        """Have a statement run, and wait for its end."""
        answer = yield Step(request, started(judge))
        if answer.status == _RUNNING:
            answer = yield Step(self._question(handle(answer)), ended(judge))
        return answer

    def _judge_first(self, response: HTTPResponse) -> Result:
        """Go on where a second try may find the table, or a column, as it is by now."""
        stale = response.status == _SQL_FAILED and sql_code(response) in STALE
        return _GO_ON if stale else self.judge(response)

    @staticmethod
    def _judge_missing(judge: Judge, response: HTTPResponse) -> Result:
        """Go on where the table is missing: it is made then."""
        gone = response.status == _SQL_FAILED and sql_code(response) in MISSING
        return _GO_ON if gone else judge(response)

    def _judge_columns(self, judge: Judge, response: HTTPResponse) -> Result:
        result = judge(response)
        if response.status == _RUNNING or result.verdict is not Verdict.DELIVERED:
            return result
        if set(sql.KEYS) <= set(columns(response)):
            return result
        return Result(verdict=Verdict.REJECTED, reason=f"the table lacks {' or '.join(sql.KEYS)}: check table")

    def _judge_creation(self, response: HTTPResponse) -> Result:
        result = self.judge(response)
        if response.status != _SQL_FAILED:
            return result
        reason = f"the table is missing and cannot be made: {_DDL}, or grant USAGE and CREATE TABLE on the schema"
        return Result(verdict=Verdict.REJECTED, reason=f"{reason}; {result.reason}")

    def _write(self, batch: Sequence[Generation], attempt: int) -> HTTPRequest:
        """Return the request that writes a batch. Its id is that of its content: run twice, it is run once."""
        known = self._known or _OURS
        rows: dict[tuple[Any, ...], Row] = {}  # MERGE takes equal rows of one source for two
        for generation in batch:
            found = _cut(fitted(row(generation, self.config, _CONTENT_LIMIT), _nullable(known)), known)
            rows[tuple(found[key] for key in sql.KEYS)] = found
        times = [generation.timing.started_at for generation in batch]
        bounds = (min(times) - _SLACK, max(times) + _SLACK) if "TIMESTAMP" in known else None
        written = "[" + ",".join(_as_object(found) for found in rows.values()) + "]"
        return self._request(self._statement(known, bounds), written, attempt)

    def _statement(self, known: Mapping[str, Known], times: tuple[int, int] | None) -> str:
        written = [column.name for column in COLUMNS if column.name in known]
        if self.config["exact"]:
            return sql.merge(self._place, written, times)
        return sql.insert(self._place, written)

    def _request(self, statement: str, rows: str | None = None, attempt: int = 0) -> HTTPRequest:
        """Return the request that runs a statement; one that has an attempt can be sent again safely."""
        made = {
            "statement": statement,
            "timeout": _TIMEOUT,
            "database": self._place.database,
            "schema": self._place.schema,
            "warehouse": sql.resolved(self.config["warehouse"]),
            "role": sql.resolved(self.config["role"]) if self.config["role"] else None,
            "bindings": None if rows is None else {"1": {"type": "TEXT", "value": rows}},
            "parameters": {"timezone": "UTC", "query_tag": "orobserve"},
        }
        body = as_json({name: value for name, value in made.items() if value is not None})
        url = f"{self._base}/api/v2/statements"
        if attempt:
            url += f"?requestId={uuid5(NAMESPACE_URL, f'{url}#{attempt}#{body}')}&retry=true"
        headers = {**self._credentials, "Content-Type": "application/json"}
        return HTTPRequest(url=url, body=body.encode(), headers=sent_headers(self, headers), compress=False)

    def _question(self, statement: str) -> HTTPRequest:
        """Return the question how far a statement is."""
        url = f"{self._base}/api/v2/statements/{statement}"
        return HTTPRequest(url=url, method="GET", headers=sent_headers(self, self._credentials))

    @property
    def _credentials(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.config['token']}",
            "X-Snowflake-Authorization-Token-Type": "PROGRAMMATIC_ACCESS_TOKEN",
            "Accept": "application/json",
        }


def _base(account: str, host: str | None) -> str:
    if host:
        return (host if "://" in host else f"https://{host}").rstrip("/")
    account = account.removesuffix(_DOMAIN)
    if not _ACCOUNT.fullmatch(account):
        raise ValueError("account must be an account identifier, such as myorg-account123 or xy12345.us-east-1")
    return f"https://{account.replace('_', '-')}{_DOMAIN}"  # names of hosts have no underscores


def _place(config: Mapping[str, Any]) -> sql.Place:
    return sql.Place(**{name: sql.resolved(config[name]) for name in ("database", "schema", "table")})


def _nullable(known: Mapping[str, Known]) -> dict[str, bool]:
    return {name: found.nullable for name, found in known.items()}


def _cut(found: Row, known: Mapping[str, Known]) -> Row:
    """Return a row with its texts as long as the table takes them; an id that is longer is whole in METADATA."""
    return {
        name: value[: known[name].length] if isinstance(value, str) and name not in _JSON else value
        for name, value in found.items()
    }


def _as_object(found: Row) -> str:
    """Return a row as JSON. What is not known is left out: a JSON null is not NULL in a VARIANT."""
    known = {name: value for name, value in found.items() if value is not None}
    return (
        "{" + ",".join(f'"{name}":{value if name in _JSON else as_json(value)}' for name, value in known.items()) + "}"
    )
