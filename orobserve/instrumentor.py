"""For `opentelemetry-instrument python app.py`: the same as `orobserve.instrument()`, with no line of code."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # no export mark

from orobserve import _runtime
from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection

_log = logging.getLogger("orobserve")


class OpenRouterInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # of which the base is untyped then
    """OpenTelemetry's own interface to orobserve; needs the package opentelemetry-instrumentation."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: whichever HTTP library the application has is instrumented."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:  # noqa: ANN401 - the base class's signature
        known = {name: kwargs[name] for name in ("tracer_provider", "meter_provider") if kwargs.get(name) is not None}
        try:
            _runtime.instrument(known)
        except ConfigurationError as error:  # raised here, it would keep the other instrumentations from loading
            _log.error("orobserve is off: %s", error)

    def _uninstrument(self, **_kwargs: Any) -> None:  # noqa: ANN401
        _runtime.uninstrument()
