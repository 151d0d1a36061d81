"""One load, five accounts of it: spans, metrics, the ledger, a warehouse and OpenRouter's bill say the same."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import orobserve
from orobserve.ledger.query import Reader
from orobserve.telemetry.prometheus import Provider
from orobserve.testing import Failure, Scenario
from tests.enrichment.test_money import COST, Row, call, everything, everything_else, exact
from tests.exporters import postgres_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.enrichment.conftest import Bench

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("psycopg") is None, reason="no psycopg: pip install 'psycopg[binary]'"),
    pytest.mark.skipif(
        postgres_server.programs() is None and "CI" not in os.environ,
        reason="no PostgreSQL server: apt-get install postgresql",
    ),
]
ROUNDS = 2
DIGITS = Decimal("1e-12")  # USD: what is left of the digits when floating-point numbers are added up, as metrics are
NOBODY = "http://127.0.0.1:9"
INPUT, OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"


def make_calls(bench: Bench) -> None:
    for _ in range(ROUNDS):
        for row, dialect, stream in everything():
            call(bench, replace(row, scenario=replace(row.scenario, record_after=0)), dialect, stream=stream)
        for kind in ("rate_limit_exceeded", "provider_unavailable"):
            failing = Row("failed", Scenario(error=Failure(error_type=kind)))
            call(bench, failing, "chat", stream=False)
    everything_else(bench)
    with pytest.raises(httpx.ConnectError):
        bench.client.post(f"{NOBODY}/api/v1/chat/completions", json={"model": "m"})
    bench.sim.next(Scenario(cost="absent", record_after=10_000))
    bench.call()  # last, and nobody ever tells what it cost


def of_spans(bench: Bench) -> dict[str, Any]:
    """Return what spans say, and the log events that take the place of those that ended too early."""
    late = {log.span_id: log.attributes for log in bench.telemetry.logs}
    told = [{**span.attributes, **late.get(span.context.span_id, {})} for span in bench.telemetry.spans]
    costs = [exact(call[COST]) for call in told if COST in call]
    return {
        "calls": len(told),
        "errors": sum("error.type" in call for call in told),
        "unpriced": sum(COST not in call and "error.type" not in call for call in told),
        "input": sum(call.get(INPUT, 0) for call in told),
        "output": sum(call.get(OUTPUT, 0) for call in told),
        "cost": sum(costs),
    }


def of_metrics(text: bytes) -> dict[str, Any]:
    """Return what Prometheus fetches."""
    families = text_string_to_metric_families(text.decode())
    samples = [sample for family in families for sample in family.samples]

    def total(name: str, **labels: str) -> Decimal:
        found = [s for s in samples if s.name == name and labels.items() <= s.labels.items()]
        return sum((exact(s.value) for s in found), Decimal())

    calls = "gen_ai_client_operation_duration_seconds_count"
    return {
        "calls": total(calls),
        "errors": sum(exact(s.value) for s in samples if s.name == calls and s.labels.get("error_type")),
        "unpriced": total("openrouter_client_unpriced_requests"),
        "input": total("gen_ai_client_token_usage_sum", gen_ai_token_type="input"),
        "output": total("gen_ai_client_token_usage_sum", gen_ai_token_type="output"),
        "cost": total("openrouter_client_cost_USD_total").quantize(DIGITS),
    }


def of_ledger(path: Path) -> dict[str, Any]:
    with Reader(path) as reader:
        (found,) = reader.sums()
    counts = {"calls": found.calls, "errors": found.errors, "unpriced": found.unpriced}
    return {**counts, "input": found.input_tokens, "output": found.output_tokens, "cost": found.cost}


def of_warehouse(url: str) -> dict[str, Any]:
    import psycopg

    names = ("calls", "errors", "unpriced", "input", "output", "cost")
    with psycopg.connect(url) as connection:
        row = connection.execute("""SELECT count(*), count(*) FILTER (WHERE status = 'error'),
            count(*) FILTER (WHERE status <> 'error' AND total_cost IS NULL),
            sum(prompt_tokens), sum(completion_tokens), sum(total_cost) FROM openrouter_traces""").fetchone()
    assert row is not None
    return dict(zip(names, row, strict=True))


def test_all_accounts_agree(bench: Bench, tmp_path: Path) -> None:
    meters, ledger = Provider(), tmp_path / "ledger.db"
    with postgres_server.postgres() as server:
        bench.instrument(
            hosts=[bench.sim.root, NOBODY],
            meter_provider=meters,
            ledger=str(ledger),
            destinations=[{"type": "postgres", "config": {"url": server.url}}],
            enrichment_limit=10_000,
        )
        make_calls(bench)
        bench.advance(90)  # after which nothing is looked up any more
        assert orobserve.flush(30)
        text, _ = meters.answer("application/openmetrics-text")
        spans, metrics = of_spans(bench), of_metrics(text)
        stored = {"ledger": of_ledger(ledger), "warehouse": of_warehouse(server.url)}
    assert spans["calls"] > 300
    bill = bench.sim.bill - bench.sim.ledger.entries()[-1].charge.total
    assert spans["cost"] == bill
    assert spans["errors"] > 0
    assert spans["unpriced"] > 0
    assert metrics == {**spans, "cost": bill.quantize(DIGITS)}
    for name, found in stored.items():
        assert found == {key: spans[key] for key in found}, name
