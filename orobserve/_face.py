"""The public functions. Everything behind them is imported when they are first called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve import _runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from orobserve.config import Settings
    from orobserve.generation import Generation


def instrument(**settings: Unpack[Settings]) -> None:
    """Trace every OpenRouter call of this process, by any HTTP library, with clients made before or after this line.

    Spans and metrics go to the providers that are set up; without one, to where the standard `OTEL_*` variables say;
    without those, a line per call is shown on a terminal. Calling it again replaces the settings. Before the first call
    no thread, socket or file is opened, except the port for Prometheus where `prometheus_port` names one.

    Args:
        **settings: see `orobserve.config.Config`; each can also be set as `OROBSERVE_<NAME>` in the environment.

    Raises:
        ConfigurationError: a setting is unknown or cannot be used.
    """
    _runtime.instrument(settings)


def instrument_client(client: Any, **settings: Unpack[Settings]) -> None:  # noqa: ANN401 - httpx or httpx2 client
    """Trace one httpx or httpx2 client only, through its event hooks. A second time adds nothing.

    Args:
        client: a `Client` or `AsyncClient`.
        **settings: as for `instrument`.

    Raises:
        ConfigurationError: the object is no such client, or a setting cannot be used.
    """
    _runtime.instrument_client(client, settings)


def uninstrument() -> None:
    """Restore every class and client; calls in flight still end their spans. Harmless when nothing was instrumented."""
    _runtime.uninstrument()


def on_generation(callback: Callable[[Generation], None], *, updates: bool = False) -> Callable[[], None]:
    """Hand every finished call to a function, on a background thread, never on the request path.

    A call is handed over once, when OpenRouter's own record of it is in, or is waited for no longer.

    Args:
        callback: takes an `orobserve.Generation`. What it raises is logged once and otherwise ignored.
        updates: also hand over a call again when its record came after that; `generation.enrichment.is_late` is then
            True, and the record takes the place of the one with the same `span_id`.

    Returns:
        A function that removes the callback.
    """
    return _runtime.on_generation(callback, updates=updates)


def flush(timeout: float = _runtime.FLUSH_BUDGET, *, records: bool = False) -> bool:
    """Hand out and export everything that is finished. Spans that wait for OpenRouter's own record end without it.

    Args:
        timeout: seconds.
        records: first wait for these records, while the time lasts: for a script whose last call has no cost without.

    Returns:
        False if it took longer.
    """
    return _runtime.flush(timeout, records=records)
