"""Streams of requests, urllib3, http.client and aiohttp that nobody finishes leave nothing behind."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from orobserve.capture import _tap, http_client
from orobserve.testing import Scenario
from tests.capture.more_sides import every_other_side

if TYPE_CHECKING:
    from orobserve.testing import Simulator
    from tests.capture.sides import Caller, Side
    from tests.conftest import Telemetry

STREAMS = 120
LONG = Scenario(chunks=8, text="one two three four five six seven eight")


async def half_read(client: Caller, url: str, *, close: bool) -> None:
    """Read some of a stream and forget it, as a client that lost interest does."""
    response = await client.open(url)
    lines = client.lines(response)
    async for line in lines:
        if line.startswith("data: {"):
            break
    if close:
        await client.close(response)
    else:
        client.abandon(response)


@every_other_side
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:Async generator")
def test_half_read_streams(side: Side, sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=["127.0.0.1"])

    async def visit() -> None:
        async with side.client() as client:
            for number in range(STREAMS):
                sim.next(LONG)
                await half_read(client, f"{sim.url}/chat/completions", close=bool(number % 2))

    side.run(visit)
    gc.collect()
    assert not _tap._open
    assert not http_client._sent
    assert len(telemetry.spans) == STREAMS
    assert telemetry.in_flight == 0


@every_other_side
def test_what_is_read_to_the_end_is_let_go(side: Side, sim: Simulator, telemetry: Telemetry) -> None:
    """Without a pass of the garbage collector: our shells make no cycles."""
    telemetry.instrument(hosts=["127.0.0.1"])

    async def visit() -> None:
        async with side.client() as client:
            response = await client.open(f"{sim.url}/chat/completions")
            await client.read(response)
            assert len(_tap._open) == 1
            del response
            if side.name != "aiohttp":  # whose responses are in cycles of their own
                assert not _tap._open

    gc.collect()  # what other tests have left
    gc.disable()
    try:
        side.run(visit)
    finally:
        gc.enable()
