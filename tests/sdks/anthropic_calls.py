"""The Anthropic SDK, pointed at OpenRouter's Messages endpoint. Streams tell no cost inline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.testing import SCENARIOS
from tests.sdks.calls import CLAUDE, TURN, Row

if TYPE_CHECKING:
    from orobserve.testing import Simulator
    from tests.sdks.sides import Side

ASK: dict[str, Any] = {"model": CLAUDE, "max_tokens": 50, "messages": TURN}


def make(sim: Simulator, side: Side, **options: Any) -> Any:
    """Connect."""
    import anthropic

    kind = anthropic.AsyncAnthropic if side.is_async else anthropic.Anthropic
    return kind(base_url=f"{sim.root}/api", api_key="k", **{"max_retries": 0, **options})


async def create(side: Side, client: Any) -> Any:
    return await side.get(client.messages.create(**ASK))


async def beta(side: Side, client: Any) -> Any:
    return await side.get(client.beta.messages.create(**ASK))


async def create_stream(side: Side, client: Any) -> Any:
    stream = await side.get(client.messages.create(**ASK, stream=True))
    return [stream.__class__, stream.response.__class__, await side.items(stream)]


async def helper(side: Side, client: Any) -> Any:
    async with side.opened(client.messages.stream(**ASK)) as stream:
        events = await side.items(stream)
        return [stream.__class__, events, await side.get(stream.get_final_message())]


async def helper_text(side: Side, client: Any) -> Any:
    async with side.opened(client.messages.stream(**ASK)) as stream:
        return await side.items(stream.text_stream)


async def raw(side: Side, client: Any) -> Any:
    answer = await side.get(client.messages.with_raw_response.create(**ASK))
    return [answer.__class__, answer.http_response, await side.get(answer.parse())]


async def raw_stream(side: Side, client: Any) -> Any:
    answer = await side.get(client.messages.with_raw_response.create(**ASK, stream=True))
    return [answer.__class__, await side.items(answer.parse())]


async def streaming_response(side: Side, client: Any) -> Any:
    async with side.opened(client.messages.with_streaming_response.create(**ASK)) as response:
        return [response.__class__, b"".join(await side.items(response.iter_bytes()))]


async def streaming_response_stream(side: Side, client: Any) -> Any:
    async with side.opened(client.messages.with_streaming_response.create(**ASK, stream=True)) as response:
        return [response.http_response, await side.items(response.iter_lines())]


async def count_tokens(side: Side, client: Any) -> Any:
    """Runs no model."""
    return await side.get(client.messages.count_tokens(model=CLAUDE, messages=TURN))


def _row(name: str, call: Any, **expected: Any) -> Row:
    streamed = "stream" in name.split("-") or "helper" in name
    told = {"api": "messages", "model": CLAUDE, "streamed": streamed, "priced": not streamed, **expected}
    return Row(name=f"anthropic-{name}", module="anthropic", make=make, call=call, **told)


ROWS = [
    _row("create", create),
    _row("create-cached", create, scenario=SCENARIOS["prompt_cache_read"]),
    _row("create-tools", create, scenario=SCENARIOS["tools"]),
    _row("beta", beta),
    _row("stream", create_stream),
    _row("stream-gzip", create_stream, scenario=SCENARIOS["gzip"]),
    _row("helper", helper),
    _row("helper-tools", helper, scenario=SCENARIOS["tools"]),
    _row("helper-reasoning", helper, scenario=SCENARIOS["reasoning"]),
    _row("helper-text", helper_text),
    _row("raw", raw),
    _row("raw-stream", raw_stream),
    _row("response-streaming", streaming_response, streamed=False, priced=True),
    _row("response-streaming-stream", streaming_response_stream),
]
