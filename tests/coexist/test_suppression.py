"""Who asks instrumentations to keep quiet is heard, unless it is a GenAI span's owner speaking to HTTP tracers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from opentelemetry import context as otel_context
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve.testing import Simulator
    from tests.conftest import Telemetry

BODY = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


@contextlib.contextmanager
def _plain_key(name: str) -> Iterator[None]:
    token = otel_context.attach(otel_context.set_value(name, True))
    yield
    otel_context.detach(token)


QUIET = {
    "suppress_instrumentation": suppress_instrumentation,
    "suppress_http_instrumentation": suppress_http_instrumentation,
    "the older plain key": lambda: _plain_key("suppress_instrumentation"),
    "the older plain HTTP key": lambda: _plain_key("suppress_http_instrumentation"),
}


def _call(sim: Simulator) -> None:
    assert httpx2.post(f"{sim.url}/chat/completions", json=BODY, headers={"authorization": "Bearer k"}).is_success


@pytest.mark.parametrize("name", QUIET)
def test_nothing_is_recorded(name: str, sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=[sim.url])
    with QUIET[name]():
        _call(sim)
    assert not telemetry.spans
    assert not telemetry.metrics
    _call(sim)
    assert telemetry.span.attributes["openrouter.cost.total"] == float(sim.bill) / 2


@pytest.mark.parametrize("name", QUIET)
@pytest.mark.parametrize(
    "told", [{"gen_ai.operation.name": "chat"}, {"openinference.span.kind": "LLM"}], ids=["gen_ai", "openinference"]
)
def test_a_model_spans_owner_does_not_mean_us(
    name: str, told: dict[str, Any], sim: Simulator, telemetry: Telemetry
) -> None:
    telemetry.instrument(hosts=[sim.url])
    tracer = telemetry.tracer_provider.get_tracer("somebody")
    with tracer.start_as_current_span("their call", attributes=told), QUIET[name]():
        _call(sim)
    assert telemetry.span.name == "their call"
    assert telemetry.span.attributes["openrouter.cost.total"] == float(sim.bill)


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("name", QUIET)
def test_an_http_tracer_does_not_mean_us(name: str, sampled: bool, sim: Simulator, telemetry: Telemetry) -> None:
    """It has traced the request, and silences the HTTP tracers beneath; we may be one layer further down."""
    telemetry.instrument(hosts=[sim.url])
    provider = telemetry.tracer_provider if sampled else TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    tracer = provider.get_tracer("opentelemetry.instrumentation.requests")
    with tracer.start_as_current_span("POST", kind=SpanKind.CLIENT), QUIET[name]():
        _call(sim)
    means_us = "http" not in name.lower()
    calls = telemetry.metrics.get("gen_ai.client.operation.duration", {})
    assert sum(point.count for point in calls.values()) == (0 if means_us else 1)
