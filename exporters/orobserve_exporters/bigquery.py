"""Google BigQuery, through its REST API: a generation as a row of Broadcast's table, streamed with `insertAll`.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll. A row has an `insertId`, by which BigQuery
knows one that comes again within a minute, as a rule. Of Google's packages only the signing of keys is used.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from orobserve.delivery import Field, HTTPExporter, HTTPRequest, HTTPResponse, Limits, Result, Step, Verdict
from orobserve.delivery.clock import Clock
from orobserve_exporters import _bigquery_table as tables
from orobserve_exporters._bigquery_answers import explained, read, settled, token_refused
from orobserve_exporters._google_account import GRANT, service_account
from orobserve_exporters._otlp import sent_headers
from orobserve_exporters._row import FIELDS, TABLE, row
from orobserve_exporters._spans import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping, Sequence

    from orobserve.delivery import Conversation
    from orobserve.generation import Generation

    Judge = Callable[[HTTPResponse], Result]
    Talk = Generator[Step, HTTPResponse, HTTPResponse]

INSTALL = "pip install 'orobserve[bigquery]'"

_GOOGLE = "https://bigquery.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/bigquery"
_CONTENT_LIMIT = 1_500_000  # bytes of JSON: as a text in JSON, they may become twice as many
_MARGIN = 360  # seconds before its end that a token is given up: longer than a batch is tried for
_NAME = re.compile(r"[\w -]+")
_OK, _UNAUTHORIZED, _FORBIDDEN, _MISSING, _NO_METHOD, _THERE = 200, 401, 403, 404, 405, 409
_GO_ON = Result(verdict=Verdict.DELIVERED)
_WRITE = "bigquery.tables.updateData"
_DDL = "run the statement of `orobserve destinations ddl bigquery`"


class BigQuery(HTTPExporter):
    """Rows by `insertAll`. The table is made if it is missing; an existing one is used as it is."""

    TYPE = "bigquery"
    TITLE = "Google BigQuery"
    FIELDS = (
        Field(
            name="service_account_key",
            help="the JSON of a service-account key, or the path of its file",
            secret=True,
            env=("GOOGLE_APPLICATION_CREDENTIALS",),
        ),
        Field(name="project_id", help="Google Cloud project; the key's if not given", env=("GOOGLE_CLOUD_PROJECT",)),
        Field(name="dataset", help="dataset; it must be there", default="openrouter"),
        replace(TABLE, default="openrouter_traces"),
        Field(
            name="endpoint",
            help="address of the API; an emulator needs no key",
            default=_GOOGLE,
            env=("BIGQUERY_EMULATOR_HOST",),
        ),
        *FIELDS,
    )
    LIMITS = Limits(items=500, bytes=8_000_000)

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take the settings.

        Raises:
            ValueError: there is no key or no project, a name cannot be one, or google-auth is missing.
        """
        super().__init__(config)
        key, endpoint = config["service_account_key"], config["endpoint"].rstrip("/")
        if not key and endpoint == _GOOGLE:
            raise ValueError("set service_account_key, or GOOGLE_APPLICATION_CREDENTIALS to the path of its file")
        self._account = service_account(key, "service_account_key", INSTALL) if key else None
        self._project = config["project_id"] or (self._account and self._account.project)
        if not self._project:
            raise ValueError("set project_id, or GOOGLE_CLOUD_PROJECT: the key does not say it")
        for name in ("dataset", "table"):
            if not _NAME.fullmatch(config[name]):
                raise ValueError(f"{name} must be the bare name of a {name}")
        self._base = f"{endpoint if '://' in endpoint else f'http://{endpoint}'}/bigquery/v2"
        self.clock = Clock()
        self._token, self._until = "", 0.0
        self._table: tables.Table | None = None  # None: not asked yet

    @classmethod
    def ddl(cls, config: Mapping[str, Any]) -> str:
        """Return the statement that makes the table."""
        defaults = {field.name: field.default for field in cls.FIELDS}
        names = (config.get(name) or defaults[name] for name in ("project_id", "dataset", "table"))
        return tables.ddl(".".join(name for name in names if name))

    def encode(self, batch: Sequence[Generation]) -> HTTPRequest:
        """Return the request that writes a batch, with the columns and the token as they are known."""
        return self._signed(self._insert(self._rows(batch)))

    def deliver(self, batch: Sequence[Generation]) -> Conversation:
        """Write a batch, and again those of its rows that could not be taken just then."""
        if self._table is None:
            yield from self._learn()
        rows = self._rows(batch)
        judge = partial(_judge_rows, self.judge, len(rows))
        answer = yield from self._ask(self._insert(rows), _passing(judge, {_MISSING}))
        if answer.status == _MISSING:
            yield from self._learn()
            rows = self._rows(batch)
            answer = yield from self._ask(self._insert(rows), partial(_judge_new_table, judge))
        while rows := [rows[index] for index in settled(answer, len(rows))[0]]:
            answer = yield from self._ask(self._insert(rows), partial(_judge_rows, self.judge, len(rows)))
        return Result(verdict=Verdict.DELIVERED, reason=tables.remark(self._table or tables.OURS))

    def judge(self, response: HTTPResponse) -> Result:
        """Return what an answer means, as far as its status goes."""
        return explained(response) or super().judge(response)

    def probe(self) -> HTTPRequest:
        """Return the question which columns the table has."""
        return self._signed(self._question(self._path))

    def judge_probe(self, response: HTTPResponse) -> Result:
        """Return whether the question was answered."""
        return explained(response) or super().judge_probe(response)

    def examine(self) -> Conversation:
        """Get a token, look at the table, and ask whether rows may be written."""
        answer = yield from self._ask(self._question(self._path), _passing(self.judge_probe, {_MISSING}))
        if answer.status == _MISSING:
            yield from self._ask(self._question(self._dataset), self._judge_dataset)
            reason = "the table is missing: it is made with the first batch, if the service account may"
            return Result(verdict=Verdict.DELIVERED, reason=reason)
        table = tables.read(read(answer))
        if fault := tables.fault(table):
            return Result(verdict=Verdict.REJECTED, reason=fault)
        question = self._post(f"{self._path}:testIamPermissions", {"permissions": [_WRITE]})
        yield from self._ask(question, self._judge_rights)
        return Result(verdict=Verdict.DELIVERED, reason=tables.remark(table))

    def _learn(self) -> Conversation:
        """Ask which columns there are; a table that is missing is made, if it may be."""
        question = self._question(self._path)
        answer = yield from self._ask(question, _passing(self.judge, {_MISSING, _FORBIDDEN}))
        if answer.status == _MISSING:
            reference = {"projectId": self._project, "datasetId": self.config["dataset"]}
            made = {"tableReference": {**reference, "tableId": self.config["table"]}, **tables.resource()}
            yield from self._ask(self._post(f"{self._dataset}/tables", made), self._judge_creation)
            answer = yield from self._ask(question, _passing(self.judge, {_MISSING, _FORBIDDEN}))
        # One that cannot be looked at is sent everything: BigQuery ignores what has no column.
        self._table = tables.read(read(answer)) or tables.OURS
        return None

    def _ask(self, request: HTTPRequest, judge: Judge) -> Talk:
        """Ask with a token that holds; if it holds no longer all the same, with a new one."""
        is_new = yield from self._sign_in()
        can_renew = self._account is not None and not is_new
        answer = yield Step(self._signed(request), _passing(judge, {_UNAUTHORIZED} if can_renew else ()))
        if answer.status == _UNAUTHORIZED:
            self._token = ""
            yield from self._sign_in()
            answer = yield Step(self._signed(request), judge)
        return answer

    def _sign_in(self) -> Generator[Step, HTTPResponse, bool]:
        """Get a token, unless there is one or none is needed; returns whether it is new."""
        if self._account is None or (self._token and self.clock.now() < self._until):
            return False
        assertion = self._account.assertion(_SCOPE, self.clock.epoch() // 10**9)
        request = HTTPRequest(
            url=self._account.token_uri,
            body=urlencode({"grant_type": GRANT, "assertion": assertion}).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            compress=False,
        )
        said = read((yield Step(request, self._judge_token)))
        lasts = said.get("expires_in")
        self._token = said["access_token"]
        self._until = self.clock.now() + (lasts if isinstance(lasts, (int, float)) else 0) - _MARGIN
        return True

    def _judge_token(self, response: HTTPResponse) -> Result:
        result = super().judge(response)
        token = read(response).get("access_token")
        if result.verdict is Verdict.RETRY or (response.status == _OK and token and isinstance(token, str)):
            return result
        return Result(verdict=Verdict.REJECTED, reason=token_refused(response))

    def _judge_creation(self, response: HTTPResponse) -> Result:
        if response.status == _THERE:  # somebody was quicker
            return _GO_ON
        if response.status == _MISSING:
            return self._judge_dataset(response)
        result = self.judge(response)
        if response.status != _FORBIDDEN or result.verdict is Verdict.RETRY:
            return result
        reason = f"there is no table {self.config['table']}, and the service account may not make it: {_DDL}, or"
        return Result(verdict=Verdict.REJECTED, reason=f"{reason} grant it BigQuery Data Editor on the dataset")

    def _judge_dataset(self, response: HTTPResponse) -> Result:
        if response.status != _MISSING:
            return self.judge_probe(response)
        reason = f"there is no dataset {self.config['dataset']} in {self._project}: make it, or check project_id and"
        return Result(verdict=Verdict.REJECTED, reason=f"{reason} dataset (HTTP {_MISSING})")

    def _judge_rights(self, response: HTTPResponse) -> Result:
        if response.status == _NO_METHOD:  # an emulator that knows no rights
            return _GO_ON
        result = self.judge_probe(response)
        if result.verdict is not Verdict.DELIVERED or _WRITE in (read(response).get("permissions") or ()):
            return result
        reason = f"the service account lacks {_WRITE}: grant it BigQuery Data Editor on the dataset"
        return Result(verdict=Verdict.REJECTED, reason=reason)

    def _rows(self, batch: Sequence[Generation]) -> list[dict[str, Any]]:
        table = tables.OURS if self._table is None else self._table
        return [tables.item(row(generation, self.config, _CONTENT_LIMIT), table) for generation in batch]

    def _insert(self, rows: list[dict[str, Any]]) -> HTTPRequest:
        said = {"skipInvalidRows": True, "ignoreUnknownValues": True, "rows": rows}
        return self._post(f"{self._path}/insertAll", said)

    @property
    def _dataset(self) -> str:
        return f"/projects/{quote(str(self._project), safe=':')}/datasets/{quote(self.config['dataset'])}"

    @property
    def _path(self) -> str:
        return f"{self._dataset}/tables/{quote(self.config['table'])}"

    def _question(self, path: str) -> HTTPRequest:
        return HTTPRequest(url=self._base + path, method="GET")

    def _post(self, path: str, said: Mapping[str, Any]) -> HTTPRequest:
        headers = {"Content-Type": "application/json"}
        return HTTPRequest(url=self._base + path, body=as_json(said).encode(), headers=headers)

    def _signed(self, request: HTTPRequest) -> HTTPRequest:
        token = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return replace(request, headers=sent_headers(self, {**request.headers, **token}))


def _passing(judge: Judge, statuses: Collection[int]) -> Judge:
    """Return a judge that goes on where an answer has one of some statuses, unless it is to be had later."""

    def judged(response: HTTPResponse) -> Result:
        result = judge(response)
        return _GO_ON if response.status in statuses and result.verdict is not Verdict.RETRY else result

    return judged


def _judge_rows(judge: Judge, count: int, response: HTTPResponse) -> Result:
    result = judge(response)
    return settled(response, count)[1] if result.verdict is Verdict.DELIVERED else result


def _judge_new_table(judge: Judge, response: HTTPResponse) -> Result:
    """Wait for a table that is there and not known everywhere yet, which takes BigQuery minutes."""
    result = judge(response)
    return replace(result, verdict=Verdict.RETRY) if response.status == _MISSING else result
