"""The money table: for every dialect and every way to tell a cost, the spans say what the simulator billed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.testing import Attempt, Failure, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.enrichment.conftest import Bench

COST, SOURCE, STATUS = "openrouter.cost.total", "openrouter.cost.source", "openrouter.enrichment.status"
CHAT = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
MESSAGES = {"model": "anthropic/claude-sonnet-4", "max_tokens": 99, "messages": [{"role": "user", "content": "Why?"}]}
# Path, body, and whether it can be streamed.
DIALECTS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "chat": ("/chat/completions", CHAT, True),
    "completions": ("/completions", {"model": "openai/gpt-3.5-turbo-instruct", "prompt": "Why?"}, True),
    "responses": ("/responses", {"model": "openai/gpt-4o", "input": "Why?"}, True),
    "messages": ("/messages", MESSAGES, True),
    "embeddings": ("/embeddings", {"model": "openai/text-embedding-3-small", "input": "Why?"}, False),
    "rerank": ("/rerank", {"model": "cohere/rerank-v3.5", "query": "a", "documents": ["a", "b"]}, False),
    "images": ("/images", {"model": "google/gemini-2.5-flash-image", "prompt": "A cat"}, True),
    "speech": ("/audio/speech", {"model": "openai/gpt-4o-mini-tts", "input": "Why?", "voice": "alloy"}, False),
    "transcriptions": (
        "/audio/transcriptions",
        {"model": "openai/whisper-1", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        False,
    ),
}
WITH_TOKENS = ("chat", "completions", "responses", "messages")
WITH_DETAILS = ("chat", "responses", "messages")


@dataclass(frozen=True)
class Row:
    """One line of the table; `expected` are attributes of the span."""

    name: str
    scenario: Scenario
    dialects: tuple[str, ...] = tuple(DIALECTS)
    expected: dict[str, Any] = field(default_factory=dict)


CACHED = {
    "gen_ai.usage.input_tokens": 25612,
    "gen_ai.usage.cache_write.input_tokens": 25600,
}
REASONED = {"gen_ai.usage.output_tokens": 1000, "gen_ai.usage.reasoning.output_tokens": 700}
TABLE = [
    Row("plain", Scenario()),
    Row("byok with a fee", Scenario(byok="fee"), expected={"openrouter.byok": True}),
    Row("byok without a fee", Scenario(byok="free"), expected={"openrouter.byok": True}),
    Row("byok flag missing", Scenario(byok="unflagged"), WITH_DETAILS),
    Row("upstream equal to the cost", Scenario(upstream="equal")),
    Row("upstream zero", Scenario(upstream="zero")),
    Row("free", Scenario(prompt_tokens=0, completion_tokens=0), WITH_TOKENS, {COST: 0.0}),
    Row("cost as a text", Scenario(cost="string")),
    Row("cost null", Scenario(cost="null")),
    Row("cost absent", Scenario(cost="absent")),
    Row("no usage", Scenario(usage="absent")),
    Row("usage null", Scenario(usage="null")),
    Row("cache write", Scenario(prompt_tokens=25612, cache_write_tokens=25600), WITH_DETAILS, CACHED),
    Row(
        "cache read",
        Scenario(prompt_tokens=2000, cached_tokens=1200),
        WITH_DETAILS,
        {"openrouter.prompt_cache.hit": True},
    ),
    Row("reasoning", Scenario(completion_tokens=1000, reasoning_tokens=700, reasoning="Hm."), WITH_DETAILS, REASONED),
    Row("fallback", Scenario(failed_attempts=(Attempt(provider="OpenAI", status=503),), fallback=True), WITH_DETAILS),
    Row("record late", Scenario(record_after=4)),
]
CASES = [
    pytest.param(row, dialect, stream, id=f"{row.name}-{dialect}{'-streamed' * stream}")
    for row in TABLE
    for dialect in row.dialects
    for stream in ([False, True] if DIALECTS[dialect][2] else [False])
]


def call(bench: Bench, row: Row, dialect: str, *, stream: bool) -> None:
    path, body, _ = DIALECTS[dialect]
    bench.sim.next(row.scenario)
    bench.client.post(bench.sim.url + path, json={**body, **({"stream": True} if stream else {})}).read()


def exact(value: float) -> Decimal:
    return Decimal(repr(value))


@pytest.mark.parametrize(("row", "dialect", "stream"), CASES)
def test_a_row(bench: Bench, row: Row, dialect: str, stream: bool) -> None:
    bench.instrument()
    call(bench, row, dialect, stream=stream)
    bench.advance(10)
    found = bench.telemetry.span.attributes
    assert found[STATUS] == "complete"
    assert found[SOURCE] == "generation"
    assert exact(found[COST]) == bench.sim.bill
    assert {name: found.get(name) for name in row.expected} == row.expected
    assert "openrouter.cost.ambiguous" not in found
    assert bench.telemetry.logs == []


def test_a_response_cache_hit_is_free(bench: Bench) -> None:
    bench.instrument()
    for _ in range(2):
        bench.call(headers={"X-OpenRouter-Cache": "true"})
    bench.advance(10)
    first, hit = sorted(bench.telemetry.spans, key=lambda span: span.start_time)
    assert (first.attributes["openrouter.response_cache.status"], exact(first.attributes[COST])) == (
        "miss",
        bench.sim.bill,
    )
    assert (hit.attributes["openrouter.response_cache.status"], hit.attributes[COST]) == ("hit", 0.0)
    assert hit.attributes["gen_ai.usage.input_tokens"] == 0


@pytest.mark.parametrize("billing", ["full", "partial", "none"])
def test_an_aborted_stream(bench: Bench, billing: Any) -> None:
    bench.sim.default = Scenario(record_after=5, cancelled=True, billing=billing, hold_after=3, completion_tokens=100)
    bench.instrument(enrichment="missing", enrichment_deadline=60)
    bench.abort()
    bench.advance(20)
    found = bench.telemetry.span.attributes
    assert (found["openrouter.stream.outcome"], found[STATUS]) == ("cancelled", "complete")
    assert found["openrouter.enrichment.attempts"] == 6
    assert exact(found[COST]) == bench.sim.bill
    assert (found[COST] == 0) is (billing == "none")
    assert found["gen_ai.usage.output_tokens"] <= 100


@pytest.mark.parametrize("dialect", WITH_TOKENS)
def test_an_error_in_the_stream_that_is_billed_in_part(bench: Bench, dialect: str) -> None:
    failure = Failure(error_type="provider_unavailable", place="midstream")
    bench.instrument(enrichment="missing")
    call(bench, Row("broken", Scenario(error=failure, billing="partial", completion_tokens=50)), dialect, stream=True)
    bench.advance(10)
    found = bench.telemetry.span.attributes
    assert found["error.type"] == "provider_unavailable"
    assert exact(found[COST]) == bench.sim.bill > 0


def test_a_video_is_billed_once(bench: Bench) -> None:
    bench.sim.default = Scenario(polls=2)
    bench.instrument()
    job = bench.client.post(f"{bench.sim.url}/videos", json={"model": "google/veo-3", "prompt": "A cat"}).json()
    while bench.client.get(f"{bench.sim.url}/videos/{job['id']}").json()["status"] != "completed":
        pass
    bench.client.get(f"{bench.sim.url}/videos/{job['id']}")
    bench.advance(10)
    started, finished = sorted(bench.telemetry.spans, key=lambda span: span.start_time)
    assert COST not in started.attributes
    assert exact(finished.attributes[COST]) == bench.sim.bill > 0


def everything() -> Iterator[tuple[Row, str, bool]]:
    yield from (case.values for case in CASES)  # type: ignore[misc]


@pytest.mark.parametrize("mode", ["always", "missing"])
def test_the_sum_is_the_bill_to_the_last_digit(bench: Bench, mode: str) -> None:
    bench.instrument(enrichment=mode, enrichment_limit=10_000)
    for row, dialect, stream in everything():
        call(bench, replace(row, scenario=replace(row.scenario, record_after=0)), dialect, stream=stream)
    bench.abort()
    bench.advance(20)
    spans = bench.telemetry.spans
    assert len(spans) == len(CASES) + 1
    assert sum(exact(span.attributes[COST]) for span in spans) == bench.sim.bill
    assert len({span.attributes["openrouter.generation.id"] for span in spans}) == len(spans)
    counted = sum(point.value for point in bench.telemetry.metrics["openrouter.client.cost"].values())
    assert counted == pytest.approx(float(bench.sim.bill), rel=1e-12)
    asked = Counter(bench.lookups)
    assert max(asked.values()) <= 2
    statuses = Counter(span.attributes[STATUS] for span in spans)
    if mode == "always":
        assert set(statuses) == {"complete"}
    else:  # only what the response has left open is asked for
        open_cost = {span.attributes[SOURCE] for span in spans if span.attributes[STATUS] == "not_needed"}
        assert open_cost == {"response"}
        assert 0 < statuses["complete"] < statuses["not_needed"]


def everything_else(bench: Bench) -> None:
    """Make the calls that are no rows: errors in streams, a hit of the response cache, a video, a late record."""
    broken = Scenario(error=Failure(error_type="provider_unavailable", place="midstream"), billing="partial")
    for dialect in WITH_TOKENS:
        call(bench, Row("broken", replace(broken, completion_tokens=50)), dialect, stream=True)
    for _ in range(2):
        bench.call(headers={"X-OpenRouter-Cache": "true"})
    job = bench.client.post(f"{bench.sim.url}/videos", json={"model": "google/veo-3.1", "prompt": "A cat"}).json()
    while bench.client.get(f"{bench.sim.url}/videos/{job['id']}").json()["status"] != "completed":
        pass
    bench.sim.next(Scenario(record_delay=12, cancelled=True, billing="partial", hold_after=3, completion_tokens=100))
    bench.abort()


@pytest.mark.parametrize("mode", ["always", "missing"])
def test_spans_and_late_records_together_are_the_bill(bench: Bench, mode: str) -> None:
    bench.instrument(enrichment=mode, enrichment_limit=10_000)
    for row, dialect, stream in everything():
        call(bench, replace(row, scenario=replace(row.scenario, record_after=0)), dialect, stream=stream)
    everything_else(bench)
    bench.advance(30)
    spans, (late,) = bench.telemetry.spans, bench.telemetry.logs
    assert [span.attributes[STATUS] for span in spans if span.context.span_id == late.span_id] == ["timeout"]
    told = [(span.attributes["openrouter.generation.id"], span.attributes.get(COST)) for span in spans]
    told.append((late.attributes["openrouter.generation.id"], late.attributes[COST]))
    costs = [(generation, exact(cost)) for generation, cost in told if cost is not None]
    assert sum(cost for _, cost in costs) == bench.sim.bill
    assert len({generation for generation, _ in costs}) == len(costs)  # nothing is counted twice
    billed = [entry for entry in bench.sim.ledger.entries() if entry.charge.total]
    assert sum(cost > 0 for _, cost in costs) == len(billed)
    assert all(cost == bench.sim.bill_for(generation) for generation, cost in costs)
    counted = sum(point.value for point in bench.telemetry.metrics["openrouter.client.cost"].values())
    assert counted == pytest.approx(float(bench.sim.bill), rel=1e-12)


def test_without_look_ups_just_those_are_unpriced(bench: Bench) -> None:
    bench.instrument(enrichment="never")
    for row, dialect, stream in everything():
        call(bench, row, dialect, stream=stream)
        found = bench.telemetry.spans[-1].attributes
        silent = row.name in {"cost null", "cost absent", "no usage", "usage null"}
        silent = silent or dialect == "speech" or (dialect == "messages" and stream)
        assert (COST not in found) is silent, (row.name, dialect, stream)
        assert STATUS not in found
    assert bench.lookups == []
