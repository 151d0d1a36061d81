"""Streams that nobody finishes leave nothing behind, and open ones hold little."""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

import orobserve
from tests.capture.sides import ask, both_colours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.capture.sides import Caller, Side
    from tests.conftest import Telemetry

STREAMS = 10_000
OPEN = 50
CHUNKS_READ = 150
PER_STREAM = 16 * 1024  # bytes
HEADERS = {"content-type": "text/event-stream", "x-generation-id": "gen-1"}

pytestmark = pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")


class Counter(SpanProcessor):
    """Counts spans and keeps none."""

    started = ended = 0

    def on_start(self, *_: Any, **__: Any) -> None:
        self.started += 1

    def on_end(self, *_: Any) -> None:
        self.ended += 1


def chunk(number: int) -> bytes:
    delta = {"index": 0, "delta": {"role": "assistant", "content": f" word {number:06}"}, "finish_reason": None}
    body = {"id": "gen-1", "object": "chat.completion.chunk", "provider": "P", "model": "openai/gpt-4o"}
    return f"data: {json.dumps({**body, 'choices': [delta]})}\n\n".encode()


def endless() -> Iterator[bytes]:
    number = 0
    while True:
        yield chunk(number)
        number += 1


async def half_read(client: Caller, *, close: bool) -> None:
    """Read some of a stream and forget it, as a client that lost interest does."""
    response = await client.open()
    rows = client.iterate(response, "raw")
    async for _ in rows:
        break
    if close:
        await client.close(response)
    if client.side.is_async:
        del rows, response
        await anyio.lowlevel.checkpoint()  # the loop closes what was left to it


async def settled_blocks(client: Caller) -> int:
    """Count the blocks of memory in use (tracemalloc would take twenty times as long), with all garbage gone."""
    for _ in range(5):
        gc.collect()
        if client.side.is_async:
            await anyio.lowlevel.checkpoint()
    return sys.getallocatedblocks()


@both_colours
def test_ten_thousand_half_read_streams(side: Side, telemetry: Telemetry) -> None:
    counter = Counter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(counter)
    telemetry.instrument(tracer_provider=provider)
    handler = lambda _: side.lib.Response(200, headers=HEADERS, stream=side.body(endless()))  # noqa: E731

    async def visit() -> int:
        async with side.client(side.mock(handler)) as client:
            for number in range(STREAMS // 10):
                await half_read(client, close=bool(number % 2))
            before = await settled_blocks(client)
            for number in range(STREAMS - STREAMS // 10):
                await half_read(client, close=bool(number % 2))
            return await settled_blocks(client) - before

    left = side.run(visit)
    assert left < STREAMS // 2, "blocks of memory that 9,000 streams left behind"
    assert (counter.started, counter.ended) == (STREAMS, STREAMS)
    assert telemetry.in_flight == 0


@both_colours
def test_an_open_stream_holds_little(side: Side, telemetry: Telemetry) -> None:
    """Measured as what being observed adds to open responses that were read in part."""

    def handler(_: Any) -> Any:
        return side.lib.Response(200, headers=HEADERS, stream=side.body(endless()))

    async def visit() -> int:
        async with side.client(side.mock(handler)) as client:
            gc.collect()
            tracemalloc.start()
            try:
                before, _ = tracemalloc.get_traced_memory()
                open_ones = [await partly_read(client) for _ in range(OPEN)]
                gc.collect()
                held = tracemalloc.get_traced_memory()[0] - before
            finally:
                tracemalloc.stop()
            for response, _ in open_ones:
                await client.close(response)
            return held

    side.run(visit)  # what is made once
    plain = side.run(visit)
    telemetry.instrument()
    side.run(visit)
    observed = side.run(visit)
    assert (observed - plain) / OPEN <= PER_STREAM
    orobserve.uninstrument()


async def partly_read(client: Caller) -> tuple[Any, Any]:
    response = await client.send(
        client.inner.build_request("POST", "https://openrouter.ai/api/v1/chat/completions", json=ask(stream=True)),
        stream=True,
    )
    rows = client.iterate(response, "raw")
    for _ in range(CHUNKS_READ):
        await anext(rows)
    return response, rows
