"""PostgreSQL: a real server of Debian's package; users, tables and rights as they come."""

from __future__ import annotations

import importlib.util
import os
import time
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import Verdict
from orobserve.delivery.probe import probe
from orobserve.generation import Cost, Enrichment, Request
from orobserve_exporters.postgres import Postgres
from tests.delivery.clocks import VirtualClock
from tests.delivery.servers import free_port
from tests.exporters import postgres_server
from tests.exporters.generations import CHAT, ODD_TEXT, SAMPLES
from tests.exporters.warehouse_calls import Expected, calls
from tests.support.deliver import deliver
from tests.support.otlp import make

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve.delivery import Result

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("psycopg") is None, reason="no psycopg: it is in the tox environment `warehouses`"
    ),
    pytest.mark.skipif(
        postgres_server.programs() is None and "CI" not in os.environ,
        reason="no PostgreSQL server: apt-get install postgresql",
    ),
]


class Database:
    def __init__(self, url: str) -> None:
        import psycopg

        self.url = url
        self._connection = psycopg.connect(url, autocommit=True)

    def exporter(self, table: str, **config: Any) -> Postgres:
        found: Postgres = make(Postgres, **{"url": self.url, "table": table, **config})
        return found

    def query(self, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def count(self, table: str) -> int:
        ((found,),) = self.query(f'SELECT count(*) FROM "{table}"')
        return int(found)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with postgres_server.postgres() as server:
        found = Database(server.url)
        found.query("SET TIME ZONE 'Asia/Kolkata'")  # what is stored must not depend on anybody's zone
        yield found
        found.close()


def probed(exporter: Postgres) -> Result:
    try:
        return probe(exporter).result
    finally:
        exporter.close()


def test_the_first_batch_makes_the_table(database: Database) -> None:
    assert deliver(database.exporter("first"), list(SAMPLES.values())).delivered == len(SAMPLES)
    assert database.count("first") == len(SAMPLES)


def test_what_is_stored(database: Database) -> None:
    deliver(database.exporter("stored", entity_id="team-7", service_name="app"), [CHAT, SAMPLES["unpriced"]])
    started = datetime(2026, 11, 22, 19, 22, 59, 563896, timezone.utc)
    (found,) = database.query(
        "SELECT trace_id, span_id, parent_span_id, user_id, session_id, entity_id, api_key_name, timestamp, end_time, "
        "duration_ms, model, provider_name, status, level, finish_reason, prompt_tokens, completion_tokens, "
        "total_tokens, cached_tokens, reasoning_tokens, input_cost, total_cost, span_type, name, tags, metadata, "
        "model_parameters, resource_attributes, attributes->>'openrouter.generation.id', input->'messages'->0, "
        "output->'messages'->0->>'content' FROM stored WHERE name = 'Summarise'"
    )
    assert found == (
        *("workflow_12345", "0a1b2c3d4e5f6071", None, "u-1", "s-1", "team-7", None, started),
        *(started.replace(minute=23, second=1), 2000.0, "anthropic/claude-sonnet-4", "Anthropic", "ok", "DEFAULT"),
        *("stop", 1000, 200, 1200, 600, 50, None, Decimal("0.0042"), "GENERATION", "Summarise", ["nightly", "report"]),
        {
            "team": "growth",
            "trace_id": "workflow_12345",
            "trace_name": "Nightly report",
            "generation_name": "Summarise",
        },
        *({"temperature": 0.2, "max_tokens": 500}, {"service.name": "app"}, "gen-abc"),
        *({"role": "system", "content": "Be brief."}, "It went well."),
    )
    assert database.query("SELECT total_cost FROM stored WHERE span_id = '0000000000001003'") == [(None,)]


def test_odd_text_and_what_is_not_known(database: Database) -> None:
    deliver(database.exporter("odd"), [SAMPLES["odd_text"], replace(SAMPLES["error"], content=None)])
    (found,) = database.query("SELECT session_id, input->'messages'->0->>'content' FROM odd WHERE status = 'ok'")
    assert found == ("s-日本語", ODD_TEXT.encode("utf-8", "replace").decode().replace("\0", "\ufffd"))
    bare = database.query("SELECT input, prompt_tokens, total_cost, level FROM odd WHERE status = 'error'")
    assert bare == [(None, None, None, "ERROR")]


def test_a_batch_that_is_sent_twice_is_stored_once(database: Database) -> None:
    for _ in range(2):
        assert deliver(database.exporter("twice"), [CHAT, SAMPLES["free"]]).delivered == 2
    assert database.count("twice") == 2


def test_a_cost_that_comes_later_is_filled_in(database: Database) -> None:
    exporter = database.exporter("later")
    late = replace(
        SAMPLES["cancelled"],
        cost=Cost(charged=0.0107, total=0.0107, source="generation"),
        enrichment=Enrichment(status="complete", is_late=True),
    )
    assert exporter.UPDATES
    deliver(exporter, [SAMPLES["cancelled"], CHAT], [late], [late, late])
    assert database.query("SELECT sum(total_cost), count(*) FROM later") == [(Decimal("0.0149"), 2)]


GUIDE = {  # the queries of OpenRouter's warehouse guides, in PostgreSQL's words
    "cost_by_model": "SELECT (timestamp AT TIME ZONE 'UTC')::date AS day, model, sum(total_cost) AS total_cost, "
    "sum(total_tokens), count(*) FROM guide WHERE timestamp >= now() - interval '30 days' AND status = 'ok' AND "
    "span_type = 'GENERATION' GROUP BY day, model ORDER BY day DESC, total_cost DESC NULLS LAST",
    "user_activity": "SELECT user_id, count(DISTINCT trace_id), count(DISTINCT session_id), sum(total_tokens), "
    "sum(total_cost) AS total_cost, avg(duration_ms) FROM guide WHERE timestamp >= now() - interval '7 days' AND "
    "span_type = 'GENERATION' GROUP BY user_id ORDER BY total_cost DESC",
    "errors": "SELECT trace_id, timestamp AT TIME ZONE 'UTC', model, level, finish_reason, metadata, input, output "
    "FROM guide WHERE status = 'error' AND timestamp >= now() - interval '1 hour' ORDER BY timestamp DESC",
    "providers": "SELECT provider_name, model, avg(duration_ms) AS mean, percentile_cont(0.5) WITHIN GROUP (ORDER BY "
    "duration_ms), percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms), count(*) FROM guide WHERE timestamp >= "
    "now() - interval '7 days' AND status = 'ok' AND span_type = 'GENERATION' GROUP BY provider_name, model HAVING "
    "count(*) >= 10 ORDER BY mean",
    "usage_by_key": "SELECT api_key_name, count(DISTINCT trace_id), sum(total_cost) AS total_cost, "
    "sum(prompt_tokens), sum(completion_tokens) FROM guide WHERE timestamp >= now() - interval '30 days' AND "
    "span_type = 'GENERATION' GROUP BY api_key_name ORDER BY total_cost DESC",
    "custom_fields": "SELECT trace_id, metadata->>'custom_field', attributes->>'gen_ai.request.model' FROM guide "
    "WHERE metadata ? 'custom_field' ORDER BY trace_id",
    "first_messages": "SELECT trace_id, input#>>'{messages,0,role}', input#>>'{messages,0,content}' AS said FROM "
    "guide WHERE span_type = 'GENERATION' ORDER BY trace_id COLLATE \"C\", coalesce(input#>>'{messages,0,content}', '')"
    ' COLLATE "C"',
    "departments": "SELECT metadata->>'department', metadata->>'quarter', metadata->>'model_version', total_cost, "
    "total_tokens FROM guide WHERE metadata ? 'department' AND span_type = 'GENERATION' ORDER BY timestamp DESC",
    "newest": "SELECT trace_id, span_id, timestamp AT TIME ZONE 'UTC', model, status, total_tokens, total_cost FROM "
    "guide ORDER BY timestamp DESC LIMIT 20",
}


@pytest.fixture(scope="module")
def filled(database: Database) -> Expected:
    now = time.time_ns()
    assert deliver(database.exporter("guide"), calls(now)).delivered == len(calls(now))
    return Expected(now)


@pytest.mark.parametrize("name", GUIDE)
def test_the_queries_of_the_guides(database: Database, filled: Expected, name: str) -> None:
    found, expected = database.query(GUIDE[name]), getattr(filled, name)()
    assert len(found) == len(expected) > 0
    for row, wanted in zip(found, expected, strict=True):
        assert list(row) == [
            pytest.approx(value, rel=1e-12) if isinstance(value, float) else value for value in wanted
        ]  # costs are exact


def test_a_table_with_fewer_and_other_columns(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """Upper-case names, counts that cannot be NULL, short texts, numeric money, tags as JSON; columns of their own."""
    database.query(
        'CREATE TABLE older ("TRACE_ID" varchar(8), "SPAN_ID" text, "TIMESTAMP" timestamp, "PROMPT_TOKENS" int NOT '
        'NULL, "TOTAL_COST" numeric(18, 10), "TAGS" jsonb, "TEAM" text NOT NULL DEFAULT \'none\', PRIMARY KEY '
        '("TRACE_ID", "SPAN_ID"))'
    )
    assert deliver(database.exporter("older"), [CHAT, SAMPLES["error"]], [SAMPLES["free"], CHAT]).delivered == 4
    assert database.query('SELECT * FROM older ORDER BY "SPAN_ID" DESC LIMIT 1') == [
        (
            *("workflow", "0a1b2c3d4e5f6071", datetime(2026, 11, 22, 19, 22, 59, 563896)),  # noqa: DTZ001 - in UTC
            *(1000, Decimal("0.0042"), ["nightly", "report"], "none"),
        )
    ]
    assert database.query('SELECT "PROMPT_TOKENS", "TOTAL_COST" FROM older ORDER BY "SPAN_ID" LIMIT 1') == [(0, None)]
    assert len([each for each in caplog.records if "the table lacks PARENT_SPAN_ID" in each.getMessage()]) == 1


def test_a_table_without_a_key_is_filled_once_and_says_so(database: Database) -> None:
    database.query("CREATE TABLE keyless (trace_id text, span_id text, total_cost float8)")
    exporter = database.exporter("keyless")
    assert "no unique index" in exporter.check().reason
    for _ in range(2):
        assert exporter.export([CHAT, SAMPLES["free"]]).verdict is Verdict.DELIVERED
    assert database.count("keyless") == 2
    exporter.close()


@pytest.mark.parametrize("change", ["DROP TABLE changing", "ALTER TABLE changing DROP COLUMN name"])
def test_a_table_that_is_changed_meanwhile(database: Database, change: str) -> None:
    database.query("DROP TABLE IF EXISTS changing")
    exporter = database.exporter("changing")
    assert exporter.export([CHAT]).verdict is Verdict.DELIVERED
    database.query(change)
    assert exporter.export([SAMPLES["free"]]).verdict is Verdict.DELIVERED
    assert database.query("SELECT total_cost FROM changing WHERE span_id = '0000000000001008'") == [(0.0,)]
    exporter.close()


def test_names_that_need_quotes(database: Database) -> None:
    table = 'it\'s "my" 100% \\ one'
    assert deliver(database.exporter(table), [CHAT]).delivered == 1
    assert database.query("SELECT n_live_tup >= 0 FROM pg_stat_user_tables WHERE relname = %s", table) == [(True,)]


def test_one_bad_row_does_not_take_the_others_with_it(database: Database) -> None:
    database.query(Postgres.ddl({"schema": "public", "table": "strict"}).replace("user_id text", "user_id integer"))
    numbered = [
        replace(CHAT, span_id=f"{n:016x}", request=Request(model="m", user="nobody" if n == 3 else str(n)))
        for n in range(6)
    ]
    state = deliver(database.exporter("strict"), numbered)
    assert state.delivered == 5
    assert "InvalidTextRepresentation" in str(state.last_error)
    assert "nobody" not in str(state.last_error)


def test_who_may_not_make_the_table_is_told_how_to(database: Database) -> None:
    database.query("CREATE ROLE writer LOGIN PASSWORD 'w-secret'")
    url = database.url.replace(f"postgres:{postgres_server.PASSWORD}", "writer:w-secret")
    refused = probed(database.exporter("denied", url=url))
    assert refused.verdict is Verdict.REJECTED
    assert "orobserve destinations ddl postgres" in refused.reason
    database.query(Postgres.ddl({"schema": "public", "table": "denied"}))
    database.query("GRANT INSERT ON denied TO writer")
    refused = probed(database.exporter("denied", url=url))
    assert 'GRANT SELECT, UPDATE ON "public"."denied"' in refused.reason
    database.query("GRANT SELECT, UPDATE ON denied TO writer")
    assert probed(database.exporter("denied", url=url)).verdict is Verdict.DELIVERED
    assert deliver(database.exporter("denied", url=url), [CHAT]).delivered == 1


def test_columns_that_we_cannot_fill_are_named(database: Database) -> None:
    database.query("CREATE TABLE needy (trace_id text, span_id text, tenant text NOT NULL, UNIQUE (trace_id, span_id))")
    found = probed(database.exporter("needy"))
    assert found.verdict is Verdict.REJECTED
    assert "TENANT" in found.reason


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        (postgres_server.PASSWORD, "wrong", "the user and the password of url"),
        ("/postgres", "/nowhere", "no such database"),
        ("127.0.0.1", "no-such-host.invalid", "the host of url"),
    ],
)
def test_the_probe_says_what_is_wrong(database: Database, old: str, new: str, word: str) -> None:
    head, _, tail = database.url.rpartition(old)
    found = probed(database.exporter("wrong", url=f"{head}{new}{tail}"))
    assert found.verdict is not Verdict.DELIVERED
    assert word in found.reason
    assert postgres_server.PASSWORD not in found.reason


def test_where_nobody_listens() -> None:
    found = probed(make(Postgres, url=free_port().replace("http", "postgresql") + "/postgres"))
    assert (found.verdict, "nobody listens" in found.reason) == (Verdict.RETRY, True)


def test_an_address_that_is_none() -> None:
    with pytest.raises(ValueError, match="url must be postgresql://"):
        make(Postgres, url="localhost:5432")


def test_a_server_that_is_killed_and_started_again_loses_nothing() -> None:
    clock = VirtualClock()
    with postgres_server.postgres() as server:
        exporter = make(Postgres, url=server.url)
        numbered = [replace(CHAT, span_id=f"{n:016x}", id=f"gen-{n}") for n in range(1, 2001)]

        def restart() -> None:  # at the first wait for another attempt
            clock.on_wait = None
            server.start()

        assert exporter.check().verdict is Verdict.DELIVERED
        server.kill()
        clock.on_wait = restart
        state = deliver(exporter, numbered, clock=clock)
        found = Database(server.url)
        assert (state.delivered, found.count("openrouter_traces")) == (2000, 2000)
        found.close()


def test_a_forked_child_opens_a_connection_of_its_own(database: Database) -> None:
    exporter = database.exporter("forked")
    exporter.export([CHAT])
    child = os.fork()
    if child == 0:  # pragma: no cover - in another process
        done = exporter.export([SAMPLES["free"]]).verdict is Verdict.DELIVERED
        os._exit(0 if done else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert exporter.export([SAMPLES["tools"]]).verdict is Verdict.DELIVERED
    assert database.count("forked") == 3
    exporter.close()
