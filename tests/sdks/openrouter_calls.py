"""OpenRouter's own SDK. It stands on httpx; its responses are in beta in 0.x and not any more in 1.x."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sdks.calls import MODEL, TURN, Row

if TYPE_CHECKING:
    from orobserve.testing import Simulator
    from tests.sdks.sides import Side

EMBEDDER, RERANKER, PAINTER = "openai/text-embedding-3-small", "cohere/rerank-v3.5", "google/gemini-2.5-flash-image"


def no_retries() -> Any:
    """Return the setting without which the SDK retries for an hour."""
    from openrouter.utils import RetryConfig

    return RetryConfig("none", None, retry_connection_errors=False)


def make(sim: Simulator, _side: Side) -> Any:
    """Connect; one client serves both colours."""
    from openrouter import OpenRouter

    return OpenRouter(server_url=sim.url, api_key="k", retry_config=no_retries())


async def _send(side: Side, resource: Any, name: str = "send", **asked: Any) -> Any:
    return await side.get(getattr(resource, f"{name}_async" if side.is_async else name)(**asked))


def _responses(client: Any) -> Any:
    return client.responses if hasattr(client, "responses") else client.beta.responses


async def chat(side: Side, client: Any) -> Any:
    return await _send(side, client.chat, model=MODEL, messages=TURN)


async def chat_stream(side: Side, client: Any) -> Any:
    stream = await _send(side, client.chat, model=MODEL, messages=TURN, stream=True)
    async with side.opened(stream):
        return [stream.__class__, stream.response.__class__, await side.items(stream)]


async def responses(side: Side, client: Any) -> Any:
    return await _send(side, _responses(client), model=MODEL, input="hello there")


async def responses_stream(side: Side, client: Any) -> Any:
    stream = await _send(side, _responses(client), model=MODEL, input="hello there", stream=True)
    async with side.opened(stream):
        return await side.items(stream)


async def embeddings(side: Side, client: Any) -> Any:
    return await _send(side, client.embeddings, "generate", model=EMBEDDER, input="hello there")


async def rerank(side: Side, client: Any) -> Any:
    return await _send(side, client.rerank, "rerank", model=RERANKER, query="a", documents=["a", "b"])


async def images(side: Side, client: Any) -> Any:
    return await _send(side, client.images, "generate", model=PAINTER, prompt="a bay")


async def images_stream(side: Side, client: Any) -> Any:
    stream = await _send(side, client.images, "generate", model=PAINTER, prompt="a bay", stream=True)
    async with side.opened(stream):
        return await side.items(stream)


def _row(name: str, call: Any, **expected: Any) -> Row:
    return Row(name=f"openrouter-{name}", module="openrouter", make=make, call=call, **expected)


ROWS = [
    _row("chat", chat),
    _row("chat-stream", chat_stream, streamed=True),
    _row("responses", responses, api="responses"),
    _row("responses-stream", responses_stream, api="responses", streamed=True),
    _row("embeddings", embeddings, api="embeddings", model=EMBEDDER),
    _row("rerank", rerank, api="rerank", model=RERANKER),
    _row("images", images, api="images", model=PAINTER),
    _row("images-stream", images_stream, api="images", model=PAINTER, streamed=True),
]
