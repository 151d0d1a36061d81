"""BigQuery. Real: google-auth's signatures, and bqemulator, which takes our DDL and our rows over HTTP and runs the
guides' queries, translated to DuckDB's SQL. Ours: tokens, rights and rows that fail, see `bigquery_api`.
"""

from __future__ import annotations

import importlib.util
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import HTTPResponse, Verdict
from orobserve.delivery.probe import probe
from orobserve_exporters.bigquery import BigQuery
from tests.delivery.clocks import VirtualClock
from tests.delivery.servers import Answer
from tests.exporters import warehouse_engines
from tests.exporters.bigquery_api import BigQueryApi, refusal, said_json
from tests.exporters.generations import CHAT, SAMPLES
from tests.exporters.google_key import google_key
from tests.exporters.warehouse_calls import Expected, calls
from tests.exporters.warehouse_engines import exact
from tests.exporters.warehouse_queries import BIGQUERY, UNORDERED
from tests.support.deliver import deliver
from tests.support.otlp import make

if TYPE_CHECKING:
    from collections.abc import Iterator

HINT = "orobserve destinations ddl bigquery"
needs_emulator = pytest.mark.skipif(
    importlib.util.find_spec("bqemulator") is None, reason="no bqemulator: it is in the tox environment `bigquery`"
)
needs_google_auth = pytest.mark.skipif(
    importlib.util.find_spec("google.auth") is None if importlib.util.find_spec("google") else True,
    reason="no google-auth: it is in the extra `bigquery`",
)


def exporter(**config: Any) -> Any:
    return make(BigQuery, **{"service_account_key": google_key(), **config})


def at(emulator: warehouse_engines.BigQuery, table: str = "openrouter_traces") -> Any:
    return make(BigQuery, project_id=warehouse_engines.PROJECT, endpoint=emulator.address, table=table)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[warehouse_engines.BigQuery]:
    with warehouse_engines.bigquery(tmp_path_factory.mktemp("bqemulator"), "openrouter") as found:
        yield found


@pytest.fixture(scope="module")
def now() -> int:
    return time.time_ns()


@pytest.fixture(scope="module")
def filled(emulator: warehouse_engines.BigQuery, now: int) -> warehouse_engines.BigQuery:
    """Return an emulator with our table, made by our DDL, and all the calls of the guides' queries."""
    emulator.query("DROP TABLE IF EXISTS `my-gcp-project.openrouter.openrouter_traces`")
    emulator.query(BigQuery.ddl({"project_id": "my-gcp-project"}))
    state = deliver(at(emulator), calls(now))
    assert (state.delivered, state.last_error) == (len(calls(now)), None)
    return emulator


@needs_emulator
@pytest.mark.parametrize("name", BIGQUERY)
def test_the_guides_queries(filled: warehouse_engines.BigQuery, now: int, name: str) -> None:
    found = filled.query(BIGQUERY[name])
    if name == "errors":
        found = [(*row[:5], *map(json.loads, row[5:])) for row in found]
    if name in UNORDERED:
        found.sort(key=lambda row: (row[0], row[-1] or ""))
    expected = [tuple(map(exact, row)) for row in getattr(Expected(now), name)()]
    if name == "providers":  # APPROX_QUANTILES may be one call off
        assert all(0 <= row[4] - right[4] <= 137 for row, right in zip(found, expected, strict=True))
        found = [(*row[:4], right[4], *row[5:]) for row, right in zip(found, expected, strict=True)]
    assert found == expected


@needs_emulator
def test_a_missing_table_is_made_and_takes_everything(emulator: warehouse_engines.BigQuery) -> None:
    made = at(emulator, "made")
    found = probe(made).result
    assert (found.verdict, "made with the first batch" in found.reason) == (Verdict.DELIVERED, True)
    samples = {sample.span_id: sample for sample in SAMPLES.values()}
    state = deliver(made, *([sample] for sample in samples.values()))
    assert (state.delivered, state.last_error) == (len(samples), None)
    rows = emulator.query("SELECT span_id, user_id, timestamp, total_cost, input FROM openrouter.made")
    found_rows = {row[0]: row for row in rows}
    assert set(found_rows) == set(samples)
    assert found_rows[SAMPLES["odd_text"].span_id][1] == SAMPLES["odd_text"].request.user
    assert str(found_rows[CHAT.span_id][2]) == "2026-11-22 19:22:59.563896"
    assert found_rows[SAMPLES["unpriced"].span_id][3] is None
    assert found_rows[SAMPLES["free"].span_id][3] == 0
    assert found_rows[SAMPLES["private"].span_id][4] is None
    assert emulator.query("SELECT tag FROM openrouter.made, UNNEST(tags) AS tag ORDER BY 1") == [
        ("nightly",),
        ("report",),
    ]
    found = probe(made).result
    assert (found.verdict, found.reason) == (Verdict.DELIVERED, "")


@pytest.fixture
def api() -> Iterator[BigQueryApi]:
    with BigQueryApi() as server:
        yield server
    assert not server.complaints


def served(api: BigQueryApi, **config: Any) -> Any:
    key = google_key(token_uri=f"{api.url}/token")
    return exporter(**{"service_account_key": key, "endpoint": api.url, **config})


ROWS = [CHAT, SAMPLES["free"], SAMPLES["error"]]


@needs_google_auth
class TestDelivery:
    def test_a_token_a_table_and_rows(self, api: BigQueryApi) -> None:
        made = served(api)
        state = deliver(made, ROWS, [SAMPLES["odd_text"]])
        assert (state.delivered, state.retried, state.last_error) == (4, 0, None)
        table = "GET openrouter_traces"
        assert api.paths == ["POST token", table, "POST tables", table, "POST insertAll", "POST insertAll"]
        assert [row["span_id"] for row in api.rows[:3]] == [sample.span_id for sample in ROWS]
        assert "total_cost" not in api.rows[2]
        tokens = {request.headers.get("authorization") for request in api.requests[1:]}
        assert tokens == {"Bearer canary-token-1"}
        for request in api.requests[1:]:
            assert b"canary-token" not in request.raw
            assert "canary" not in request.path

    def test_the_table_is_the_one_of_the_ddl(self, api: BigQueryApi) -> None:
        deliver(served(api), [CHAT])
        assert api.table is not None
        names = {"FLOAT": "FLOAT64", "INTEGER": "INT64"}
        lines = BigQuery.ddl({"project_id": "p", "dataset": "d"}).split("\n")
        assert lines[0] == "CREATE TABLE IF NOT EXISTS `p.d.openrouter_traces` ("
        for field, line in zip(api.table["schema"]["fields"], lines[1:], strict=False):
            kind = names.get(field["type"], field["type"])
            kind = "ARRAY<STRING>" if field["mode"] == "REPEATED" else kind
            must = " NOT NULL" if field["mode"] == "REQUIRED" else ""
            expected = f'  {field["name"]} {kind}{must} OPTIONS(description="{field["description"]}")'
            assert line.rstrip(",") == expected
        assert lines[-2:] == ["PARTITION BY DATE(timestamp)", "CLUSTER BY model, user_id"]
        assert len(lines) == 35 + 4

    def test_rows_that_never_will_be_taken_are_counted(
        self, api: BigQueryApi, caplog: pytest.LogCaptureFixture
    ) -> None:
        api.faults = [{1: ["invalid"]}]
        state = deliver(served(api), ROWS)
        assert (state.delivered, state.rejected, state.retried) == (2, 1, 0)
        assert "rows are refused: invalid" in caplog.text
        assert "canary" not in caplog.text

    def test_a_value_of_another_type_is_named_by_its_column(self, api: BigQueryApi) -> None:
        made = served(api)
        deliver(made, [CHAT])
        assert api.table is not None
        next(field for field in api.table["schema"]["fields"] if field["name"] == "user_id")["type"] = "INTEGER"
        state = deliver(made, [SAMPLES["tools"]])
        assert state.rejected == 1
        assert state.last_error == "rows are refused: invalid at user_id"

    @pytest.mark.parametrize("reason", ["timeout", "backendError", "internalError", "rateLimitExceeded", "stopped"])
    def test_rows_that_may_be_taken_later_are_sent_again_alone(self, api: BigQueryApi, reason: str) -> None:
        api.faults = [{0: [reason], 2: [reason]}]
        state = deliver(served(api), ROWS)
        assert (state.delivered, state.rejected, state.retried) == (3, 0, 0)
        first, second = api.batches
        assert second == [first[0], first[2]]
        assert sorted(row["span_id"] for row in api.rows) == sorted(str(sample.span_id) for sample in ROWS)

    def test_an_answer_that_is_cut_off_is_not_taken_for_a_success(self, api: BigQueryApi) -> None:
        made = served(api)
        deliver(made, [CHAT])
        api.script = [Answer(200, body=b'{"insertErrors": [{"index": 0, "errors": [')]
        assert deliver(made, [SAMPLES["tools"], SAMPLES["free"]]).delivered == 2
        assert len(api.rows) == 3

    def test_a_row_stops_the_others_once(self, api: BigQueryApi) -> None:
        api.faults = [{0: ["stopped"], 1: ["invalid", "stopped"], 2: ["stopped"]}]
        state = deliver(served(api), ROWS)
        assert (state.delivered, state.rejected) == (2, 1)
        assert [len(batch) for batch in api.batches] == [3, 2]

    def test_without_progress_it_waits(self, api: BigQueryApi) -> None:
        every = {number: ["backendError"] for number in range(3)}
        api.faults = [every, every, {0: ["timeout"]}, {0: ["timeout"]}]
        clock = VirtualClock()
        state = deliver(served(api), ROWS, clock=clock)
        assert (state.delivered, state.retried) == (3, 3)
        assert [len(batch) for batch in api.batches] == [3, 3, 3, 1, 1]
        assert len(clock.waits) >= 3
        assert "backendError" in str(state.last_error) or "timeout" in str(state.last_error)

    def test_it_gives_up_in_the_end(self, api: BigQueryApi) -> None:
        api.faults = [{0: ["stopped"]}] * 200
        state = deliver(served(api), [CHAT])
        assert state.dropped == {"expired": 1}
        assert 5 < len(api.batches) < 100

    def test_a_row_that_comes_again_is_known_by_its_id(self, api: BigQueryApi) -> None:
        made = served(api)
        deliver(made, [CHAT])
        api.script = [None]
        assert deliver(made, [CHAT]).delivered == 1
        assert len(api.rows) == 1
        assert api.batches[0] == api.batches[1]

    def test_a_token_that_holds_no_longer_is_renewed_once(self, api: BigQueryApi) -> None:
        made = served(api)
        deliver(made, [CHAT])
        api.token = "another"
        state = deliver(made, [SAMPLES["free"]])
        assert (state.delivered, state.retried, api.tokens) == (1, 0, 2)
        api.script = [refusal(401, "authError")] * 3
        state = deliver(made, [SAMPLES["error"]])
        assert state.dropped == {"rejected": 1}
        assert "401" in str(state.last_error)
        assert api.tokens == 3
        assert len(api.script) == 1  # asked twice

    def test_a_token_is_kept_until_shortly_before_its_end(self, api: BigQueryApi) -> None:
        made = served(api)
        deliver(made, [CHAT])
        started = made.clock.now()
        for passed, tokens in ((3000, 1), (3300, 2)):
            made.clock.now = lambda at=started + passed: at
            assert deliver(made, [CHAT]).delivered == 1
            assert api.tokens == tokens

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_what_may_pass_later_is_sent_again(self, api: BigQueryApi, status: int) -> None:
        made = served(api)
        deliver(made, [CHAT])
        api.script = [Answer(status, {"retry-after": "8"}), refusal(403, "rateLimitExceeded")]
        clock = VirtualClock()
        state = deliver(made, [SAMPLES["free"]], clock=clock)
        assert (state.delivered, state.retried) == (1, 2)
        assert 8 in clock.waits

    def test_a_table_that_is_dropped_is_made_again_and_waited_for(self, api: BigQueryApi) -> None:
        made = served(api)
        deliver(made, [CHAT])
        api.table = None
        api.script = [None] * 4 + [refusal(404, "notFound")] * 2  # BigQuery does not know it everywhere yet
        state = deliver(made, [SAMPLES["free"]])
        assert (state.delivered, state.retried) == (1, 2)

    def test_an_existing_table_is_taken_as_it_is(self, api: BigQueryApi, caplog: pytest.LogCaptureFixture) -> None:
        api.table = _resource(
            ("Trace_ID", "STRING", "REQUIRED"),
            ("span_id", "STRING", "REQUIRED"),
            ("prompt_tokens", "INTEGER", "REQUIRED"),
            ("tags", "STRING", "NULLABLE"),
            ("total_cost", "FLOAT", "NULLABLE"),
            ("mine", "STRING", "NULLABLE"),
        )
        made = served(api)
        assert deliver(made, [CHAT, SAMPLES["error"]]).delivered == 2
        (note,) = (record.getMessage() for record in caplog.records)
        assert "the table lacks PARENT_SPAN_ID" in note
        chat, error = api.rows
        assert chat == {
            "Trace_ID": "workflow_12345",
            "span_id": CHAT.span_id,
            "prompt_tokens": 1000,
            "tags": '["nightly","report"]',
            "total_cost": 0.0042,
        }
        assert error["prompt_tokens"] == 0

    def test_a_table_that_may_not_be_looked_at_is_sent_everything(self, api: BigQueryApi) -> None:
        deliver(served(api), [CHAT])
        api.script = [refusal(403, "accessDenied")]
        assert deliver(served(api), [SAMPLES["free"]]).delivered == 1

    @pytest.mark.parametrize(
        ("script", "words"),
        [
            ([None, refusal(403, "accessDenied")], HINT),
            ([None, refusal(404, "notFound")], "there is no dataset openrouter in my-gcp-project"),
            ([None, None, None, refusal(403, "billingNotEnabled")], "billing"),
            ([None, None, None, refusal(400, "invalid")], "check project_id, dataset and table"),
        ],
    )
    def test_refusals_name_what_to_change(self, api: BigQueryApi, script: list[Any], words: str) -> None:
        api.script = script
        state = deliver(served(api), [CHAT])
        assert state.dropped == {"rejected": 1}
        assert words in str(state.last_error)
        assert "canary" not in str(state.last_error)

    def test_a_table_that_somebody_else_makes_first_is_used(self, api: BigQueryApi) -> None:
        deliver(served(api), [CHAT])
        api.script = [refusal(404, "notFound"), refusal(409, "duplicate")]
        assert deliver(served(api), [SAMPLES["free"]]).delivered == 1


@needs_google_auth
class TestExamination:
    def test_it_passes_and_writes_nothing(self, api: BigQueryApi) -> None:
        found = probe(served(api)).result
        assert (found.verdict, "made with the first batch" in found.reason) == (Verdict.DELIVERED, True)
        assert api.paths[-1] == "GET openrouter"
        deliver(served(api), [CHAT])
        found = probe(served(api)).result
        assert (found.verdict, found.reason) == (Verdict.DELIVERED, "")
        assert api.paths[-1] == "POST openrouter_traces:testIamPermissions"
        assert len(api.rows) == 1

    def test_it_names_columns_that_cannot_be_filled(self, api: BigQueryApi) -> None:
        api.table = _resource(("mine", "STRING", "REQUIRED"), ("timestamp", "DATETIME", "REQUIRED"))
        found = probe(served(api)).result
        assert found.verdict is Verdict.REJECTED
        assert "timestamp is DATETIME and must be TIMESTAMP" in found.reason
        assert "mine must have values" in found.reason

    def test_it_names_the_missing_permission(self, api: BigQueryApi) -> None:
        deliver(served(api), [CHAT])
        api.permissions = []
        found = probe(served(api)).result
        assert found.verdict is Verdict.REJECTED
        assert "bigquery.tables.updateData" in found.reason
        assert "Data Editor" in found.reason

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (refusal(401, "authError"), "check service_account_key"),
            (refusal(403, "accessDenied"), "Data Editor"),
            (refusal(400, "invalid"), "check project_id"),
        ],
    )
    def test_refusals_name_the_setting(self, api: BigQueryApi, answer: Answer, words: str) -> None:
        api.script = [answer]
        found = probe(served(api)).result
        assert found.verdict is Verdict.REJECTED
        assert words in found.reason
        assert "canary" not in found.reason

    @pytest.mark.parametrize(
        ("status", "said", "verdict"),
        [
            (400, {"error": "invalid_grant", "error_description": "canary"}, Verdict.REJECTED),
            (200, {"access_token": ""}, Verdict.REJECTED),
            (200, ["canary"], Verdict.REJECTED),
            (503, {}, Verdict.RETRY),
        ],
    )
    def test_a_key_that_gives_no_token(self, status: int, said: Any, verdict: Verdict) -> None:
        answer = said_json(said, status)
        talk = exporter().examine()
        result = next(talk).judge(HTTPResponse(status=status, body=answer.body))
        assert result.verdict is verdict
        assert "canary" not in result.reason
        if status == 400:
            assert "invalid_grant" in result.reason
            assert "clock" in result.reason


def _resource(*columns: tuple[str, str, str]) -> dict[str, Any]:
    return {"schema": {"fields": [{"name": name, "type": kind, "mode": mode} for name, kind, mode in columns]}}


def test_an_emulator_needs_no_key() -> None:
    made = make(BigQuery, endpoint="localhost:9050", project_id="p")
    assert made.probe().url.startswith("http://localhost:9050/bigquery/v2/projects/p/")
    assert "Authorization" not in made.encode([CHAT]).headers


def test_an_id_that_is_too_long_is_hashed() -> None:
    made = make(BigQuery, endpoint="localhost:9050", project_id="p")
    said = json.loads(made.encode([replace(CHAT, trace_id="f" * 200)]).body)
    (row,) = said["rows"]
    assert len(row["insertId"]) == 64


@pytest.mark.parametrize("body", [b"", b"[]", b"not JSON", b'{"error": 7}', b'{"error": {"errors": [7]}}'])
def test_any_body_of_an_answer_is_borne(body: bytes) -> None:
    made = make(BigQuery, endpoint="localhost:9050", project_id="p")
    for status in (200, 400, 401, 403, 404):
        assert made.judge(HTTPResponse(status=status, body=body)).verdict is not Verdict.RETRY
