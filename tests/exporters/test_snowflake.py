"""Snowflake. Real: its connector, our DDL, our statements with what is bound to them, and the guides' queries, all run
on fakesnow, which translates Snowflake's SQL to DuckDB's. Ours: the envelope of the SQL API, see `snowflake_api`.
"""

from __future__ import annotations

import importlib.util
import json
import time
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import HTTPResponse, Verdict
from orobserve.delivery.probe import probe
from orobserve.generation import Cost, Trace, changed
from orobserve_exporters.snowflake import Snowflake
from tests.delivery.clocks import VirtualClock
from tests.delivery.servers import Answer
from tests.exporters import warehouse_engines
from tests.exporters.generations import CHAT, SAMPLES
from tests.exporters.snowflake_api import PLACE, TOKEN, SqlApi, refusal
from tests.exporters.warehouse_calls import Expected, calls
from tests.exporters.warehouse_engines import exact
from tests.exporters.warehouse_queries import SNOWFLAKE, UNORDERED
from tests.support.deliver import deliver
from tests.support.otlp import make

if TYPE_CHECKING:
    from collections.abc import Iterator


TABLE = "OPENROUTER_TRACES"
HINT = "orobserve destinations ddl snowflake"
needs_fakesnow = pytest.mark.skipif(
    importlib.util.find_spec("fakesnow") is None, reason="no fakesnow: it is in the tox environment `snowflake`"
)


def exporter(**config: Any) -> Any:
    return make(Snowflake, **{"account": "myorg-account123", "token": TOKEN, **config})


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[warehouse_engines.Snowflake]:
    with warehouse_engines.snowflake(tmp_path_factory.mktemp("fakesnow"), PLACE["database"], PLACE["schema"]) as found:
        yield found


@pytest.fixture
def api(engine: warehouse_engines.Snowflake) -> Iterator[SqlApi]:
    engine.ask(f"DROP TABLE IF EXISTS {TABLE}")
    with SqlApi(engine) as server:
        yield server
    assert not server.complaints


@pytest.fixture(scope="module")
def now() -> int:
    return time.time_ns()


@pytest.fixture(scope="module")
def filled(engine: warehouse_engines.Snowflake, now: int) -> warehouse_engines.Snowflake:
    """Return an engine with all the calls of the guides' queries, in a table of their own."""
    engine.ask("DROP TABLE IF EXISTS GUIDE")
    with SqlApi(engine) as server:
        state = deliver(exporter(host=server.url, table="guide"), [*calls(now)])
    assert (state.delivered, state.last_error) == (len(calls(now)), None)
    assert not server.complaints
    return engine


def _plain(name: str, row: tuple[Any, ...]) -> tuple[Any, ...]:
    if name == "cost_by_model":
        row = (row[0].date(), *row[1:])
    return (*row[:5], *map(json.loads, row[5:])) if name == "errors" else tuple(map(exact, row))


@needs_fakesnow
@pytest.mark.parametrize("name", SNOWFLAKE)
def test_the_guides_queries(filled: warehouse_engines.Snowflake, now: int, name: str) -> None:
    found = [_plain(name, row) for row in filled.rows(SNOWFLAKE[name].replace(TABLE, "GUIDE"))]
    if name in UNORDERED:
        found.sort(key=lambda row: (row[0], row[-1] or ""))
    assert found == [tuple(map(exact, row)) for row in getattr(Expected(now), name)()]


@needs_fakesnow
class TestDelivery:
    def rows(self, engine: warehouse_engines.Snowflake, *names: str) -> list[tuple[Any, ...]]:
        return engine.rows(f"SELECT {', '.join(names)} FROM {TABLE} ORDER BY SPAN_ID")

    def test_a_missing_table_is_made_and_is_the_one_of_the_ddl(
        self, api: SqlApi, engine: warehouse_engines.Snowflake
    ) -> None:
        state = deliver(exporter(host=api.url), [CHAT])
        assert (state.delivered, state.last_error) == (1, None)
        assert api.statements == ["DESCRIBE TABLE", "CREATE TABLE", "DESCRIBE TABLE", "MERGE INTO"]
        made = engine.rows(f"DESCRIBE TABLE {TABLE}")
        engine.ask(f"DROP TABLE {TABLE}")
        engine.ask(Snowflake.ddl(dict.fromkeys(field.name for field in Snowflake.FIELDS)))
        assert engine.rows(f"DESCRIBE TABLE {TABLE}") == made
        assert len(made) == 35

    def test_a_record_that_comes_again_replaces_the_first(
        self, api: SqlApi, engine: warehouse_engines.Snowflake
    ) -> None:
        made = exporter(host=api.url)
        unpriced, dear = replace(CHAT, cost=None), replace(CHAT, cost=Cost(total=0.25))
        assert deliver(made, [unpriced, SAMPLES["free"]]).delivered == 2
        assert self.rows(engine, "TOTAL_COST") == [(0,), (None,)]
        assert deliver(made, [dear]).delivered == 1
        assert deliver(made, [unpriced, dear]).delivered == 2  # twice in one batch: the last one wins
        assert self.rows(engine, "TOTAL_COST", "TRACE_ID") == [
            (0, SAMPLES["free"].trace_id),
            (Decimal("0.25"), "workflow_12345"),
        ]
        assert made.UPDATES

    @pytest.mark.parametrize("seconds", [0, 1])
    def test_a_record_is_found_though_the_table_rounds_times(
        self, api: SqlApi, engine: warehouse_engines.Snowflake, seconds: int
    ) -> None:
        made = exporter(host=api.url)
        deliver(made, [CHAT])
        engine.ask(f"UPDATE {TABLE} SET TIMESTAMP = DATEADD(second, {seconds}, DATE_TRUNC('second', TIMESTAMP))")
        deliver(made, [replace(CHAT, cost=Cost(total=0.25))])
        assert self.rows(engine, "TOTAL_COST") == [(Decimal("0.25"),)]

    def test_plain_inserts_find_nothing_that_is_there(self, api: SqlApi, engine: warehouse_engines.Snowflake) -> None:
        made = exporter(host=api.url, exact=False)
        for cost in (0.25, 0.5):
            assert deliver(made, [replace(CHAT, cost=Cost(total=cost))]).delivered == 1
        assert self.rows(engine, "TOTAL_COST") == [(Decimal("0.25"),), (Decimal("0.5"),)]
        assert api.statements[-1] == "INSERT INTO"
        assert not made.UPDATES

    def test_everything_arrives_as_it_was(self, api: SqlApi, engine: warehouse_engines.Snowflake) -> None:
        samples = {sample.span_id: sample for sample in SAMPLES.values()}
        for one in samples.values():  # "huge" fills a request
            assert deliver(exporter(host=api.url), [one]).delivered == 1
        found = {row[0]: row for row in self.rows(engine, "SPAN_ID", "START_TIME", "USER_ID", "TAGS", "METADATA")}
        assert set(found) == set(samples)
        odd, named = SAMPLES["odd_text"], SAMPLES["chat"]
        assert found[odd.span_id][2] == odd.request.user
        assert json.loads(found[odd.span_id][4])["deep"] == {"a": [1, None, True]}
        assert json.loads(found[named.span_id][3]) == ["nightly", "report"]
        assert str(found[named.span_id][1]) == "2026-11-22 19:22:59.563896"
        unknown = engine.rows(f"SELECT SPAN_ID FROM {TABLE} WHERE INPUT IS NULL")
        assert unknown == [(SAMPLES["private"].span_id,)]

    def test_an_existing_table_is_taken_as_it_is(
        self, api: SqlApi, engine: warehouse_engines.Snowflake, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine.ask(
            f"CREATE TABLE {TABLE} (TRACE_ID VARCHAR(8) NOT NULL, SPAN_ID VARCHAR NOT NULL, MINE VARCHAR,"
            " PROMPT_TOKENS NUMBER(18,0) NOT NULL, TOTAL_COST FLOAT, METADATA VARIANT)"
        )
        made = exporter(host=api.url)
        assert deliver(made, [CHAT], [SAMPLES["error"]]).delivered == 2
        (note,) = (record.getMessage() for record in caplog.records)
        assert "the table lacks PARENT_SPAN_ID, USER_ID" in note
        error, chat = self.rows(engine, "TRACE_ID", "PROMPT_TOKENS", "TOTAL_COST", "METADATA")
        assert error[1:3] == (0, None)
        assert chat[:3] == ("workflow", 1000, 0.0042)
        assert json.loads(chat[3])["trace_id"] == "workflow_12345"

    def test_a_table_that_is_dropped_or_altered_is_looked_at_again(
        self, api: SqlApi, engine: warehouse_engines.Snowflake
    ) -> None:
        made = exporter(host=api.url)
        assert deliver(made, [CHAT]).delivered == 1
        engine.ask(f"DROP TABLE {TABLE}")
        assert deliver(made, [SAMPLES["tools"]]).delivered == 1
        engine.ask(f"ALTER TABLE {TABLE} DROP COLUMN PROVIDER_SLUG")
        assert deliver(made, [SAMPLES["free"]]).delivered == 1
        assert len(self.rows(engine, "SPAN_ID")) == 2
        assert api.statements[-3:] == ["MERGE INTO", "DESCRIBE TABLE", "MERGE INTO"]

    def test_it_says_how_to_make_a_table_that_it_may_not(self, api: SqlApi) -> None:
        api.script = [None, refusal(422, "003001", "42501")]
        state = deliver(exporter(host=api.url), [CHAT])
        assert HINT in str(state.last_error)
        assert "CREATE TABLE" in str(state.last_error)

    def test_a_statement_is_run_once_however_often_it_is_sent(
        self, api: SqlApi, engine: warehouse_engines.Snowflake
    ) -> None:
        made = exporter(host=api.url, exact=False)  # MERGE would hide a second run
        assert deliver(made, [SAMPLES["free"]]).delivered == 1
        request = made.encode([CHAT])
        for _ in range(3):
            answer = api.take(_received(request))
            assert answer.status == 200
        assert len(self.rows(engine, "SPAN_ID")) == 2
        assert made.encode([SAMPLES["free"]]).url != request.url

    @pytest.mark.parametrize("status", [408, 429, 500, 503])
    def test_what_may_pass_later_is_sent_again(
        self, api: SqlApi, engine: warehouse_engines.Snowflake, status: int
    ) -> None:
        api.script = [None, None, None, Answer(status), Answer(status, {"retry-after": "9"})]
        clock = VirtualClock()
        state = deliver(exporter(host=api.url), [CHAT], clock=clock)
        assert (state.delivered, state.retried) == (1, 2)
        assert 9 in clock.waits
        first, second, third = api.requests[-3:]
        assert first.path == second.path == third.path
        assert "retry=true" in first.path
        assert len(self.rows(engine, "SPAN_ID")) == 1

    def test_a_statement_that_takes_its_time_is_waited_for(
        self, api: SqlApi, engine: warehouse_engines.Snowflake
    ) -> None:
        api.slow = 2
        clock = VirtualClock()
        assert deliver(exporter(host=api.url), [CHAT], clock=clock).delivered == 1
        assert clock.waits.count(2.0) == 4 * 2  # four statements, of which each is asked for twice in vain
        assert [request.method for request in api.requests] == ["POST", "GET", "GET", "GET"] * 4
        assert len(self.rows(engine, "SPAN_ID")) == 1

    def test_a_statement_that_takes_too_long_is_given_up(self, api: SqlApi) -> None:
        made = exporter(host=api.url)
        deliver(made, [CHAT])
        api.slow = 0
        api.script = [None, Answer(408)]
        state = deliver(made, [SAMPLES["free"]])
        assert state.dropped == {"rejected": 1}
        assert "larger warehouse" in str(state.last_error)

    def test_the_examination_passes_and_writes_nothing(self, api: SqlApi, engine: warehouse_engines.Snowflake) -> None:
        found = probe(exporter(host=api.url)).result
        assert found.verdict is Verdict.DELIVERED
        assert "made with the first batch" in found.reason
        engine.ask(Snowflake.ddl({}))
        found = probe(exporter(host=api.url)).result
        assert (found.verdict, found.reason) == (Verdict.DELIVERED, "")
        assert api.statements[-1] == "MERGE INTO"
        assert not self.rows(engine, "SPAN_ID")

    def test_the_examination_names_what_cannot_be_filled(
        self, api: SqlApi, engine: warehouse_engines.Snowflake
    ) -> None:
        engine.ask(
            f"CREATE TABLE {TABLE} (TRACE_ID VARCHAR NOT NULL, SPAN_ID VARCHAR NOT NULL, MINE VARCHAR NOT NULL,"
            " OTHERS VARCHAR NOT NULL DEFAULT 'x')"
        )
        found = probe(exporter(host=api.url)).result
        assert found.verdict is Verdict.REJECTED
        assert "MINE" in found.reason
        assert "OTHERS" not in found.reason
        engine.ask(f"DROP TABLE {TABLE}")
        engine.ask(f"CREATE TABLE {TABLE} (A VARCHAR)")
        found = probe(exporter(host=api.url)).result
        assert "lacks TRACE_ID, SPAN_ID" in found.reason
        state = deliver(exporter(host=api.url), [CHAT])
        assert "lacks TRACE_ID" in str(state.last_error)

    def test_the_examination_says_which_right_is_missing(
        self, api: SqlApi, engine: warehouse_engines.Snowflake
    ) -> None:
        engine.ask(Snowflake.ddl({}))
        api.script = [None, refusal(422, "003001", "42501")]
        found = probe(exporter(host=api.url)).result
        assert found.verdict is Verdict.REJECTED
        assert "INSERT and UPDATE" in found.reason


def _received(request: Any) -> Any:
    from tests.delivery.servers import Received

    headers = {name.lower(): value for name, value in request.headers.items()}
    path = request.url.partition("/api/")
    return Received(request.method, f"/api/{path[2]}", {**headers, "user-agent": "orobserve/0"}, request.body, 0)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "390303", "network policy"),
        (403, "390422", "network policy"),
        (422, "002003", "check database, schema, table and role"),
        (422, "000606", "check warehouse"),
        (422, "003001", "grant USAGE"),
        (422, "390189", "check role"),
        (422, "999999", "refuses the statement"),
    ],
)
def test_refusals_name_the_setting_and_quote_nothing(status: int, code: str, words: str) -> None:
    answer = refusal(status, code)
    response = HTTPResponse(status=answer.status, headers=answer.headers, body=answer.body)
    for result in (exporter().judge(response), exporter().judge_probe(response)):
        assert result.verdict is Verdict.REJECTED
        assert words in result.reason
        assert str(status) in result.reason
        assert code in result.reason
        assert "canary" not in result.reason


@pytest.mark.parametrize("body", [b"", b"[]", b"not JSON", b'{"code": 7}', b'{"data": null}', b'{"code": "x y"}'])
def test_any_body_of_a_refusal_is_borne(body: bytes) -> None:
    for status in (200, 202, 401, 422):
        assert exporter().judge(HTTPResponse(status=status, body=body)).verdict is not Verdict.RETRY


def test_a_statement_that_runs_and_has_no_handle_is_asked_for_again() -> None:
    answer = HTTPResponse(status=202, body=b'{"statementHandle": "../canary"}')
    assert next(exporter().deliver([CHAT])).judge(answer).verdict is Verdict.RETRY


def test_a_value_that_does_not_fit_takes_no_others_with_it() -> None:
    answer = refusal(422, "100078", "22000")
    result = exporter().judge(HTTPResponse(status=422, body=answer.body))
    assert (result.verdict, "too long" in result.reason) == (Verdict.TOO_LARGE, True)


def test_a_lock_that_many_wait_for_is_waited_for() -> None:
    answer = refusal(422, "000625", "57014")
    assert exporter().judge(HTTPResponse(status=422, body=answer.body)).verdict is Verdict.RETRY


@pytest.mark.parametrize(
    ("account", "host", "url"),
    [
        ("MyOrg-account_123", None, "https://MyOrg-account-123.snowflakecomputing.com"),
        ("xy12345.us-east-1", None, "https://xy12345.us-east-1.snowflakecomputing.com"),
        ("xy12345.snowflakecomputing.com", None, "https://xy12345.snowflakecomputing.com"),
        ("any", "a.privatelink.snowflakecomputing.com", "https://a.privatelink.snowflakecomputing.com"),
        ("any", "http://127.0.0.1:1/", "http://127.0.0.1:1"),
    ],
)
def test_the_address(account: str, host: str | None, url: str) -> None:
    assert exporter(account=account, host=host).probe().url == f"{url}/api/v2/statements"


@pytest.mark.parametrize("account", ["", "https://x.snowflakecomputing.com", "a b", "a..b"])
def test_an_account_that_cannot_be_one_is_refused(account: str) -> None:
    with pytest.raises(ValueError, match="account must be"):
        exporter(account=account)


def test_names_are_kept_as_snowflake_keeps_them() -> None:
    said = json.loads(exporter(database="my_db", schema='"Mixed"', table="odd-name", role="r1").encode([CHAT]).body)
    assert (said["database"], said["schema"], said["role"]) == ("MY_DB", "Mixed", "R1")
    assert '"MY_DB"."Mixed"."odd-name"' in said["statement"]
    assert Snowflake.ddl({"database": "my_db", "table": "t"}).startswith(
        'CREATE TABLE IF NOT EXISTS "MY_DB"."PUBLIC"."T" ('
    )


def test_flushes_are_as_rare_as_one_says() -> None:
    assert exporter().LIMITS.linger == 60
    assert exporter(flush_seconds=5).LIMITS.linger == 5


def test_an_id_that_is_too_long_is_cut() -> None:
    from orobserve.telemetry import ids

    given = "x" * 200
    asked = changed(CHAT.request, trace=Trace(trace_id=given))
    long = replace(CHAT, request=asked, trace_id=f"{ids.trace_id(given):032x}")
    (row,) = json.loads(json.loads(exporter().encode([long]).body)["bindings"]["1"]["value"])
    assert row["TRACE_ID"] == given[:128]
    assert row["METADATA"]["trace_id"] == given
