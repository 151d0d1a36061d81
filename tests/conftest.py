"""What every test gets: fresh global state, a check of swallowed errors, telemetry in memory, and the simulator."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

import orobserve
from orobserve import _guard, _runtime
from orobserve.capture import _tap
from orobserve.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from orobserve import Generation

Labels = frozenset[tuple[str, Any]]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "swallows: errors of ours are swallowed here on purpose")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell, and then in all children
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _forget_providers() -> None:
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()
    metrics._internal._METER_PROVIDER, metrics._internal._METER_PROVIDER_SET_ONCE = None, Once()
    _logs._internal._LOGGER_PROVIDER, _logs._internal._LOGGER_PROVIDER_SET_ONCE = None, Once()


@pytest.fixture(scope="session", autouse=True)
def _data_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the ledger of the commands that have one out of the user's folders."""
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def _fresh(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Reset what is global, and fail the test if an error of ours was swallowed."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "OROBSERVE_", "OPENROUTER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv(
        "OROBSERVE_ENRICHMENT", "never"
    )  # tests of look-ups ask for them; the others' calls have no record
    _guard.reset()
    yield
    orobserve.uninstrument()
    _tap.end_open_streams()  # or the garbage collector would, in another test
    assert _runtime._handouts.drain(5.0)
    assert _runtime._worker.flush(5.0), "a callback never came back"
    _runtime._worker._callbacks.clear()
    _runtime._state.clear()
    _forget_providers()
    swallowed = dict(_guard.swallowed)
    _guard.reset()
    if request.node.get_closest_marker("swallows") is None:
        assert not swallowed, swallowed


@dataclass
class Telemetry:
    """The providers of an application, in memory."""

    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)
    log_exporter: InMemoryLogRecordExporter = field(default_factory=InMemoryLogRecordExporter)

    def __post_init__(self) -> None:
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meter_provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self.log_exporter))

    def instrument(self, **settings: Any) -> None:
        """Call `orobserve.instrument` with these providers."""
        orobserve.instrument(
            **{"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider} | settings
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        """The finished spans, oldest first."""
        return list(self.exporter.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        """The one finished span."""
        (span,) = self.spans
        return span

    @property
    def logs(self) -> list[Any]:
        """The log records."""
        return [item.log_record for item in self.log_exporter.get_finished_logs()]

    @property
    def metrics(self) -> dict[str, dict[Labels, Any]]:
        """The data points by metric name and labels."""
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
        metrics = [metric for scope in scopes for metric in scope.metrics]
        return {m.name: {frozenset(point.attributes.items()): point for point in m.data.data_points} for m in metrics}

    @property
    def in_flight(self) -> int:
        """How many calls have begun and not ended."""
        return sum(point.value for point in self.metrics.get("openrouter.client.active_requests", {}).values())

    def shutdown(self) -> None:
        """Stop the providers."""
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()
        self.logger_provider.shutdown()


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Make providers in memory; nothing is instrumented yet, and no global provider is set."""
    made = Telemetry()
    yield made
    orobserve.uninstrument()
    made.shutdown()


@pytest.fixture
def records() -> Callable[[], list[Generation]]:
    """Return a function that hands over the generations that were seen since the test began."""
    seen: list[Generation] = []
    orobserve.on_generation(seen.append)

    def take() -> list[Generation]:
        assert _runtime._handouts.drain(5.0)
        assert _runtime._worker.flush(5.0)
        return seen

    return take


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """Run a simulator of OpenRouter on the loopback interface."""
    with Simulator() as simulator:
        yield simulator
