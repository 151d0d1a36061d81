"""ClickHouse: rows, tables and queries in its real engine, behind a front of the tests (`clickhouse_front`)."""

from __future__ import annotations

import importlib.util
import json
import time
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import HTTPRequest, HTTPResponse, Verdict
from orobserve.delivery.probe import probe
from orobserve_exporters.clickhouse import ClickHouse
from tests.delivery.clocks import VirtualClock
from tests.delivery.servers import Answer, Server
from tests.exporters.clickhouse_server import PASSWORD, USER, Engine, clickhouse
from tests.exporters.generations import CHAT, ODD_TEXT, SAMPLES
from tests.exporters.warehouse_calls import Expected, calls
from tests.support.deliver import deliver
from tests.support.otlp import make

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve import Generation

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("chdb") is None, reason="no chdb: it is in the tox environment `warehouses`"
)
OURS = "SELECT name FROM system.columns WHERE database = 'default' AND table = '{}' ORDER BY position"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with clickhouse(tmp_path_factory.mktemp("clickhouse")) as found:
        yield found


def requests_of(exporter: ClickHouse, *batch: Generation) -> HTTPRequest:
    return exporter.encode(batch)


def test_the_first_batch_makes_the_table(engine: Engine) -> None:
    assert deliver(engine.exporter("first"), list(SAMPLES.values())).delivered == len(SAMPLES)
    assert engine.count("first") == len(SAMPLES)


def test_what_is_stored(engine: Engine) -> None:
    deliver(engine.exporter("stored", entity_id="team-7", service_name="app"), [CHAT, SAMPLES["unpriced"]])
    columns = [name for (name,) in engine.query(OURS.format("stored"))]
    found, unpriced = (
        dict(zip(columns, values, strict=True)) for values in engine.query("SELECT * FROM stored ORDER BY SPAN_ID DESC")
    )
    assert {name: found[name] for name in columns if name not in {"ATTRIBUTES", "INPUT", "OUTPUT"}} == {
        "TRACE_ID": "workflow_12345",
        "SPAN_ID": "0a1b2c3d4e5f6071",
        "PARENT_SPAN_ID": None,
        "USER_ID": "u-1",
        "SESSION_ID": "s-1",
        "ORGANIZATION_ID": None,
        "ENTITY_ID": "team-7",
        "API_KEY_NAME": None,
        "TIMESTAMP": "2026-11-22 19:22:59.563",
        "START_TIME": "2026-11-22 19:22:59.563",
        "END_TIME": "2026-11-22 19:23:01.563",
        "DURATION_MS": 2000,
        "MODEL": "anthropic/claude-sonnet-4",
        "PROVIDER_NAME": "Anthropic",
        "PROVIDER_SLUG": None,
        "STATUS": "ok",
        "LEVEL": "DEFAULT",
        "FINISH_REASON": "stop",
        "PROMPT_TOKENS": 1000,
        "COMPLETION_TOKENS": 200,
        "TOTAL_TOKENS": 1200,
        "CACHED_TOKENS": 600,
        "REASONING_TOKENS": 50,
        "INPUT_COST": None,
        "OUTPUT_COST": None,
        "TOTAL_COST": "0.0042",
        "SPAN_TYPE": "GENERATION",
        "NAME": "Summarise",
        "TAGS": ["nightly", "report"],
        "METADATA": '{"team":"growth","trace_id":"workflow_12345","trace_name":"Nightly report",'
        '"generation_name":"Summarise"}',
        "MODEL_PARAMETERS": '{"temperature":0.2,"max_tokens":500}',
        "RESOURCE_ATTRIBUTES": '{"service.name":"app"}',
    }
    attributes = json.loads(found["ATTRIBUTES"])
    assert attributes["openrouter.generation.id"] == "gen-abc"
    assert attributes["openrouter.cost.total"] == 0.0042
    assert json.loads(found["INPUT"])["messages"][0] == {"role": "system", "content": "Be brief."}
    assert json.loads(found["OUTPUT"])["messages"][0]["content"] == "It went well."
    assert unpriced["TOTAL_COST"] is None


def test_odd_text_and_what_is_not_known(engine: Engine) -> None:
    private = replace(SAMPLES["error"], content=None)
    deliver(engine.exporter("odd"), [SAMPLES["odd_text"], private])
    (found,) = engine.query("SELECT USER_ID, INPUT FROM odd WHERE USER_ID != 'u-1'")
    expected = ODD_TEXT.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    assert found[0] == "Ünï 👩‍👩‍👧"
    assert json.loads(found[1])["messages"][0]["content"] == expected
    (bare,) = engine.query("SELECT INPUT, PROMPT_TOKENS, TOTAL_COST, STATUS, LEVEL FROM odd WHERE USER_ID = 'u-1'")
    assert bare == ["", None, None, "error", "ERROR"]


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_a_batch_that_is_sent_twice_is_stored_once(engine: Engine, *, is_async: bool) -> None:
    table = f"twice_{is_async}"
    for _ in range(2):  # another process, say, or one that was killed before it heard the answer
        assert deliver(engine.exporter(table, async_insert=is_async), [CHAT, SAMPLES["free"]]).delivered == 2
    assert engine.count(table) == 2
    deliver(engine.exporter(table, async_insert=is_async), [SAMPLES["tools"]])
    assert engine.count(table) == 3


GUIDE = {  # https://openrouter.ai/docs/guides/features/broadcast/clickhouse
    "cost_by_model": "SELECT toDate(TIMESTAMP) as day, MODEL, sum(TOTAL_COST) as total_cost, sum(TOTAL_TOKENS) as "
    "total_tokens, count() as request_count FROM {} WHERE TIMESTAMP >= now() - INTERVAL 30 DAY AND STATUS = 'ok' AND "
    "SPAN_TYPE = 'GENERATION' GROUP BY day, MODEL ORDER BY day DESC, total_cost DESC",
    "user_activity": "SELECT USER_ID, uniqExact(TRACE_ID) as trace_count, uniqExact(SESSION_ID) as session_count, "
    "sum(TOTAL_TOKENS) as total_tokens, sum(TOTAL_COST) as total_cost, avg(DURATION_MS) as avg_duration_ms FROM {} "
    "WHERE TIMESTAMP >= now() - INTERVAL 7 DAY AND SPAN_TYPE = 'GENERATION' GROUP BY USER_ID ORDER BY total_cost DESC",
    "errors": "SELECT TRACE_ID, TIMESTAMP, MODEL, LEVEL, FINISH_REASON, METADATA, INPUT, OUTPUT FROM {} WHERE STATUS = "
    "'error' AND TIMESTAMP >= now() - INTERVAL 1 HOUR ORDER BY TIMESTAMP DESC",
    "providers": "SELECT PROVIDER_NAME, MODEL, avg(DURATION_MS) as avg_duration_ms, quantile(0.5)(DURATION_MS) as "
    "p50_duration_ms, quantile(0.95)(DURATION_MS) as p95_duration_ms, count() as request_count FROM {} WHERE TIMESTAMP "
    ">= now() - INTERVAL 7 DAY AND STATUS = 'ok' AND SPAN_TYPE = 'GENERATION' GROUP BY PROVIDER_NAME, MODEL HAVING "
    "request_count >= 10 ORDER BY avg_duration_ms",
    "usage_by_key": "SELECT API_KEY_NAME, uniqExact(TRACE_ID) as trace_count, sum(TOTAL_COST) as total_cost, "
    "sum(PROMPT_TOKENS) as prompt_tokens, sum(COMPLETION_TOKENS) as completion_tokens FROM {} WHERE TIMESTAMP >= now() "
    "- INTERVAL 30 DAY AND SPAN_TYPE = 'GENERATION' GROUP BY API_KEY_NAME ORDER BY total_cost DESC",
    "custom_fields": "SELECT TRACE_ID, JSONExtractString(METADATA, 'custom_field') as custom_value, "
    "JSONExtractString(ATTRIBUTES, 'gen_ai.request.model') as requested_model FROM {} WHERE JSONHas(METADATA, "
    "'custom_field') ORDER BY TRACE_ID",
    "first_messages": "SELECT TRACE_ID, JSONExtractString(JSONExtractRaw(INPUT, 'messages'), 1, 'role') as "
    "first_message_role, JSONExtractString(JSONExtractRaw(INPUT, 'messages'), 1, 'content') as first_message_content "
    "FROM {} WHERE SPAN_TYPE = 'GENERATION' ORDER BY TRACE_ID, first_message_content",
    "departments": "SELECT JSONExtractString(METADATA, 'department') as department, JSONExtractString(METADATA, "
    "'quarter') as quarter, JSONExtractString(METADATA, 'model_version') as model_version, TOTAL_COST, TOTAL_TOKENS "
    "FROM {} WHERE JSONHas(METADATA, 'department') AND SPAN_TYPE = 'GENERATION' ORDER BY TIMESTAMP DESC",
}
TIMES = "%Y-%m-%d %H:%M:%S.%f"


@pytest.fixture(scope="module")
def filled(engine: Engine) -> Expected:
    now = time.time_ns()
    assert deliver(engine.exporter("guide"), calls(now)).delivered == len(calls(now))
    return Expected(now)


@pytest.mark.parametrize("name", GUIDE)
def test_the_queries_of_the_guide(engine: Engine, filled: Expected, name: str) -> None:
    found = engine.query(GUIDE[name].format("guide"))
    expected = getattr(filled, name)()
    assert len(found) == len(expected) > 0
    for row, wanted in zip(found, expected, strict=True):
        assert [_read(value, like) for value, like in zip(row, wanted, strict=True)] == [
            pytest.approx(value, rel=1e-12) if isinstance(value, float) else value for value in wanted
        ]  # costs are exact


def _read(value: Any, like: Any) -> Any:
    """Return a value as what it is compared with; JSON functions of ClickHouse give an empty text for nothing."""
    if isinstance(like, Decimal):
        return Decimal(value)
    if isinstance(like, dict):
        return json.loads(value)
    if isinstance(like, datetime):
        return datetime.strptime(value, TIMES)  # noqa: DTZ007 - in UTC, as it is stored
    if hasattr(like, "isoformat"):
        return datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007
    return None if value == "" and like is None else value


def test_a_table_of_broadcasts_own_with_fewer_columns(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """Its token counts cannot be NULL; it has columns that we know nothing of; ours are newer."""
    engine.query(
        "CREATE TABLE older (TRACE_ID String, SPAN_ID String, TIMESTAMP DateTime64(3), PROMPT_TOKENS UInt64, "
        "TOTAL_COST Nullable(Float64), SPAN_TYPE LowCardinality(String), EXTRA String, TEAM String DEFAULT 'none') "
        "ENGINE = MergeTree ORDER BY TIMESTAMP"
    )
    assert deliver(engine.exporter("older"), [CHAT, SAMPLES["error"]], [SAMPLES["free"]]).delivered == 3
    found = engine.query("SELECT PROMPT_TOKENS, TOTAL_COST, SPAN_TYPE, EXTRA, TEAM FROM older ORDER BY SPAN_ID DESC")
    assert found == [
        [1000, 0.0042, "GENERATION", "", "none"],
        [1000, 0.0, "GENERATION", "", "none"],
        [0, None, "GENERATION", "", "none"],
    ]
    warned = [record for record in caplog.records if "lacks" in record.getMessage()]
    assert len(warned) == 1
    assert "PARENT_SPAN_ID" in warned[0].getMessage()


@pytest.mark.parametrize("change", ["DROP TABLE changing", "ALTER TABLE changing DROP COLUMN NAME"])
def test_a_table_that_is_changed_meanwhile(engine: Engine, change: str) -> None:
    engine.query("DROP TABLE IF EXISTS changing")
    exporter = engine.exporter("changing")
    deliver(exporter, [CHAT])
    engine.query(change)
    assert deliver(exporter, [SAMPLES["free"]]).delivered == 1
    assert engine.query("SELECT count() FROM changing WHERE SPAN_ID = '0000000000001008'") == [[1]]


def test_names_that_need_quotes(engine: Engine) -> None:
    table = 'it\'s `my` "table" \\ one'
    assert deliver(engine.exporter(table), [CHAT]).delivered == 1
    assert engine.query(OURS.format(table.replace("\\", "\\\\").replace("'", "\\'")))


def test_the_probe_passes_and_makes_the_table(engine: Engine) -> None:
    found = probe(engine.exporter("probed"))
    assert (found.result.verdict, found.result.reason) == (Verdict.DELIVERED, "")
    assert engine.count("probed") == 0


def test_the_probe_says_where_a_repeated_batch_would_count_twice(engine: Engine) -> None:
    made = ClickHouse.ddl({"database": "default", "table": "plain"})
    engine.query(made.replace("non_replicated_deduplication_window = 1000", "index_granularity = 8192"))
    found = probe(engine.exporter("plain")).result
    assert found.verdict is Verdict.DELIVERED
    assert "ALTER TABLE `default`.`plain` MODIFY SETTING non_replicated_deduplication_window" in found.reason
    engine.query(found.reason.partition("to mend that: ")[2])  # the advice works
    assert probe(engine.exporter("plain")).result.reason == ""


@pytest.mark.parametrize(
    ("config", "word"),
    [({"password": "wrong"}, "username and password"), ({"database": "nowhere"}, "check database")],
)
def test_the_probe_says_what_is_wrong(engine: Engine, config: dict[str, Any], word: str) -> None:
    found = probe(engine.exporter("wrong", **config)).result
    assert found.verdict is Verdict.REJECTED
    assert word in found.reason
    assert PASSWORD not in found.reason


def failed(code: int, name: str = "SOME_ERROR", status: int = 500) -> Answer:
    body = f"Code: {code}. DB::Exception: secret prompt (at row 1). ({name}) (version 26.9)"
    return Answer(status, {"X-ClickHouse-Exception-Code": str(code)}, body.encode())


COLUMN = Answer(200, {}, b'{"name":"TRACE_ID","type":"String","default_kind":""}\n')
GRANTED, DENIED = Answer(200, {}, b'{"result":1}\n'), Answer(200, {}, b'{"result":0}\n')


def scripted(server: Server, **config: Any) -> ClickHouse:
    found: ClickHouse = make(ClickHouse, host=server.url, username=USER, password=PASSWORD, **config)
    return found


@pytest.mark.parametrize(
    ("answers", "word"),
    [
        ([200, Answer(200, {}, b""), failed(497, "ACCESS_DENIED")], "orobserve destinations ddl clickhouse"),
        ([200, COLUMN, DENIED], "GRANT INSERT ON `default`.`OPENROUTER_TRACES` TO me"),
        ([Answer(404)], "path"),
    ],
    ids=["create", "insert", "no clickhouse"],
)
def test_the_probe_names_the_missing_permission(answers: list[Any], word: str) -> None:
    with Server(*answers) as server:
        found = probe(scripted(server)).result
    assert found.verdict is Verdict.REJECTED
    assert word in found.reason


def test_a_server_without_check_grant_passes() -> None:
    with Server(200, COLUMN, failed(62, "SYNTAX_ERROR"), GRANTED) as server:
        assert probe(scripted(server)).result.verdict is Verdict.DELIVERED


def test_who_may_not_see_the_columns_sends_all_of_them() -> None:
    with Server(failed(497, "ACCESS_DENIED"), 200) as server:
        assert deliver(scripted(server), [CHAT]).delivered == 1
    (line,) = server.requests[1].body.decode().split("\n")
    assert len(json.loads(line)) == 35
    assert "input_format_skip_unknown_fields=1" in server.requests[1].path


@pytest.mark.parametrize(("code", "wait"), [(252, 15.0), (202, 0.5), (241, 0.5), (999, 0.5)])
def test_what_passes_is_sent_again_unchanged(code: int, wait: float) -> None:
    clock = VirtualClock()
    with Server(COLUMN, failed(code), 200) as server:
        assert deliver(scripted(server), [CHAT], clock=clock).delivered == 1
    _, first, second = server.requests
    assert (first.raw, first.path) == (second.raw, second.path)
    assert max(clock.waits) >= wait


@pytest.mark.parametrize("status", [500, 200])
def test_what_never_passes_is_refused_and_nothing_of_it_is_told(status: int) -> None:
    with Server(COLUMN, failed(53, "TYPE_MISMATCH", status)) as server:
        state = deliver(scripted(server), [CHAT])
    assert state.dropped == {"rejected": 1}
    assert state.last_error == "ClickHouse answers with code 53 TYPE_MISMATCH"


def test_one_bad_row_does_not_take_the_others_with_it() -> None:
    with Server(COLUMN, failed(27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"), failed(27), failed(27), 200) as server:
        state = deliver(scripted(server), [CHAT, SAMPLES["free"]])
    assert state.delivered == 1
    assert state.dropped == {"too_large": 1}


def test_the_key_is_in_a_header_only() -> None:
    exporter = make(ClickHouse, host="https://ch.example.com:8443/", username=USER, password=PASSWORD)
    for request in (requests_of(exporter, CHAT), exporter.probe()):
        assert request.url.startswith("https://ch.example.com:8443/?")
        assert PASSWORD not in request.url
        assert request.headers["X-ClickHouse-Key"] == PASSWORD


def test_a_host_that_is_no_address() -> None:
    with pytest.raises(ValueError, match="host must be a full address"):
        make(ClickHouse, host="localhost:8123")


def test_an_answer_that_is_no_clickhouse_error_is_judged_as_any_other() -> None:
    exporter = make(ClickHouse, host="http://localhost:8123")
    assert exporter.judge(HTTPResponse(status=503, body=b"proxy")).verdict is Verdict.RETRY
