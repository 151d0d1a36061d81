"""Frameworks above the SDKs: LangChain (on the OpenRouter SDK) and Pydantic AI (on the OpenAI SDK)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from orobserve.testing import SCENARIOS
from tests.sdks.calls import MODEL, Row
from tests.sdks.openrouter_calls import no_retries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from orobserve.testing import Simulator
    from tests.sdks.sides import Side


@contextlib.contextmanager
def _langchain(sim: Simulator) -> Iterator[Any]:
    from langchain_openrouter import ChatOpenRouter

    model = ChatOpenRouter(model=MODEL, api_key="k", base_url=sim.url, max_retries=0)
    model.client.sdk_configuration.retry_config = no_retries()  # 0 leaves the SDK's own default, an hour
    # LangChain supplies the HTTP clients itself, so leaving the SDK would not close them.
    with contextlib.closing(model.client.sdk_configuration.client):
        yield model


@contextlib.asynccontextmanager
async def _langchain_async(sim: Simulator) -> AsyncIterator[Any]:
    with _langchain(sim) as model:
        async with contextlib.aclosing(model.client.sdk_configuration.async_client):
            yield model


def make_langchain(sim: Simulator, side: Side) -> Any:
    """Make LangChain's model."""
    return _langchain_async(sim) if side.is_async else _langchain(sim)


async def invoke(side: Side, model: Any) -> Any:
    return await side.get(model.ainvoke("hello there") if side.is_async else model.invoke("hello there"))


async def stream(side: Side, model: Any) -> Any:
    return await side.items(model.astream("hello there") if side.is_async else model.stream("hello there"))


@contextlib.contextmanager
def _agent(sim: Simulator) -> Iterator[Any]:
    import asyncio

    from openai import AsyncOpenAI
    from pydantic_ai import Agent
    from pydantic_ai.models.openrouter import OpenRouterModel
    from pydantic_ai.providers.openrouter import OpenRouterProvider

    # Pydantic AI's sync functions run the thread's loop, or set one of their own where that is gone by then (as a
    # finalizer of something else may have it); the client has to be closed in the one that was used.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    client = AsyncOpenAI(base_url=sim.url, api_key="k", max_retries=0)
    try:
        yield Agent(OpenRouterModel(MODEL, provider=OpenRouterProvider(openai_client=client)))
    finally:
        used = asyncio.get_event_loop()
        used.run_until_complete(client.close())
        used.run_until_complete(used.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        used.close()
        loop.close()


@contextlib.asynccontextmanager
async def _agent_async(sim: Simulator) -> AsyncIterator[Any]:
    from openai import AsyncOpenAI
    from pydantic_ai import Agent
    from pydantic_ai.models.openrouter import OpenRouterModel
    from pydantic_ai.providers.openrouter import OpenRouterProvider

    async with AsyncOpenAI(base_url=sim.url, api_key="k", max_retries=0) as client:
        yield Agent(OpenRouterModel(MODEL, provider=OpenRouterProvider(openai_client=client)))


def make_agent(sim: Simulator, side: Side) -> Any:
    """Make a Pydantic AI agent."""
    return _agent_async(sim) if side.is_async else _agent(sim)


def _seen(result: Any) -> Any:
    last = result.all_messages()[-1]
    return [last.__class__, last.parts, last.usage, last.model_name, last.provider_response_id, last.finish_reason]


async def run(side: Side, agent: Any) -> Any:
    result = await side.get(agent.run("hello there") if side.is_async else agent.run_sync("hello there"))
    return [result.__class__, result.output, *_seen(result)]


async def run_stream(side: Side, agent: Any) -> Any:
    if not side.is_async:
        with agent.run_stream_sync("hello there") as result:
            return [result.__class__, list(result.stream_text()), *_seen(result)]
    async with agent.run_stream("hello there") as result:
        return [result.__class__, [text async for text in result.stream_text()], *_seen(result)]


ROWS = [
    Row(name="langchain-invoke", module="langchain_openrouter", make=make_langchain, call=invoke),
    Row(
        name="langchain-invoke-tools",
        module="langchain_openrouter",
        make=make_langchain,
        call=invoke,
        scenario=SCENARIOS["tools"],
    ),
    Row(name="langchain-stream", module="langchain_openrouter", make=make_langchain, call=stream, streamed=True),
    Row(name="pydantic-ai-run", module="pydantic_ai", make=make_agent, call=run),
    Row(name="pydantic-ai-stream", module="pydantic_ai", make=make_agent, call=run_stream, streamed=True),
]
