"""Beside OpenTelemetry's HTTP tracers, in either order, every call has our span and one of theirs."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.capture.more_sides import HEADERS
from tests.capture.sides import QUESTION
from tests.capture.test_layers import by_aiohttp, by_httpx, by_manager, by_requests, by_urllib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orobserve.testing import Simulator
    from tests.conftest import Telemetry

TRACERS = {
    "requests": ("requests", "RequestsInstrumentor"),
    "urllib3": ("urllib3", "URLLib3Instrumentor"),
    "urllib": ("urllib", "URLLibInstrumentor"),
    "aiohttp": ("aiohttp_client", "AioHttpClientInstrumentor"),
}
WAYS = [by_requests, by_manager, by_urllib, by_aiohttp, by_httpx]


def tracers() -> list[Any]:
    found = []
    for module, name in TRACERS.values():
        library = importlib.import_module(f"opentelemetry.instrumentation.{module}")
        found.append(getattr(library, name)())
    return found


@pytest.fixture(params=["ours first", "theirs first"])
def _both(request: pytest.FixtureRequest, telemetry: Telemetry) -> Iterator[None]:
    begin = [lambda: telemetry.instrument(hosts=["127.0.0.1"])]
    begin += [lambda t=t: t.instrument(tracer_provider=telemetry.tracer_provider) for t in tracers()]
    for each in begin if request.param == "ours first" else reversed(begin):
        each()
    yield
    for tracer in tracers():
        tracer.uninstrument()


@pytest.mark.usefixtures("_both")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_both_see_the_call(way: Callable[[str], int], sim: Simulator, telemetry: Telemetry) -> None:
    assert way(f"{sim.url}/chat/completions") == 200
    ours = [span for span in telemetry.spans if span.name.startswith("chat ")]
    assert [span.attributes["openrouter.cost.total"] for span in ours] == [float(sim.bill)]
    assert len(telemetry.spans) == (1 if way is by_httpx else 2)


@pytest.mark.usefixtures("_both")
def test_concurrent_calls(sim: Simulator, telemetry: Telemetry) -> None:
    async def visit() -> None:
        async with aiohttp.ClientSession() as session:

            async def call() -> None:
                async with session.post(f"{sim.url}/chat/completions", json=QUESTION, headers=HEADERS) as response:
                    await response.read()

            await asyncio.gather(*(call() for _ in range(4)))

    asyncio.run(visit())
    assert len([span for span in telemetry.spans if span.name.startswith("chat ")]) == 4
