"""The one module with global state: what `instrument()` has set up."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider

from orobserve import config
from orobserve._version import __version__
from orobserve._worker import Worker
from orobserve.capture import _patches, client
from orobserve.capture._tap import end_open_streams
from orobserve.capture.observer import Observer
from orobserve.enrichment import Enricher, Source
from orobserve.key_budget import KeyBudgets
from orobserve.telemetry import console, names, providers, release
from orobserve.telemetry.events import Events
from orobserve.telemetry.jobs import Jobs
from orobserve.telemetry.metrics import Metrics
from orobserve.telemetry.spans import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Tracer

    from orobserve.config import Config
    from orobserve.generation import Generation
    from orobserve.telemetry.waiting import Waiting
    from orobserve.wire.exchange import Exchange

FLUSH_BUDGET = 10.0  # seconds
EXIT_BUDGET = 2.0

_lock = threading.RLock()
_worker = Worker()
_enricher = Enricher()
_state: dict[str, Any] = {}


def instrument(given: Mapping[str, Any]) -> None:
    """Observe every OpenRouter call of the process; a second time replaces the settings."""
    settings = config.load(given)
    with _lock:
        observer = _observer(settings)
        _patches.install(observer)


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
    _enricher.configure(settings)
    _end_on_sigterm()
    observer = Observer(settings, recorder)
    _state.update(observer=observer, settings=settings, outlets=outlets)
    _set_console(settings)
    return observer


class _Outlets:
    """Providers, looked up at the first call: nothing of ours is started before."""

    def __init__(self, settings: Config) -> None:
        self._settings = settings
        self._tracer: Tracer | None = None
        self._metrics: Metrics | None = None
        self._budgets = KeyBudgets(settings, _enricher.clock) if settings.key_budget else None
        metrics.get_meter_provider()  # loads what OTEL_PYTHON_METER_PROVIDER names
        self._exports_spans = _is_left_to_us(settings) and providers.endpoint_for("TRACES")
        self._exports_metrics = (
            settings.meter_provider is None and not providers.has_meter_provider() and providers.endpoint_for("METRICS")
        )
        for kind, wanted in (("TRACES", self._exports_spans), ("METRICS", self._exports_metrics)):
            if wanted:
                providers.exporter_for(kind)  # imported at set-up rather than in the first call

    def tracer(self) -> Tracer:
        """Return our tracer."""
        if self._tracer is None:
            if self._exports_spans and not providers.has_tracer_provider():
                providers.set_tracer_provider()
            provider = self._settings.tracer_provider or trace.get_tracer_provider()
            self._tracer = provider.get_tracer(names.SCOPE, __version__, schema_url=names.SCHEMA_URL)
            release.add_to(provider, _enricher.release)
            atexit.unregister(_at_exit)
            atexit.register(_at_exit)  # after the provider has registered its own, so that ours runs before
        return self._tracer

    def metrics(self) -> Metrics | None:
        """Return our instruments, or None while nobody has set up metrics: the app may still do so later."""
        if self._metrics is None:
            if self._exports_metrics and not providers.has_meter_provider():
                providers.set_meter_provider()
            if self._settings.meter_provider is not None or providers.has_meter_provider():
                provider = self._settings.meter_provider or metrics.get_meter_provider()
                budgets = self._budgets
                self._metrics = Metrics(
                    provider,
                    self._settings,
                    held=lambda: _enricher.held,
                    budgets=None if budgets is None else lambda: budgets.budgets,
                )
        return self._metrics

    def enrich(self, generation: Generation, exchange: Exchange, waiting: Waiting) -> str | None:
        """Have a call wait for its record; see `Enricher.ask`."""
        source = Source(exchange.route.api, exchange.api_key)
        if self._budgets is not None:
            self._budgets.use(source, generation.request.api_key_hash)
        mode = exchange.ambient.enrichment or self._settings.enrichment
        if mode == "never":
            return ""
        _end_with_workers()
        return _enricher.ask(generation, source, waiting, self._settings, mode)

    def listen(self) -> Callable[[Generation], None] | None:
        """Return who gets the finished records, if anybody does."""
        return self._submit if _worker.has_callbacks else None

    def _submit(self, generation: Generation) -> None:
        instruments = self.metrics()
        if not _worker.submit(generation) and instruments is not None:
            instruments.drop("generation", "queue_full")


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
    _enricher.release(EXIT_BUDGET)
    _worker.flush(EXIT_BUDGET)


def _end_with_workers() -> None:
    """Flush when a worker process of multiprocessing or billiard (celery) ends: those skip `atexit`."""
    for name in ("multiprocessing.util", "billiard.util"):
        util = sys.modules.get(name)
        if util is not None and _state.get(name) != os.getpid():
            _state[name] = os.getpid()  # what the parent has registered is forgotten in the child
            util.Finalize(None, _at_worker_end, exitpriority=100)


def _flush_at_end() -> None:
    end_open_streams()
    flush(EXIT_BUDGET)


def _at_worker_end() -> None:
    _state["ending"] = True
    _flush_at_end()
    del _state["ending"]
    if "terminated" in _state:
        _terminate(_state["terminated"])


def _end_on_sigterm() -> None:
    """Flush at SIGTERM where nobody handles it, which would end the process at once."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(number: int, _frame: object) -> None:
    if "ending" in _state:  # it interrupts that very flush, on this thread: let it finish
        _state["terminated"] = number
        return
    # On a thread of its own: the main thread may hold any lock just now.
    flushing = threading.Thread(target=_flush_at_end, daemon=True)
    flushing.start()
    flushing.join(EXIT_BUDGET)
    _terminate(number)


def _terminate(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def uninstrument() -> None:
    """Stop observing and restore what was changed; calls in flight still end their spans."""
    with _lock:
        _patches.uninstall()
        client.uninstrument_all()
        observer = _state.pop("observer", None)
        if observer is not None:
            observer.stop()
        _enricher.release(FLUSH_BUDGET)
        if signal.getsignal(signal.SIGTERM) is _on_sigterm and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
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
    if records:
        _enricher.wait(timeout)
    done = _enricher.release(timeout)
    done = _worker.flush(timeout) and done
    settings: Config | None = _state.get("settings")
    given = [settings.tracer_provider, settings.meter_provider] if settings is not None else []
    for provider in (*given, trace.get_tracer_provider(), metrics.get_meter_provider(), get_logger_provider()):
        force_flush = getattr(provider, "force_flush", None)
        if force_flush is not None:
            done = bool(force_flush(int(timeout * 1000))) and done
    return done
