"""ClickHouse, through its HTTP interface: batches of rows into the table of Broadcast, each batch stored once.

A repeated insert is recognised by `insert_deduplication_token`, if the table remembers tokens: ours does, ClickHouse
Cloud's and replicated ones do, a plain MergeTree does not. https://clickhouse.com/docs/interfaces/http
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from orobserve.delivery import Field, HTTPExporter, HTTPRequest, Limits, Result, Step, Verdict
from orobserve_exporters._figures import moment
from orobserve_exporters._otlp import sent_headers
from orobserve_exporters._row import COLUMNS, FIELDS, TABLE, Kind, fitted, missing, row
from orobserve_exporters._spans import as_json

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from orobserve.delivery import Conversation, HTTPResponse
    from orobserve.generation import Generation
    from orobserve_exporters._row import Column

_TYPES = {
    Kind.TEXT: "String",
    Kind.TIME: "DateTime64(3)",
    Kind.MILLISECONDS: "Float64",
    Kind.COUNT: "UInt64",
    Kind.USD: "Decimal(38, 15)",  # sums of money to the last digit
    Kind.TEXTS: "Array(String)",
    Kind.JSON: "String",
}
_BARE = {Kind.TEXTS, Kind.JSON}  # empty, not NULL: JSON functions read an empty text as nothing
_WORDS = {"STATUS", "LEVEL", "SPAN_TYPE"}  # of few values
_OK = 200
_CODE = re.compile(rb"Code: (\d+)\.")
_NAME = re.compile(r"\(([A-Z][A-Z_0-9]+)\)")
_NO_SUCH_COLUMN, _NO_TABLE, _NO_DATABASE, _DENIED, _TOO_MANY_PARTS = 16, 60, 81, 497, 252
_LATER = {159, 202, 209, 210, 241, 242, 319, 999}  # busy, slow, out of memory, read-only, Keeper: may pass
_PARTS_PAUSE = 15.0  # seconds in which merges catch up
_ONE_ROW = {6, 26, 27, 38, 41, 69, 70, 72, 117, 130, 131, 349, 691}  # a value that cannot be read or stored
_WRONG_LOGIN = {192, 193, 194, 516}
_LOGIN_HINT = "the credentials are refused: check username and password"


class ClickHouse(HTTPExporter):
    """Rows by `INSERT ... FORMAT JSONEachRow`. The table is made if it is missing; an existing one is used as it is."""

    TYPE = "clickhouse"
    TITLE = "ClickHouse"
    FIELDS = (
        Field(
            name="host",
            help="HTTP endpoint, https://<name>.clickhouse.cloud:8443 or http://localhost:8123",
            required=True,
            env=("CLICKHOUSE_URL", "CLICKHOUSE_HOST"),
        ),
        Field(name="database", help="database", default="default", env=("CLICKHOUSE_DATABASE",)),
        Field(name="username", help="user", default="default", env=("CLICKHOUSE_USER", "CLICKHOUSE_USERNAME")),
        Field(name="password", help="its password", secret=True, env=("CLICKHOUSE_PASSWORD",)),
        TABLE,
        Field(
            name="async_insert",
            help="let the server collect the batches of many processes; they count once they are written",
            default=True,
            kind=bool,
        ),
        *FIELDS,
    )
    # Small inserts are what ClickHouse dislikes most; an idle service of its cloud needs a while to wake.
    LIMITS = Limits(items=2_000, bytes=16_000_000, timeout=30.0)

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take the settings.

        Raises:
            ValueError: `host` is no HTTP address.
        """
        super().__init__(config)
        address = urlsplit(config["host"])
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ValueError("host must be a full address, such as https://clickhouse.example.com:8443")
        self._address = config["host"].rstrip("/")
        self._columns: dict[str, bool] | None = None  # of the table, and whether they may be NULL, once it was asked

    @classmethod
    def ddl(cls, config: Mapping[str, Any]) -> str:
        """Return the statement that makes the table."""
        name = _table(config["database"] or "default", config["table"] or TABLE.default)
        lines = ",\n".join(f"  {_definition(column)}" for column in COLUMNS)
        return (
            f"CREATE TABLE IF NOT EXISTS {name} (\n{lines}\n)\n"
            "ENGINE = MergeTree\n"
            "PARTITION BY toYYYYMM(TIMESTAMP)\n"
            "ORDER BY (TIMESTAMP, TRACE_ID, SPAN_ID)\n"
            "SETTINGS non_replicated_deduplication_window = 1000"
        )

    def encode(self, batch: Sequence[Generation]) -> HTTPRequest:
        """Return the insert. The same batch gives the same bytes and, by their hash, the same token."""
        rows = [row(generation, self.config) for generation in batch]
        if self._columns is not None:
            rows = [fitted(found, self._columns) for found in rows]
        body = "\n".join(as_json({name: _value(value, name) for name, value in found.items()}) for found in rows)
        data = body.encode()
        is_async = bool(self.config["async_insert"])
        settings = {
            "insert_deduplication_token": hashlib.sha256(data).hexdigest(),
            "async_insert": int(is_async),
            **({"wait_for_async_insert": 1, "async_insert_deduplicate": 1} if is_async else {}),
            "date_time_input_format": "best_effort",
            "input_format_skip_unknown_fields": 1,
            "input_format_null_as_default": 1,
        }
        return self._request(f"INSERT INTO {self._table} FORMAT JSONEachRow", settings, data)

    def deliver(self, batch: Sequence[Generation]) -> Conversation:
        """Insert a batch, after a look at the table where it is not known yet, or has changed."""
        if self._columns is None:
            yield from self._learn()
        answer = yield Step(self.encode(batch), self._judge_insert)
        if _code(answer) in {_NO_SUCH_COLUMN, _NO_TABLE}:  # somebody has altered or dropped it
            yield from self._learn()
            yield Step(self.encode(batch), self.judge)
        return Result(verdict=Verdict.DELIVERED, reason=missing(self._columns or ()))

    def examine(self) -> Conversation:
        """Log in, look at the table, and see whether it may be filled and whether it knows repeated batches."""
        yield Step(self.probe(), self.judge_probe)
        yield from self._learn()
        yield Step(self._select(f"CHECK GRANT INSERT ON {self._table}"), self._judge_grant)
        answer = yield Step(self._select(_MADE_BY, **self._names), self.judge)
        made = str((_rows(answer) or [{}])[0].get("made", ""))
        remarks = [missing(self._columns or ())]
        if " ENGINE = MergeTree" in made and not re.search(r"deduplication_window = [1-9]", made):
            remarks.append(
                "a batch that is sent twice, after a lost answer, would be stored twice; to mend that: "
                f"ALTER TABLE {self._table} MODIFY SETTING non_replicated_deduplication_window = 1000"
            )
        return Result(verdict=Verdict.DELIVERED, reason="; ".join(filter(None, remarks)))

    def judge(self, response: HTTPResponse) -> Result:
        """Return what became of a batch, by ClickHouse's own code: its status is 500 whatever the cause."""
        code = _code(response)
        if code is None:
            return super().judge(response)
        name = (_NAME.findall(response.body[-200:].decode("utf-8", "replace")) or [""])[-1]
        said = f"ClickHouse answers with code {code} {name}".rstrip()
        if code == _TOO_MANY_PARTS:
            return Result(verdict=Verdict.RETRY, reason=said, retry_after=_PARTS_PAUSE)
        if code in _LATER:
            return Result(verdict=Verdict.RETRY, reason=said)
        if code in _ONE_ROW:
            return Result(verdict=Verdict.TOO_LARGE, reason=said)  # halves may be taken, all but that row in the end
        hint = self._hint(code)
        return Result(verdict=Verdict.REJECTED, reason=f"{hint} ({said})" if hint else said)

    def probe(self) -> HTTPRequest:
        """Return a query that needs a login."""
        return self._select("SELECT 1")

    def judge_probe(self, response: HTTPResponse) -> Result:
        """Return whether the login passed."""
        return self.judge(response) if _code(response) is not None else super().judge_probe(response)

    def _learn(self) -> Generator[Step, HTTPResponse, None]:
        """Read the table's columns, and make the table if there is none."""
        answer = yield Step(self._select(_COLUMNS, **self._names), self._judge_look)
        if _code(answer) == _DENIED:  # then everything is sent; what the table does not have is left out there
            self._columns = None
            return
        found = [column for column in _rows(answer) if column.get("name")]
        if not found:
            yield Step(self._statement(self.ddl(self.config)), self._judge_create)
        columns = {column["name"]: "Nullable" in column["type"] for column in found}
        self._columns = columns or {column.name: not column.required for column in COLUMNS}

    def _judge_insert(self, response: HTTPResponse) -> Result:
        gone = _code(response) in {_NO_SUCH_COLUMN, _NO_TABLE}
        return Result(verdict=Verdict.DELIVERED) if gone else self.judge(response)

    def _judge_look(self, response: HTTPResponse) -> Result:
        return Result(verdict=Verdict.DELIVERED) if _code(response) == _DENIED else self.judge(response)

    def _judge_create(self, response: HTTPResponse) -> Result:
        result = self.judge(response)
        if _code(response) != _DENIED:
            return result
        reason = (
            f"there is no table {self._table}, and the user may not make it: run the statement of `orobserve "
            f"destinations ddl clickhouse`, or GRANT CREATE TABLE, INSERT ON {self._table} TO {self.config['username']}"
        )
        return Result(verdict=Verdict.REJECTED, reason=reason)

    def _judge_grant(self, response: HTTPResponse) -> Result:
        if _code(response) is not None:  # a server before 24.10 has no such statement: the first batch will tell
            return Result(verdict=Verdict.DELIVERED)
        if _rows(response) == [{"result": 0}]:
            return Result(verdict=Verdict.REJECTED, reason=self._hint(_DENIED))
        return self.judge(response)

    def _hint(self, code: int) -> str:
        if code in _WRONG_LOGIN:
            return _LOGIN_HINT
        hints = {
            _NO_DATABASE: f"there is no database {self.config['database']}: check database",
            _NO_TABLE: f"there is no table {self._table}: check database and table",
            _DENIED: f"the user lacks a permission: GRANT INSERT ON {self._table} TO {self.config['username']}",
        }
        return hints.get(code, "")

    @property
    def _table(self) -> str:
        return _table(self.config["database"], self.config["table"])

    @property
    def _names(self) -> dict[str, str]:
        return {"param_database": self.config["database"], "param_table": self.config["table"]}

    def _select(self, query: str, **settings: str) -> HTTPRequest:
        return self._request(query, {"default_format": "JSONEachRow", **settings}, b"")

    def _statement(self, statement: str) -> HTTPRequest:
        return self._request("", {}, statement.encode())

    def _request(self, query: str, settings: Mapping[str, Any], body: bytes) -> HTTPRequest:
        asked = {"query": query} if query else {}
        own = {"X-ClickHouse-User": self.config["username"], "X-ClickHouse-Key": self.config["password"] or ""}
        return HTTPRequest(
            url=f"{self._address}/?{urlencode({**asked, 'wait_end_of_query': 1, **settings})}",
            headers=sent_headers(self, {**own, "Content-Type": "text/plain; charset=utf-8"}),
            body=body,
        )


_COLUMNS = "SELECT name, type FROM system.columns WHERE database = {database:String} AND table = {table:String}"
_MADE_BY = (
    "SELECT create_table_query AS made FROM system.tables WHERE database = {database:String} AND name = {table:String}"
)


def _table(database: str, table: str) -> str:
    return f"{_quoted(database)}.{_quoted(table)}"


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _definition(column: Column) -> str:
    kind = _TYPES[column.kind]
    if column.name in _WORDS:
        kind = f"LowCardinality({kind})"
    elif not column.required and column.kind not in _BARE:
        kind = f"Nullable({kind})"
    return f"{_quoted(column.name)} {kind} COMMENT '{column.comment}'"


_TIMES = {column.name for column in COLUMNS if column.kind is Kind.TIME}


def _value(value: Any, column: str) -> Any:  # noqa: ANN401 - of any column
    """Return a value as JSON of ClickHouse's: times as text, in UTC whatever the server's zone."""
    if column not in _TIMES or value is None:
        return value
    return moment(value).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _code(response: HTTPResponse) -> int | None:
    """Return ClickHouse's own error code; None where it reports no error."""
    header = response.headers.get("x-clickhouse-exception-code", "")
    if header.isdigit():
        return int(header)
    found = _CODE.match(response.body) if response.status != _OK else None
    return int(found[1]) if found else None


def _rows(response: HTTPResponse) -> list[dict[str, Any]]:
    try:
        found = [json.loads(line) for line in response.body.decode().split("\n") if line]
    except ValueError:
        return []
    return [line for line in found if isinstance(line, dict)]
