"""Runs calls in a process of its own while another instrumentation is active, and prints what was recorded.

`python -m tests.coexist.driver '{"family": ..., "order": ..., "modes": [...], "native": ..., "cases": [...]}'`
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import orobserve
from orobserve import _guard
from orobserve.testing import Failure, Scenario, Simulator
from tests.coexist.cases import CASES

_INSTRUMENTORS = {
    "genai": "opentelemetry.instrumentation.genai",
    "openinference": "openinference.instrumentation",
    "traceloop": "opentelemetry.instrumentation",
}
LIMITED = Scenario(error=Failure(error_type="rate_limit_exceeded"))


@dataclass
class Memory:
    """Where spans and metrics go."""

    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def provide(self) -> None:
        """Set up an application's own providers."""
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        trace.set_tracer_provider(provider)
        metrics.set_meter_provider(MeterProvider([self.reader]))

    def provide_logfire(self) -> None:
        """Let Logfire set them up."""
        import logfire

        logfire.configure(
            send_to_logfire=False,
            console=False,
            additional_span_processors=[SimpleSpanProcessor(self.exporter)],
            metrics=logfire.MetricsOptions(additional_readers=[self.reader]),
        )

    def points(self, name: str) -> list[Any]:
        """Return the data points of a metric, of all scopes."""
        data = self.reader.get_metrics_data()
        return [
            (scope.scope.name, point)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def sums(self) -> Counter[str]:
        """Return what has been counted until now."""
        found: Counter[str] = Counter()
        for key, name, field_name in (
            ("cost", "openrouter.client.cost", "value"),
            ("priced calls", "openrouter.client.operation.cost", "count"),
            ("in flight", "openrouter.client.active_requests", "value"),
        ):
            found[key] = sum(getattr(point, field_name) for _, point in self.points(name))
        for scope, point in self.points("gen_ai.client.operation.duration"):
            found[f"durations of {scope}"] += point.count
        return found


def instrument_other(family: str) -> None:
    """Switch the other instrumentation on."""
    if family == "logfire":
        import logfire

        logfire.instrument_openai()
        logfire.instrument_anthropic()
    elif family in _INSTRUMENTORS:
        for sdk, name in (("openai", "OpenAIInstrumentor"), ("anthropic", "AnthropicInstrumentor")):
            module = importlib.import_module(f"{_INSTRUMENTORS[family]}.{sdk}")
            getattr(module, name)().instrument()


def observe(sim: Simulator, mode: str) -> None:
    """Switch ours on, or over to another mode."""
    orobserve.instrument(hosts=[sim.url], when_nested=mode, cost_histogram=True, console=False)


def set_up(spec: dict[str, Any], sim: Simulator) -> Memory:
    """Bring everything up in the order that is asked for."""
    memory, family = Memory(), spec["family"]
    provide = memory.provide_logfire if family == "logfire" else memory.provide
    steps = {
        "provider": provide,
        "ours": lambda: observe(sim, spec["modes"][0]),
        "other": lambda: instrument_other(family),
        "sdks": lambda: [importlib.import_module(name) for name in ("openai", "anthropic")],
    }
    for step in spec["order"].split(", "):
        steps[step]()
    return memory


def run(spec: dict[str, Any]) -> dict[str, Any]:
    """Make the calls in each mode; return what was seen of them."""
    found = {}
    with Simulator() as sim:
        memory = set_up(spec, sim)
        memory.exporter.clear()
        for mode in spec["modes"]:
            observe(sim, mode)
            before = memory.sums()
            seen = {name: _see(name, sim, memory) for name in spec["cases"]}
            after = memory.sums()
            found[mode] = {"cases": seen, "metrics": {key: after[key] - before[key] for key in after}}
        orobserve.uninstrument()
    return {"modes": found, "swallowed": dict(_guard.swallowed)}


def _see(name: str, sim: Simulator, memory: Memory) -> dict[str, Any]:
    before = len(sim.ledger.entries())
    if "retry" in name:
        sim.next(LIMITED)
    error = None
    with trace.get_tracer("app").start_as_current_span("app") as app:
        try:
            result = CASES[name](sim)
            if asyncio.iscoroutine(result):
                asyncio.run(result)
        except Exception as caught:  # noqa: BLE001 - told to the test
            error = repr(caught)
    spans = [span for span in memory.exporter.get_finished_spans() if span.context.trace_id]
    memory.exporter.clear()
    entries = sim.ledger.entries()[before:]
    return {
        "error": error,
        "trace": app.get_span_context().trace_id,
        "bills": {entry.answer.generation_id: float(entry.charge.total) for entry in entries},
        "spans": [
            {
                "name": span.name,
                "scope": span.instrumentation_scope.name if span.instrumentation_scope else "",
                "trace": span.context.trace_id,
                "id": span.context.span_id,
                "parent": span.parent.span_id if span.parent else None,
                "status": span.status.status_code.name,
                "attributes": {key: value for key, value in (span.attributes or {}).items() if _is_plain(value)},
            }
            for span in spans
        ],
    }


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "true" if asked["native"] else "false"
    sys.stdout.write(json.dumps(run(asked)))
