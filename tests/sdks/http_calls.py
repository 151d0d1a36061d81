"""No SDK: plain httpx and plain httpx2, which are alike."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any

from orobserve.testing import SCENARIOS
from tests.sdks.calls import CLAUDE, MODEL, TURN, Row

if TYPE_CHECKING:
    from orobserve.testing import Simulator
    from tests.sdks.sides import Side

BODY = {"model": MODEL, "messages": TURN}
STREAMED = {**BODY, "stream": True}


def make(module: str, sim: Simulator, side: Side) -> Any:
    """Make a client."""
    library = importlib.import_module(module)
    kind = library.AsyncClient if side.is_async else library.Client
    return kind(base_url=sim.url, headers={"authorization": "Bearer k"})


async def chat(side: Side, client: Any) -> Any:
    return await side.get(client.post("/chat/completions", json=BODY))


async def messages(side: Side, client: Any) -> Any:
    return await side.get(client.post("/messages", json={**BODY, "model": CLAUDE, "max_tokens": 9}))


async def read_raw(side: Side, client: Any) -> Any:
    async with side.opened(client.stream("POST", "/chat/completions", json=STREAMED)) as response:
        read = response.aiter_raw() if side.is_async else response.iter_raw()
        return [response.__class__, b"".join(await side.items(read)), response.num_bytes_downloaded]


async def read_lines(side: Side, client: Any) -> Any:
    async with side.opened(client.stream("POST", "/chat/completions", json=STREAMED)) as response:
        return await side.items(response.aiter_lines() if side.is_async else response.iter_lines())


async def read_whole(side: Side, client: Any) -> Any:
    async with side.opened(client.stream("POST", "/chat/completions", json=BODY)) as response:
        await side.get(response.aread() if side.is_async else response.read())
        return response


def _rows(module: str) -> list[Row]:
    def row(name: str, call: Any, **expected: Any) -> Row:
        make_client = functools.partial(make, module)
        return Row(name=f"{module}-{name}", module=module, make=make_client, call=call, **expected)

    return [
        row("chat", chat),
        row("chat-gzip", chat, scenario=SCENARIOS["gzip"]),
        row("messages", messages, api="messages", model=CLAUDE),
        row("raw", read_raw, streamed=True),
        row("raw-gzip", read_raw, streamed=True, scenario=SCENARIOS["gzip"]),
        row("lines", read_lines, streamed=True),
        row("whole", read_whole),
        row("whole-gzip", read_whole, scenario=SCENARIOS["gzip"]),
    ]


ROWS = [*_rows("httpx"), *_rows("httpx2")]
