"""Where telemetry goes: the application's providers, or what the standard variables say; in processes of their own."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from opentelemetry import metrics, trace

import orobserve
from orobserve.telemetry import providers
from tests.scripts.programs import CALL, Receiver, run_program
from tests.telemetry.calls import call

if TYPE_CHECKING:
    from tests.conftest import Telemetry

PROGRAM = f"import httpx, orobserve\norobserve.instrument()\n{CALL}\ncall(httpx)\n"


def test_an_endpoint_gets_spans_and_metrics() -> None:
    with Receiver() as receiver:
        run_program(PROGRAM, env={**receiver.env, "OTEL_SERVICE_NAME": "shop"})
    (span,) = receiver.spans
    facts = {item.key: item.value for item in span.attributes}
    assert facts["openrouter.cost.total"].double_value == 0.5
    assert facts["gen_ai.usage.input_tokens"].int_value == 3
    assert b"shop" in receiver.of("/v1/traces")[0]
    assert "gen_ai.client.operation.duration" in receiver.metric_names


@pytest.mark.parametrize(
    ("env", "paths"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, {"/v1/traces", "/v1/metrics"}),
        ({"OTEL_METRICS_EXPORTER": "none"}, {"/v1/traces"}),
        ({"OTEL_TRACES_EXPORTER": "none"}, {"/v1/metrics"}),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}, set()),
        ({"OTEL_SDK_DISABLED": "true"}, set()),
        ({"OTEL_SDK_DISABLED": "True "}, set()),
    ],
)
def test_the_standard_variables(env: dict[str, str], paths: set[str]) -> None:
    with Receiver() as receiver:
        run_program(PROGRAM, env={**receiver.env, **env})
    assert {path for path, _ in receiver.requests} == paths


def test_signal_endpoints() -> None:
    with Receiver() as receiver:
        base = receiver.env["OTEL_EXPORTER_OTLP_ENDPOINT"]
        run_program(PROGRAM, env={"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{base}/somewhere"})
    assert {path for path, _ in receiver.requests} == {"/somewhere"}


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
@pytest.mark.parametrize("protocol", ["grpc", "http/json"])
@pytest.mark.skipif(bool(find_spec("opentelemetry.exporter.otlp.proto.grpc")), reason="the gRPC exporter is installed")
def test_a_protocol_that_cannot_be_used(variable: str, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    monkeypatch.setenv(variable, protocol)
    with pytest.raises(orobserve.ConfigurationError) as caught:
        orobserve.instrument()
    message = str(caught.value)
    assert message.startswith(f"{variable}='{protocol}' cannot be used. Allowed: http/protobuf")
    assert f"set {variable}=http/protobuf" in message


def test_a_protocol_does_not_matter_where_a_provider_is_set_up(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    trace.set_tracer_provider(telemetry.tracer_provider)
    metrics.set_meter_provider(telemetry.meter_provider)
    orobserve.instrument()
    call()
    assert len(telemetry.spans) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_provider_of_the_application_is_used_and_stays(
    when: str, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    if when == "after":
        orobserve.instrument()
    trace.set_tracer_provider(telemetry.tracer_provider)
    metrics.set_meter_provider(telemetry.meter_provider)
    if when == "before":
        orobserve.instrument()
    call()
    assert trace.get_tracer_provider() is telemetry.tracer_provider
    assert metrics.get_meter_provider() is telemetry.meter_provider
    assert len(telemetry.spans) == 1
    assert "openrouter.client.cost" in telemetry.metrics


def test_without_a_provider_nothing_is_made(telemetry: Telemetry) -> None:
    orobserve.instrument()
    call()
    assert not providers.has_tracer_provider()
    assert not providers.has_meter_provider()
    trace.set_tracer_provider(telemetry.tracer_provider)  # not even a tracer that came too early is in the way
    metrics.set_meter_provider(telemetry.meter_provider)
    call()
    assert len(telemetry.spans) == 1
    assert "openrouter.client.cost" in telemetry.metrics


def test_an_endpoint_that_nobody_answers_does_not_disturb() -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    done = run_program(PROGRAM + "print('done')", env=env)
    assert done.stdout == "done\n"


def test_flush_exports_at_once() -> None:
    with Receiver() as receiver:
        source = PROGRAM + "assert orobserve.flush()\nimport os\nos._exit(0)  # no exit hooks"
        run_program(source, env=receiver.env)
    assert len(receiver.spans) == 1
    assert receiver.metric_names


def test_a_refused_flush_is_not_done(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    meters = telemetry.meter_provider
    orobserve.instrument(tracer_provider=telemetry.tracer_provider, meter_provider=meters)
    given: list[float] = []

    def refuse(timeout: float) -> bool:
        given.append(timeout)
        raise RuntimeError("Timed out while flushing metric readers")  # as the SDK's does

    monkeypatch.setattr(meters, "force_flush", refuse)
    assert not orobserve.flush(0)
    assert given == [1]


def test_the_instrument_command_needs_no_code() -> None:
    pytest.importorskip("opentelemetry.instrumentation")
    source = f"""
from orobserve import OpenRouterInstrumentor
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import httpx
{CALL}
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
instrumentor = OpenRouterInstrumentor()
assert list(instrumentor.instrumentation_dependencies()) == []
original = httpx.Client.__dict__["send"]
instrumentor.instrument(tracer_provider=provider)
instrumentor.instrument(tracer_provider=provider)
call(httpx)
instrumentor.uninstrument()
assert httpx.Client.__dict__["send"] is original
call(httpx)
assert len(exporter.get_finished_spans()) == 1
"""
    run_program(source.replace("instrumentor.instrument(tracer_provider=provider)\ncall", "call"))
