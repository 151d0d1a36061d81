"""A stand-in for Google's token service and BigQuery's REST API, for what bqemulator does not do as BigQuery does:
tokens, rights, rows that fail one by one, and repeated `insertId`s. It runs no SQL.

It is strict: a request that is not as https://cloud.google.com/bigquery/docs/reference/rest/v2 has it is answered 400
and kept in `complaints`. A value that is not of its column's type is an invalid row.
"""

from __future__ import annotations

import json
import re
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.delivery.servers import Answer, Server
from tests.exporters.google_key import EMAIL, public_key

if TYPE_CHECKING:
    from tests.delivery.servers import Received

TABLE = "/bigquery/v2/projects/my-gcp-project/datasets/openrouter/tables/openrouter_traces"
_DATASET, _, _NAME = TABLE.rpartition("/tables/")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class BigQueryApi(Server):
    """One project with one dataset.

    Attributes:
        table: its resource; None: it is missing.
        rows: what is stored.
        batches: the insertIds of every `insertAll` that was answered 200.
        faults: of the next ones: reasons by the number of the row.
        script: answers to be given first, in the place of BigQuery's own; None lets it answer.
        token: the one that is good.
        tokens: how many were given.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table: dict[str, Any] | None = None
        self.rows: list[dict[str, Any]] = []
        self.batches: list[list[str]] = []
        self.faults: list[dict[int, list[str]]] = []
        self.script: list[Answer | None] = []
        self.permissions = ["bigquery.tables.updateData"]
        self.complaints: list[str] = []
        self.token, self.tokens = "", 0
        self._ids: set[str] = set()
        self._one_by_one = threading.Lock()

    @property
    def paths(self) -> list[str]:
        """What was asked for, in short."""
        return [f"{request.method} {request.path.rpartition('/')[2]}" for request in self.requests]

    def take(self, request: Received) -> Answer:
        with self._one_by_one:
            self.requests.append(request)
            try:
                if request.path == "/token":
                    return self._signed_in(request)
                scripted = self.script.pop(0) if self.script else None
                return scripted or self._answered(request)
            except (AssertionError, ValueError, KeyError, TypeError) as error:
                self.complaints.append(repr(error))
                return refusal(400, "invalid")

    def _signed_in(self, request: Received) -> Answer:
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        said = parse_qs(request.raw.decode(), strict_parsing=True)
        assert said["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        claims = import_module("google.auth.jwt").decode(said["assertion"][0], certs=public_key(), verify=True)
        assert claims["aud"] == f"{self.url}/token"
        assert (claims["iss"], claims["exp"] - claims["iat"]) == (EMAIL, 3600)
        assert claims["scope"] == "https://www.googleapis.com/auth/bigquery"
        self.tokens += 1
        self.token = f"canary-token-{self.tokens}"
        return said_json({"access_token": self.token, "expires_in": 3599, "token_type": "Bearer"})

    def _answered(self, request: Received) -> Answer:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return refusal(401, "authError")
        said = json.loads(request.body) if request.raw else None
        assert (request.method == "GET") == (said is None)
        answers = {
            ("GET", _DATASET): lambda _: said_json({}),
            ("POST", f"{_DATASET}/tables"): self._made,
            ("GET", TABLE): lambda _: said_json(self.table),
            ("POST", f"{TABLE}/insertAll"): self._inserted,
            ("POST", f"{TABLE}:testIamPermissions"): self._allowed,
        }
        if self.table is None and request.path.startswith(TABLE):
            return refusal(404, "notFound")
        return answers[request.method, request.path](said)

    def _made(self, said: Any) -> Answer:
        reference = {"projectId": "my-gcp-project", "datasetId": "openrouter", "tableId": _NAME}
        assert said["tableReference"] == reference
        assert set(said) == {"tableReference", "schema", "timePartitioning", "clustering"}
        self.table = said
        return said_json(said)

    def _allowed(self, said: Any) -> Answer:
        assert set(said) == {"permissions"}
        return said_json({"permissions": [right for right in said["permissions"] if right in self.permissions]})

    def _inserted(self, said: Any) -> Answer:
        assert set(said) == {"skipInvalidRows", "ignoreUnknownValues", "rows"}
        assert said["skipInvalidRows"] is said["ignoreUnknownValues"] is True
        assert all(set(row) == {"insertId", "json"} and len(row["insertId"]) <= 128 for row in said["rows"])
        self.batches.append([row["insertId"] for row in said["rows"]])
        scripted = self.faults.pop(0) if self.faults else {}
        errors = []
        for index, row in enumerate(said["rows"]):
            wrong = self._wrong(row["json"])
            faults = [{"reason": "invalid", "location": wrong, "message": "canary"}] if wrong else []
            faults += [{"reason": reason, "location": "", "message": "canary"} for reason in scripted.get(index, ())]
            if faults:
                errors.append({"index": index, "errors": faults})
            elif row["insertId"] not in self._ids:
                self._ids.add(row["insertId"])
                self.rows.append(row["json"])
        return said_json(
            {"kind": "bigquery#tableDataInsertAllResponse", **({"insertErrors": errors} if errors else {})}
        )

    def _wrong(self, row: dict[str, Any]) -> str:
        """Return the first column whose value is none of its own."""
        fields = (self.table or {})["schema"]["fields"]
        return next((field["name"] for field in fields if not _fits(row.get(field["name"]), field)), "")


def _fits(value: Any, field: dict[str, Any]) -> bool:
    if value is None:
        return field.get("mode") != "REQUIRED"
    if field.get("mode") == "REPEATED":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if field["type"] == "JSON":
        return isinstance(value, str) and isinstance(json.loads(value), dict)
    kinds = {"STRING": str, "TIMESTAMP": str, "FLOAT": (int, float), "INTEGER": int}
    fits = isinstance(value, kinds[field["type"]]) and not isinstance(value, bool)
    return fits and (field["type"] != "TIMESTAMP" or bool(_TIME.fullmatch(value)))


def said_json(said: Any, status: int = 200) -> Answer:
    return Answer(status, {"content-type": "application/json; charset=UTF-8"}, json.dumps(said).encode())


def refusal(status: int, reason: str) -> Answer:
    """Return a refusal in Google's shape, whose message quotes what must not be repeated."""
    error = {"code": status, "message": "canary-message", "errors": [{"reason": reason, "message": "canary-message"}]}
    return said_json({"error": error}, status)
