"""Spans that are held open must not be missed by a flush or a shutdown of the application's own provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

_BUDGET = 2.0  # seconds


class ReleaseHeld(SpanProcessor):
    """Ends the held spans before the other processors flush or shut down."""

    def __init__(self, release: Callable[[float], bool]) -> None:
        """Take what ends them within a time in seconds."""
        self._release = release

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """End them."""
        return self._release(timeout_millis / 1000)

    def shutdown(self) -> None:
        """End them."""
        self._release(_BUDGET)


def add_to(provider: Any, release: Callable[[float], bool]) -> None:  # noqa: ANN401 - an SDK provider, or its like
    """Put a `ReleaseHeld` before the provider's other processors, once: what it ends they must still get.

    The SDK can only append, so the order is set by hand; a provider of another make gets it at the end.
    """
    chain = getattr(provider, "_active_span_processor", None)
    processors = getattr(chain, "_span_processors", None)
    if isinstance(processors, tuple):
        if not any(isinstance(processor, ReleaseHeld) for processor in processors):
            chain._span_processors = (ReleaseHeld(release), *processors)  # type: ignore[union-attr]  # noqa: SLF001
        return
    provider.add_span_processor(ReleaseHeld(release))
