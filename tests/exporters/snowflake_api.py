"""A stand-in for Snowflake's SQL API, which nobody else serves: the envelope is ours, the SQL runs on fakesnow.

It is strict: a request that is not as https://docs.snowflake.com/en/developer-guide/sql-api/reference has it is
answered 400 and kept in `complaints`. A statement whose `requestId` has been here with `retry=true` is not run again.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

from tests.delivery.servers import Answer, Received, Server

if TYPE_CHECKING:
    from tests.exporters.warehouse_engines import Snowflake

TOKEN = "canary-pat-6f0d"
PLACE = {"database": "SNOWFLAKE_LEARNING_DB", "schema": "PUBLIC", "warehouse": "COMPUTE_WH"}
_KEYS = {*PLACE, "statement", "timeout", "role", "bindings", "parameters"}


class SqlApi(Server):
    """Answers by running what it is asked.

    Attributes:
        statements: what was run, by its first two words.
        complaints: what was wrong with requests.
        script: answers to be given first, in the place of running anything; None runs it.
        slow: how often a statement is still running when it is asked for; None: never.
    """

    def __init__(self, engine: Snowflake) -> None:
        super().__init__()
        self.statements: list[str] = []
        self.complaints: list[str] = []
        self.script: list[Answer | None] = []
        self.slow: int | None = None
        self._engine = engine
        self._by_id: dict[str, Answer] = {}
        self._running: dict[str, tuple[int, Answer]] = {}
        self._one_by_one = threading.Lock()

    def take(self, request: Received) -> Answer:
        with self._one_by_one:
            self.requests.append(request)
            scripted = self.script.pop(0) if self.script else None
            if scripted is not None:
                return scripted
            try:
                self._check(request)
            except (AssertionError, ValueError, KeyError) as error:
                self.complaints.append(repr(error))
                return _said(400, code="390142", message="Bad request")
            return self._started(request) if request.method == "POST" else self._asked(request)

    def _check(self, request: Received) -> None:
        head = request.headers
        assert head["authorization"] == f"Bearer {TOKEN}"
        assert head["x-snowflake-authorization-token-type"] == "PROGRAMMATIC_ACCESS_TOKEN"
        assert head["accept"] == "application/json"
        assert head["user-agent"]
        assert "content-encoding" not in head
        if request.method == "GET":
            assert not request.raw
            return
        assert head["content-type"] == "application/json"
        url, said = urlsplit(request.path), json.loads(request.raw)
        assert url.path == "/api/v2/statements"
        asked = parse_qs(url.query, strict_parsing=True) if url.query else {}
        assert set(asked) in ({"requestId", "retry"}, set()), asked
        assert not asked or (UUID(asked["requestId"][0]) and asked["retry"] == ["true"])
        assert set(said) <= _KEYS, said
        assert PLACE.items() <= said.items(), "these names are case-sensitive"
        assert isinstance(said["timeout"], int)
        assert said["parameters"]["timezone"] == "UTC"
        for number, binding in enumerate(said.get("bindings", {}).items(), 1):
            assert binding[0] == str(number)
            assert set(binding[1]) == {"type", "value"}
            assert binding[1]["type"] == "TEXT"
            assert isinstance(binding[1]["value"], str)
        assert said["statement"].count("?") == len(said.get("bindings", {}))

    def _started(self, request: Received) -> Answer:
        asked = parse_qs(urlsplit(request.path).query).get("requestId", [str(uuid4())])[0]
        if asked not in self._by_id:
            self._by_id[asked] = self._run(json.loads(request.raw))
        if self.slow is None:
            return self._by_id[asked]
        self._running[asked] = (self.slow, self._by_id[asked])
        return _still(asked)

    def _asked(self, request: Received) -> Answer:
        handle = request.path.removeprefix("/api/v2/statements/")
        if handle not in self._running:
            return _said(404, code="390142", message="No such statement")
        left, answer = self._running[handle]
        self._running[handle] = (left - 1, answer)
        return _still(handle) if left else answer

    def _run(self, said: Any) -> Answer:
        self.statements.append(" ".join(said["statement"].split()[:2]))
        try:
            names, rows = self._engine.ask(said["statement"], *(b["value"] for b in said.get("bindings", {}).values()))
        except Exception as error:  # noqa: BLE001 - the connector's, with what Snowflake says of an error
            number, state = getattr(error, "errno", None), getattr(error, "sqlstate", None)
            return _said(422, code=f"{number:06}", sqlState=state, message=str(error))
        texts = [[None if value is None else str(value) for value in row] for row in rows]
        head = {"numRows": len(rows), "format": "jsonv2", "rowType": [{"name": name, "type": "text"} for name in names]}
        return _said(200, code="090001", sqlState="00000", resultSetMetaData=head, data=texts)


def _still(handle: str) -> Answer:
    url = f"/api/v2/statements/{handle}"
    return _said(202, code="333334", sqlState="00000", statementHandle=handle, statementStatusUrl=url)


def _said(status: int, **said: Any) -> Answer:
    return Answer(status, {"content-type": "application/json"}, json.dumps(said).encode())


def refusal(status: int, code: str, state: str = "42000") -> Answer:
    """Return a refusal whose message quotes what it must not."""
    return _said(status, code=code, sqlState=state, message=f"canary-message: {TOKEN}")
