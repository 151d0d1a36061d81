"""orobserve shows what every OpenRouter call did: tokens, billed cost, provider, cache hits, latency, errors.

    import orobserve
    orobserve.instrument()

Importing this package patches nothing, starts nothing and loads next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from orobserve._face import flush, instrument, instrument_client, on_generation, uninstrument
    from orobserve.ambient import context
    from orobserve.errors import ConfigurationError
    from orobserve.generation import Generation
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

_HOMES = {
    "ConfigurationError": "orobserve.errors",
    "Generation": "orobserve.generation",
    "OpenRouterInstrumentor": "orobserve.instrumentor",
    "context": "orobserve.ambient",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - only when a name is first used

    value = getattr(importlib.import_module(_HOMES.get(name, "orobserve._face")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
