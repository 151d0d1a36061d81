"""The one module with global state: what `instrument()` has set up."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider

from orobserve import _endings, config
from orobserve._version import __version__
from orobserve._worker import Worker
from orobserve.capture import _patches, client
from orobserve.capture._tap import end_open_streams
from orobserve.capture.observer import Observer
from orobserve.enrichment import Enricher, Source
from orobserve.key_budget import KeyBudgets
from orobserve.receivers import Receivers
from orobserve.telemetry import console, names, providers
from orobserve.telemetry.events import Events
from orobserve.telemetry.handouts import Handouts
from orobserve.telemetry.jobs import Jobs
from orobserve.telemetry.meters import Meters
from orobserve.telemetry.metrics import Metrics
from orobserve.telemetry.spans import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Tracer

    from orobserve.config import Config
    from orobserve.delivery.state import State
    from orobserve.generation import Generation
    from orobserve.telemetry.waiting import Waiting
    from orobserve.wire.exchange import Exchange

FLUSH_BUDGET = 10.0  # seconds
EXIT_BUDGET = 2.0

_lock = threading.RLock()
_worker = Worker()
_enricher = Enricher()
_handouts = Handouts()
_state: dict[str, Any] = {}


def instrument(given: Mapping[str, Any]) -> None:
    """Observe every OpenRouter call of the process; a second time replaces the settings."""
    settings = config.load(given)
    with _lock:
        observer = _observer(settings)
        _patches.install(observer)


def observe(given: Mapping[str, Any]) -> Observer:
    """Return who observes calls, for an edge that is no client: nothing is patched."""
    settings = config.load(given)
    with _lock:
        return _observer(settings)


def instrument_client(target: Any, given: Mapping[str, Any]) -> None:  # noqa: ANN401 - httpx or httpx2 client
    """Observe one client; where nothing is given, by the settings that were last set up, if any were."""
    settings = config.load(given)
    with _lock:
        own = _observer(settings) if given or "observer" not in _state else None
        client.instrument(target, lambda: own if own is not None and own.active else _state.get("observer"))


def _observer(settings: Config) -> Observer:
    outlets = _Outlets(settings)
    recorder = Recorder(
        settings,
        tracer=outlets.tracer,
        metrics=outlets.metrics,
        events=Events(settings),
        jobs=Jobs(),
        listen=outlets.listen,
        enrich=outlets.enrich,
    )
    recorder.defer = _handouts.put
    _enricher.configure(settings)
    _handouts.drain(EXIT_BUDGET)
    _receivers().close(EXIT_BUDGET)
    receivers = _state["receivers"] = _assemble(settings, outlets)
    recorder.flights = receivers.flights
    _endings.at_sigterm(_flush_at_end, EXIT_BUDGET)
    observer = Observer(settings, recorder)
    _state.update(observer=observer, settings=settings, outlets=outlets)
    _set_console(settings)
    return observer


def _assemble(settings: Config, outlets: _Outlets) -> Receivers:
    ledger = hub = watch = flights = None
    if settings.ledger:
        from orobserve.ledger import assembly  # noqa: PLC0415 - brings SQLite
        from orobserve.ledger.flights import Flights  # noqa: PLC0415

        ledger = assembly.assemble(settings, outlets.lose)
        flights = Flights(ledger.path)
    if settings.budgets:
        from orobserve.budgets.watch import Watch  # noqa: PLC0415 - brings SQLite, and an HTTP client

        watch = Watch(settings.budgets, settings.api_key_labels, ledger=ledger, on_drop=outlets.lose)
    if ledger is not None or watch is not None:
        _endings.at_exit(_at_exit)  # also where no call has a span of ours
    if settings.destinations:
        from orobserve.delivery.assembly import assemble  # noqa: PLC0415 - brings an HTTP client

        hub = assemble(settings.destinations, outlets.provider, outlets.lose)
    return Receivers(ledger, hub, watch=watch, flights=flights, callbacks=_worker, suspended=_is_taken_over)


def _receivers() -> Receivers:
    return _state.get("receivers") or Receivers(callbacks=_worker)


class _Outlets:
    """Providers, looked up at the first call: nothing of ours is started before."""

    def __init__(self, settings: Config) -> None:
        self._settings = settings
        self._tracer: Tracer | None = None
        self._metrics: Metrics | None = None
        self._budgets = KeyBudgets(settings, _enricher.clock) if settings.key_budget else None
        self._exports_spans = _is_left_to_us(settings) and providers.endpoint_for("TRACES")
        if self._exports_spans:
            providers.exporter_for("TRACES")  # imported at set-up rather than in the first call
        before: _Outlets | None = _state.get("outlets")
        self.meters: Meters = Meters(settings, before.meters if before is not None else None)

    def provider(self) -> Any:  # noqa: ANN401 - of the SDK, or its like
        """Return the tracer provider in use."""
        return self._settings.tracer_provider or trace.get_tracer_provider()

    def tracer(self) -> Tracer:
        """Return our tracer."""
        if self._tracer is None:
            if self._exports_spans and not providers.has_tracer_provider():
                providers.set_tracer_provider()
            provider = self.provider()
            self._tracer = provider.get_tracer(names.SCOPE, __version__, schema_url=names.SCHEMA_URL)
            if hasattr(provider, "add_span_processor"):
                from orobserve.telemetry import release  # noqa: PLC0415 - brings the SDK, which is there then

                release.add_to(provider, _enricher.release)
            _endings.at_exit(_at_exit)  # after the provider has registered its own, so that ours runs before
        return self._tracer

    def metrics(self) -> Metrics | None:
        """Return our instruments, or None while nobody has set up metrics: the app may still do so later."""
        self.meters.wake()
        if self._metrics is None and (provider := self.meters.find()) is not None:
            budgets = self._budgets
            self._metrics = Metrics(
                provider,
                self._settings,
                held=lambda: _enricher.held,
                deliveries=deliveries,
                budgets=None if budgets is None else lambda: budgets.budgets,
            )
        return self._metrics

    def enrich(self, generation: Generation, exchange: Exchange, waiting: Waiting) -> str | None:
        """Have a call wait for its record; see `Enricher.ask`."""
        _endings.with_workers(_flush_at_end)
        source = Source(exchange.route.api, exchange.api_key)
        if self._budgets is not None:
            self._budgets.use(source, generation.request.api_key_hash)
        mode = exchange.ambient.enrichment or self._settings.enrichment
        if mode == "never":
            return ""
        return _enricher.ask(generation, source, waiting, self._settings, mode)

    def listen(self) -> Callable[[Generation], None] | None:
        """Return who gets the finished records, if anybody does."""
        return self._hand_out if _worker.has_callbacks or _receivers() else None

    def _hand_out(self, generation: Generation) -> None:
        _receivers().offer(generation)
        if _worker.has_callbacks and not _worker.submit(generation):
            self.lose("callbacks", "queue_full", 1)

    def lose(self, name: str, reason: str, number: int) -> None:
        """Count records that did not get to somebody."""
        instruments = self.metrics()
        if instruments is not None:
            instruments.drop("generation", reason, number, destination=name)


def _is_taken_over() -> bool:
    """Tell whether an exporter of ours in the SDK's own pipeline delivers to the destinations."""
    span_exporter = sys.modules.get("orobserve.span_exporter")
    return span_exporter is not None and span_exporter.has_taken_over()


def deliveries() -> list[State]:
    """Return the counters of the destinations."""
    return _receivers().states()


def resume() -> None:
    """Take up what earlier processes have left unsent: for a process that will be there for long."""
    _receivers().start()


def _set_console(settings: Config) -> None:
    previous = _state.pop("console", None)
    if previous is not None:
        _worker.remove(previous)
    wanted = settings.console
    if wanted is None:
        wanted = _is_left_to_us(settings) and not providers.endpoint_for("TRACES") and console.is_terminal(sys.stderr)
        if wanted and not _state.get("hinted"):
            _state["hinted"] = True
            sys.stderr.write(console.HINT + "\n")
    if wanted:
        show = console.Console()
        # The application may still set up a provider, and then needs no lines that it has not asked for.
        shown = show if settings.console else lambda record: show(record) if _is_left_to_us(settings) else None
        _state["console"] = shown
        _worker.add(shown)


def _is_left_to_us(settings: Config) -> bool:
    return settings.tracer_provider is None and not providers.has_tracer_provider()


def _at_exit() -> None:
    end_open_streams()
    _enricher.wait(_state.get("patience", 0.0))
    until = time.monotonic() + EXIT_BUDGET
    _enricher.release(EXIT_BUDGET)
    _handouts.drain(_left(until))
    _receivers().close(_left(until))


def wait_at_exit(seconds: float) -> None:
    """Let the end of the process wait so long for OpenRouter's records of its last calls."""
    _state["patience"] = seconds


def _flush_at_end() -> None:
    end_open_streams()
    flush(EXIT_BUDGET)


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())


def uninstrument() -> None:
    """Stop observing and restore what was changed; calls in flight still end their spans."""
    with _lock:
        _patches.uninstall()
        client.uninstrument_all()
        observer = _state.pop("observer", None)
        if observer is not None:
            observer.stop()
        _enricher.release(FLUSH_BUDGET)
        _handouts.drain(FLUSH_BUDGET)
        _receivers().close(EXIT_BUDGET)
        _state.pop("receivers", None)
        outlets: _Outlets | None = _state.pop("outlets", None)
        if outlets is not None:
            outlets.meters.release()
        _endings.leave_sigterm()
        _state.pop("hinted", None)
        shown = _state.pop("console", None)
        if shown is not None:
            _worker.flush(FLUSH_BUDGET)
            _worker.remove(shown)


def on_generation(callback: Callable[[Generation], None], *, updates: bool) -> Callable[[], None]:
    """Hand every finished record to a function, on a background thread; returns what undoes it."""
    _worker.add(callback, updates=updates)
    return lambda: _worker.remove(callback)


def flush(timeout: float = FLUSH_BUDGET, *, records: bool = False) -> bool:
    """Hand out and export everything that is finished; returns False if it took longer than `timeout` seconds.

    With `records`, first wait for OpenRouter's records of the calls, while the time lasts.
    """
    until = time.monotonic() + timeout
    if records:
        _enricher.wait(timeout)
    done = _enricher.release(_left(until))
    done = _handouts.drain(_left(until)) and done
    done = _receivers().flush(_left(until)) and done
    settings: Config | None = _state.get("settings")
    outlets: _Outlets | None = _state.get("outlets")
    given = [settings.tracer_provider, settings.meter_provider] if settings is not None else []
    given += [outlets.meters.served] if outlets is not None else []
    for provider in (*given, trace.get_tracer_provider(), metrics.get_meter_provider(), get_logger_provider()):
        force_flush = getattr(provider, "force_flush", None)
        if force_flush is None:
            continue
        try:
            done = bool(force_flush(max(1, int(_left(until) * 1000)))) and done
        except Exception:  # noqa: BLE001 - how the SDK's meter provider says that it was not done
            done = False
    return done
