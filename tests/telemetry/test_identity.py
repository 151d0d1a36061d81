"""A record has ids even where its span is none: destinations of its own need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import orobserve
from orobserve.telemetry import ids
from tests.telemetry.calls import call

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Telemetry

GENERATION = "gen-1769028024-jarGYYh8T8HnNfNLExRC"  # its ids are known from Broadcast's own traces
TRACE, SPAN = "1c555e8b67d6f2a5706b0ece50f65ab4", "1c555e8b67d6f2a5"
HEADERS = {"x-generation-id": GENERATION}


@pytest.mark.parametrize("sampled_out", [False, True])
def test_without_tracing_ids_are_those_that_broadcast_gives(records: Callable[[], list], sampled_out: bool) -> None:
    settings = {"tracer_provider": TracerProvider(sampler=ALWAYS_OFF)} if sampled_out else {}
    orobserve.instrument(console=False, **settings)
    call(headers=HEADERS)
    call(headers=HEADERS, trace={"trace_id": "workflow_12345", "parent_span_id": "step"})
    call(status=500, answer={})
    plain, placed, failed = records()
    assert (plain.trace_id, plain.span_id, plain.parent_span_id) == (TRACE, SPAN, None)
    assert placed.trace_id == "7af15d27557f4b0547b66811c67d365d"
    assert (placed.span_id, placed.parent_span_id) == (SPAN, f"{ids.span_id('step'):016x}")
    assert len(failed.trace_id) == 32
    assert len(failed.span_id) == 16


def test_a_span_of_another_provider_is_the_parent(telemetry: Telemetry, records: Callable[[], list]) -> None:
    """An application's SDK may trace with a provider of its own, and set up no global one."""
    orobserve.instrument(console=False)
    with telemetry.tracer_provider.get_tracer("app").start_as_current_span("step") as step:
        call(headers=HEADERS)
    (generation,) = records()
    assert generation.trace_id == f"{step.get_span_context().trace_id:032x}"
    assert generation.parent_span_id == f"{step.get_span_context().span_id:016x}"
    assert generation.span_id == SPAN


def test_with_tracing_they_are_the_spans(telemetry: Telemetry, records: Callable[[], list]) -> None:
    telemetry.instrument()
    call(headers=HEADERS)
    (generation,) = records()
    assert generation.trace_id == f"{telemetry.span.context.trace_id:032x}" != TRACE
    assert generation.span_id == f"{telemetry.span.context.span_id:016x}"
