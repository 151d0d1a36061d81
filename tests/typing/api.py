"""How users write against orobserve; checked by mypy, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from opentelemetry.sdk.trace import TracerProvider

import orobserve
from orobserve import ConfigurationError, Generation
from orobserve.testing import Failure, Scenario, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

orobserve.instrument()
orobserve.instrument(hosts=["gateway.corp:8443"], content="span_only", tracer_provider=TracerProvider(), console=None)
orobserve.instrument_client(httpx.Client(), when_nested="span")


def seen(generation: Generation) -> None:
    """Take a record."""
    total: float | None = generation.cost.total if generation.cost else None
    tokens: int | None = generation.usage.input_tokens if generation.usage else None
    print(total, tokens, generation.timing.duration, generation.outcome.value)  # noqa: T201


remove: Callable[[], None] = orobserve.on_generation(seen)
remove()

with orobserve.context(user="u", session_id="s", metadata={"team": "search"}, tags=["a"]) as entered:
    reveal: orobserve.context = entered

try:
    finished: bool = orobserve.flush(1.0)
except ConfigurationError as error:
    setting: str = error.setting

with Simulator() as simulator:
    simulator.next(Scenario(error=Failure(error_type="timeout")))
    url: str = simulator.url
orobserve.uninstrument()
