"""A destination in the application's own pipeline: the calls among its spans arrive, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import orobserve
from orobserve.errors import ConfigurationError
from orobserve.span_exporter import ConfiguredSpanExporter, DestinationSpanExporter, has_taken_over
from tests.support.intake import Answer, Intake
from tests.telemetry.calls import ANSWER, call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve.testing import Simulator
    from tests.conftest import Telemetry

# The first is ours. The second is what opentelemetry-distro brings: the SDK, configured by the environment.
ENTRY_POINTS = """
[opentelemetry_traces_exporter]
orobserve = orobserve.span_exporter:ConfiguredSpanExporter

[opentelemetry_configurator]
configurator = opentelemetry.sdk._configuration:_OTelSDKConfigurator
"""
APP = """
import sys, httpx
body = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
assert httpx.post(sys.argv[1] + "/chat/completions", headers={"authorization": "Bearer k"}, json=body).is_success
"""


@pytest.fixture
def intake() -> Iterator[Intake]:
    with Intake() as server:
        yield server


def webhook(intake: Intake, **more: Any) -> dict[str, Any]:
    return {"type": "webhook", "config": {"url": f"{intake.url}/hook"}, **more}


def spans_of(intake: Intake) -> list[dict[str, Any]]:
    """Return the spans that have come in."""
    return [
        span
        for taken in intake.taken
        for resource in json.loads(taken.body)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def test_behind_a_batch_span_processor(intake: Intake) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = DestinationSpanExporter(webhook(intake))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    orobserve.instrument(tracer_provider=provider, content="span_only", enrichment="never")
    with provider.get_tracer("app").start_as_current_span("answer") as above:
        call()
        call({"error": {"code": 429, "message": "Slow down"}}, status=429)
    orobserve.uninstrument()
    assert provider.force_flush()
    provider.shutdown()
    (taken,) = intake.taken
    assert taken.path == "/hook"
    good, bad = spans_of(intake)
    context = above.get_span_context()
    assert {span["traceId"] for span in (good, bad)} == {f"{context.trace_id:032x}"}
    assert {span["parentSpanId"] for span in (good, bad)} == {f"{context.span_id:016x}"}
    assert "Not much." in json.dumps(good)
    assert bad["status"]["message"] == "Slow down"
    (state,) = exporter.states
    assert (state.delivered, state.queued) == (2, 0)


def test_what_is_sampled_out_does_not_arrive(intake: Intake) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(DestinationSpanExporter(webhook(intake))))
    orobserve.instrument(tracer_provider=provider, enrichment="never")
    call()
    provider.shutdown()
    assert intake.taken == []


@pytest.mark.parametrize(
    ("policy", "arrives"),
    [
        ({}, True),
        ({"privacy_mode": True}, True),
        ({"enabled": False}, False),
        ({"filter_rules": {"groups": [{"rules": [{"field": "total_cost", "operator": "gt", "value": 1}]}]}}, False),
    ],
    ids=["plain", "private", "disabled", "filtered"],
)
def test_the_policy_holds(policy: dict[str, Any], arrives: bool, intake: Intake, telemetry: Telemetry) -> None:
    telemetry.instrument(content="span_only", enrichment="never")
    call()
    exporter = DestinationSpanExporter(webhook(intake, **policy))
    assert exporter.export([telemetry.span]) is SpanExportResult.SUCCESS
    exporter.shutdown()
    assert len(spans_of(intake)) == arrives
    assert ("Not much." in str([taken.body for taken in intake.taken])) == (policy == {})


@pytest.mark.parametrize(
    ("status", "result"),
    [(200, SpanExportResult.SUCCESS), (401, SpanExportResult.FAILURE), (413, SpanExportResult.FAILURE)],
)
def test_the_result(status: int, result: SpanExportResult, intake: Intake, telemetry: Telemetry) -> None:
    intake.answer = Answer(status=status)
    telemetry.instrument(enrichment="never")
    call()
    exporter = DestinationSpanExporter(webhook(intake))
    assert exporter.export([telemetry.span]) is result
    exporter.shutdown()
    exporter.shutdown()
    assert exporter.export([telemetry.span]) is SpanExportResult.FAILURE  # nobody is there any more


def test_nothing_is_sent_for_spans_of_others(intake: Intake, telemetry: Telemetry) -> None:
    telemetry.tracer_provider.get_tracer("app").start_span("GET", attributes={"http.request.method": "GET"}).end()
    exporter = DestinationSpanExporter(webhook(intake))
    assert exporter.export(telemetry.spans) is SpanExportResult.SUCCESS
    exporter.shutdown()
    assert intake.taken == []


def test_an_export_is_tried_again(intake: Intake, telemetry: Telemetry) -> None:
    intake.answer = Answer(status=503)
    telemetry.instrument(enrichment="never")
    call(ANSWER)
    exporter = DestinationSpanExporter(webhook(intake))
    results: list[SpanExportResult] = []
    thread = threading.Thread(target=lambda: results.append(exporter.export([telemetry.span])))
    thread.start()
    assert intake.arrived.wait(10)
    intake.answer = Answer()
    assert exporter.force_flush()  # or the second attempt would wait for a second
    thread.join(10)
    assert results == [SpanExportResult.SUCCESS]
    exporter.shutdown()
    assert [(state.delivered, state.retried) for state in exporter.states] == [(1, 1)]


@pytest.mark.parametrize("timeout", [0.0, 3600.0])
def test_an_export_ends(timeout: float, intake: Intake, telemetry: Telemetry) -> None:
    """By its timeout, or by a shutdown while it waits for its next attempt."""
    intake.answer = Answer(status=503, headers={"Retry-After": "3000"})
    telemetry.instrument(enrichment="never")
    call(ANSWER)
    exporter = DestinationSpanExporter(webhook(intake), timeout=timeout)
    results: list[SpanExportResult] = []
    thread = threading.Thread(target=lambda: results.append(exporter.export([telemetry.span])))
    thread.start()
    assert intake.arrived.wait(10)
    if timeout:
        exporter.shutdown()
    thread.join(10)
    assert results == [SpanExportResult.FAILURE]
    exporter.shutdown()
    assert [sum(state.dropped.values()) for state in exporter.states] == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_is_forked_in_the_middle_of_an_export(intake: Intake, telemetry: Telemetry) -> None:
    intake.answer = Answer(status=503, headers={"Retry-After": "3000"})
    telemetry.instrument(enrichment="never")
    call(ANSWER)
    exporter = DestinationSpanExporter(webhook(intake))
    thread = threading.Thread(target=exporter.export, args=([telemetry.span],))
    thread.start()
    assert intake.arrived.wait(10)
    intake.answer = Answer()
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # rather than hang
        os._exit(exporter.export([telemetry.span]) is not SpanExportResult.SUCCESS)
    assert os.waitpid(child, 0)[1] == 0
    exporter.shutdown()
    thread.join(10)
    assert len(intake.taken) == 3  # the parent's, the child's, and the parent's last attempt


def test_after_a_fork_it_begins_anew(intake: Intake, telemetry: Telemetry) -> None:
    """What the child of the test above does, where coverage can see it."""
    telemetry.instrument(enrichment="never")
    call(ANSWER)
    exporter = DestinationSpanExporter(webhook(intake))
    exporter.export([telemetry.span])
    (destination,) = exporter._destinations
    destination._sender.close()  # the child leaves the connections to its parent
    with destination._lock:
        destination.after_fork()
        assert [state.delivered for state in exporter.states] == [0]
        assert exporter.export([telemetry.span]) is SpanExportResult.SUCCESS
    exporter.shutdown()


def test_a_mistake_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError, match="webhook"):
        DestinationSpanExporter("webhok")
    with pytest.raises(ConfigurationError, match="OROBSERVE_DESTINATIONS"):
        ConfiguredSpanExporter()


def test_the_pipeline_takes_over_while_it_is_there(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OROBSERVE_DESTINATIONS", "console")
    assert not has_taken_over()
    exporter = ConfiguredSpanExporter()
    assert has_taken_over()
    assert [state.type for state in exporter.states] == ["console"]
    exporter.shutdown()
    del exporter
    assert not has_taken_over()


def test_the_sdk_configures_itself_with_it(intake: Intake, sim: Simulator, tmp_path: Path) -> None:
    """`OTEL_TRACES_EXPORTER=orobserve`, as in the wild: no line of code, and each call arrives once."""
    metadata = tmp_path / "site" / "orobserve_entry_point-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: orobserve-entry-point\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "orobserve.toml").write_text(
        f'[[destinations]]\ntype = "webhook"\n[destinations.config]\nurl = "{intake.url}/hook"\n'
    )
    (tmp_path / "app.py").write_text(APP)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OROBSERVE_"))}
    paths = [str(tmp_path / "site"), *filter(None, [kept.get("PYTHONPATH")])]
    environment = {
        "PYTHONPATH": os.pathsep.join(paths),
        "OTEL_TRACES_EXPORTER": "orobserve",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OROBSERVE_HOSTS": sim.url,
        "OROBSERVE_ENRICHMENT": "never",
    }
    command = shutil.which("opentelemetry-instrument", path=str(Path(sys.executable).parent))
    assert command, "the package opentelemetry-instrumentation is missing"
    done = subprocess.run(
        [command, sys.executable, "app.py", sim.url],
        env={**kept, **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (span,) = spans_of(intake)
    assert span["name"] == "chat openai/gpt-4o-mini"
    assert json.dumps(float(sim.bill)) in json.dumps(span["attributes"])
