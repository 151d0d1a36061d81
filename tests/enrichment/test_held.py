"""A span is held open until its record is there, and ends with the call's own times, whatever happens first."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

import orobserve
from orobserve.testing import Scenario
from tests.enrichment.conftest import KEY

if TYPE_CHECKING:
    from tests.enrichment.conftest import Bench

STATUS = "openrouter.enrichment.status"


def test_the_record_is_on_the_span(bench: Bench) -> None:
    bench.instrument()
    bench.call()
    assert bench.telemetry.spans == []
    assert bench.telemetry.in_flight == 0
    bench.advance(1)  # 404: not yet
    assert bench.telemetry.spans == []
    bench.advance(1)
    span = bench.telemetry.span
    assert span.attributes[STATUS] == "complete"
    assert span.attributes["openrouter.enrichment.attempts"] == 2
    assert span.attributes["openrouter.enrichment.delay_ms"] == 2000
    assert span.attributes["openrouter.cost.source"] == "generation"
    assert span.attributes["openrouter.cost.total"] == float(bench.sim.bill)
    assert span.attributes["openrouter.data_region"] == "global"
    assert "openrouter.enrichment.mismatch" not in span.attributes
    assert len(bench.lookups) == 2
    bench.advance(100)
    assert len(bench.lookups) == 2


def test_the_span_ends_when_the_call_did(bench: Bench) -> None:
    seen: list[Any] = []
    orobserve.on_generation(seen.append)
    bench.instrument()
    bench.call()
    bench.advance(2)
    assert orobserve.flush()
    (generation,) = seen
    assert bench.telemetry.span.end_time == generation.timing.ended_at
    assert bench.telemetry.span.start_time == generation.timing.started_at


def test_at_the_deadline_it_ends_without(bench: Bench) -> None:
    bench.sim.default = Scenario(record_delay=12)
    seen: list[Any] = []
    updated: list[Any] = []
    orobserve.on_generation(seen.append)
    orobserve.on_generation(updated.append, updates=True)
    bench.instrument()
    bench.call()
    bench.advance(10)
    span = bench.telemetry.span
    assert span.attributes[STATUS] == "timeout"
    assert span.attributes["openrouter.cost.source"] == "response"
    assert bench.telemetry.logs == []
    bench.advance(5)
    (log,) = bench.telemetry.logs
    assert log.event_name == "openrouter.generation.details"
    assert (log.trace_id, log.span_id) == (span.context.trace_id, span.context.span_id)
    assert log.attributes["openrouter.cost.source"] == "generation"
    assert log.attributes[STATUS] == "complete"
    assert orobserve.flush()
    assert [generation.enrichment.status for generation in seen] == ["timeout"]
    assert [(g.enrichment.status, g.enrichment.is_late) for g in updated] == [("timeout", None), ("complete", True)]
    assert updated[0].span_id == updated[1].span_id
    assert sum(point.value for point in bench.telemetry.metrics["openrouter.client.cost"].values()) == pytest.approx(
        float(bench.sim.bill), rel=1e-12
    )


def test_what_was_unknown_at_the_deadline_is_counted_when_it_comes(bench: Bench) -> None:
    bench.sim.default = Scenario(record_delay=12, cancelled=True)
    bench.instrument()
    bench.abort()
    bench.advance(10)
    assert "openrouter.cost.total" not in bench.telemetry.span.attributes
    assert "openrouter.client.cost" not in bench.telemetry.metrics
    bench.advance(6)
    (log,) = bench.telemetry.logs
    assert log.attributes["openrouter.cost.total"] == float(bench.sim.bill)
    metrics = bench.telemetry.metrics
    assert sum(point.value for point in metrics["openrouter.client.cost"].values()) == float(bench.sim.bill)
    assert {dict(labels)["gen_ai.token.type"]: p.sum for labels, p in metrics["gen_ai.client.token.usage"].items()}
    assert sum(point.count for point in metrics["gen_ai.client.operation.duration"].values()) == 1


@pytest.mark.parametrize("how", ["flush", "force_flush", "shutdown", "uninstrument"])
def test_what_flushes_ends_held_spans(bench: Bench, how: str) -> None:
    bench.instrument()
    bench.call()
    if how in {"flush", "uninstrument"}:
        getattr(orobserve, how)()
    else:
        getattr(bench.telemetry.tracer_provider, how)()
    assert bench.telemetry.span.attributes[STATUS] == "pending"
    assert bench.telemetry.span.attributes["openrouter.cost.source"] == "response"
    if how == "flush":
        bench.advance(2)
        (log,) = bench.telemetry.logs
        assert log.attributes[STATUS] == "complete"
        assert len(bench.telemetry.spans) == 1


@pytest.mark.parametrize(
    ("mode", "scenario", "stream", "status"),
    [
        ("missing", Scenario(), False, "not_needed"),
        ("missing", Scenario(), True, "not_needed"),
        ("missing", Scenario(cost="absent"), False, "complete"),
        ("missing", Scenario(usage="absent"), True, "complete"),
        ("never", Scenario(usage="absent"), True, None),
        ("always", Scenario(), True, "complete"),
    ],
)
@pytest.mark.parametrize("by", ["setting", "context"])
def test_modes(bench: Bench, mode: str, scenario: Scenario, stream: bool, status: str | None, by: str) -> None:
    bench.sim.default = scenario
    bench.instrument(enrichment=mode if by == "setting" else "always" if mode == "never" else "never")
    with orobserve.context(**({"enrichment": mode} if by == "context" else {})):
        bench.call(stream=stream)
    bench.advance(2)
    assert bench.telemetry.span.attributes.get(STATUS) == status
    assert bool(bench.lookups) is (status == "complete")


def test_a_wrong_mode_is_refused() -> None:
    with pytest.raises(orobserve.ConfigurationError, match=r"'sometimes'.*'always', 'missing', 'never'"):
        orobserve.context(enrichment="sometimes")


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_later_may_help(bench: Bench, status: int) -> None:
    bench.sim.default = Scenario(record_after=0, record_status=status)
    bench.instrument()
    bench.call()
    bench.advance(70)
    assert bench.telemetry.span.attributes[STATUS] == "timeout"
    assert len(bench.lookups) in {8, 9}  # one falls into the time that a Retry-After asks for
    (point,) = bench.telemetry.metrics["orobserve.enrichment.lookups"].items()
    assert dict(point[0]) == {"outcome": "error"}
    assert bench.enricher._books.waiting == set()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_not_used_again(bench: Bench, status: int, caplog: pytest.LogCaptureFixture) -> None:
    bench.sim.default = Scenario(record_after=0, record_status=status)
    bench.instrument()
    with caplog.at_level(logging.WARNING, "orobserve"):
        bench.call()
        bench.call()
        bench.advance(1)
        bench.call()
    assert [span.attributes[STATUS] for span in bench.telemetry.spans] == ["unauthorized"] * 3
    assert 1 <= len(bench.lookups) <= 2
    (line,) = caplog.messages
    assert "enrichment='never'" in line
    assert KEY not in line
    bench.sim.default = Scenario(record_after=0)
    bench.advance(301)
    bench.call()
    bench.advance(1)
    assert bench.telemetry.spans[-1].attributes[STATUS] == "complete"


def test_a_server_that_wants_to_be_left_alone_is(bench: Bench) -> None:
    bench.sim.default = Scenario(record_after=0, record_status=429)  # with Retry-After: 1
    bench.instrument()
    bench.call()
    bench.advance(1)
    bench.call()
    asked = len(bench.lookups)
    bench.advance(0.9)
    assert len(bench.lookups) == asked == 1


def test_the_record_of_another_call_is_none(bench: Bench) -> None:
    bench.sim.default = Scenario(record_after=0, record_overrides={"id": "gen-other", "total_cost": 99})
    bench.instrument()
    bench.call()
    bench.advance(1)
    assert bench.telemetry.span.attributes[STATUS] == "error"
    assert bench.telemetry.span.attributes["openrouter.cost.total"] == float(bench.sim.bill)
    bench.advance(100)
    assert len(bench.lookups) == 1


def test_over_the_bound_calls_end_at_once(bench: Bench) -> None:
    bench.instrument(enrichment_limit=4)
    for _ in range(3):
        bench.call()
    assert [span.attributes[STATUS] for span in bench.telemetry.spans] == ["dropped"]
    bench.abort()  # its cost is unknown: for such calls half of the places are kept
    assert len(bench.telemetry.spans) == 1
    dropped = bench.telemetry.metrics["orobserve.dropped"]
    assert [(dict(labels), point.value) for labels, point in dropped.items()] == [
        ({"signal": "enrichment", "reason": "queue_full"}, 1)
    ]
    pending = bench.telemetry.metrics["orobserve.enrichment.pending"]
    assert [point.value for point in pending.values()] == [3]


def test_look_ups_are_not_traced_and_use_the_key_of_the_call(bench: Bench) -> None:
    bench.instrument()
    bench.call(headers={"Authorization": "Bearer sk-or-v1-another"})
    bench.advance(2)
    assert len(bench.telemetry.spans) == 1
    asked = [call for call in bench.sim.calls if call.path.startswith("/api/v1/generation")]
    assert {call.header("authorization") for call in asked} == {"Bearer sk-or-v1-another"}
    assert all("traceparent" not in dict(call.headers) for call in asked)


def test_a_failed_call_without_an_id_has_no_record(bench: Bench) -> None:
    bench.instrument()
    bench.call(headers={"Authorization": f"Bearer {KEY}-invalid"})
    assert bench.telemetry.span.attributes[STATUS] == "not_needed"


def test_the_rate_is_bounded(bench: Bench) -> None:
    bench.instrument(enrichment_rate=10)
    for _ in range(30):
        bench.call()
    for step in range(60):
        bench.clock.advance(0.05, bench.enricher, to_the_end=False)
        assert len(bench.lookups) <= 2 + 10 * 0.05 * (step + 1)
    assert len(set(bench.lookups)) > 10


def test_a_server_that_keeps_no_records_is_left_alone(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.sim.default = Scenario(record_status=404)
    bench.instrument()
    with caplog.at_level(logging.WARNING, "orobserve"):
        for _ in range(25):
            bench.call()
        bench.advance(61)
        asked = len(bench.lookups)
        bench.call()
    assert bench.telemetry.spans[-1].attributes[STATUS] == "not_found"
    assert len(bench.lookups) == asked
    (line,) = caplog.messages
    assert "20 calls in a row" in line
    bench.sim.default = Scenario(record_after=0)
    bench.advance(301)
    bench.call()
    bench.advance(1)
    assert bench.telemetry.spans[-1].attributes[STATUS] == "complete"


def test_each_client_has_its_own_patience(bench: Bench) -> None:
    bench.sim.default = Scenario(record_after=1000)
    bench.instrument(enrichment_deadline=60)
    bench.call()
    bench.instrument(enrichment_deadline=5)
    bench.call()
    bench.advance(6)
    assert len(bench.telemetry.spans) == 1


@pytest.mark.parametrize("scarce", ["orobserve_schedule", "orobserve_look_up_all"])
def test_no_thread_is_to_be_had(bench: Bench, monkeypatch: pytest.MonkeyPatch, scarce: str) -> None:
    start, refused = threading.Thread.start, threading.Event()

    def fail(thread: threading.Thread) -> None:
        if thread.name == scarce:
            refused.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    bench.instrument()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        bench.call()
        if scarce == "orobserve_schedule":
            assert bench.telemetry.span.attributes[STATUS] == "dropped"
            return
        with bench.enricher._books.changed:
            bench.clock._now += 1
            bench.enricher._books.changed.notify_all()
        assert refused.wait(30)
    bench.advance(2)  # later there is one
    assert bench.telemetry.span.attributes[STATUS] == "complete"


@pytest.mark.parametrize(("minutes", "comes"), [(6, True), (20, False)])
def test_the_record_of_an_aborted_stream_may_come_minutes_later(bench: Bench, minutes: int, comes: bool) -> None:
    bench.sim.default = Scenario(record_delay=minutes * 60, cancelled=True)
    bench.instrument()
    bench.abort()
    bench.advance(11)
    assert bench.telemetry.span.attributes[STATUS] == "timeout"
    bench.advance(15 * 60)
    assert len(bench.telemetry.logs) == comes
    assert bench.enricher._books.waiting == set()  # given up, if it has not come
    outcomes = bench.telemetry.metrics["orobserve.enrichment.lookups"]
    assert [dict(labels)["outcome"] for labels in outcomes] == ["complete" if comes else "not_found"]
