"""orobserve shows what every OpenRouter call did: tokens, billed cost, provider, cache hits, latency, errors.

    import orobserve
    orobserve.instrument()

Importing this package patches nothing and starts nothing; HTTP libraries and the OpenTelemetry SDK are not imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve._version import __version__
from orobserve.ambient import context
from orobserve.errors import ConfigurationError
from orobserve.generation import Generation

if TYPE_CHECKING:
    from orobserve._face import flush, instrument, instrument_client, on_generation, uninstrument
    from orobserve.instrumentor import OpenRouterInstrumentor

__all__ = [
    "ConfigurationError",
    "Generation",
    "OpenRouterInstrumentor",
    "__version__",
    "context",
    "flush",
    "instrument",
    "instrument_client",
    "on_generation",
    "uninstrument",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - only when a name is first used

    home = "orobserve.instrumentor" if name == "OpenRouterInstrumentor" else "orobserve._face"
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return __all__
