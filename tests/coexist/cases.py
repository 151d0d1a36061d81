"""The calls that are made beneath other instrumentations: by name, each a function of the simulator."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orobserve.testing import Simulator

TURN = [{"role": "user", "content": "hello there"}]
CHAT: dict[str, Any] = {"model": "openai/gpt-4o", "messages": TURN}
STREAM: dict[str, Any] = {**CHAT, "stream": True}
ASK: dict[str, Any] = {"model": "openai/gpt-4o", "input": "hello there"}
MESSAGE: dict[str, Any] = {"model": "anthropic/claude-sonnet-4", "max_tokens": 50, "messages": TURN}


def _openai(sim: Simulator, **options: Any) -> Any:
    import openai

    return openai.OpenAI(base_url=sim.url, api_key="k", **{"max_retries": 0, **options})


def _async_openai(sim: Simulator) -> Any:
    import openai

    return openai.AsyncOpenAI(base_url=sim.url, api_key="k", max_retries=0)


def _anthropic(sim: Simulator, **options: Any) -> Any:
    import anthropic

    return anthropic.Anthropic(base_url=f"{sim.root}/api", api_key="k", **{"max_retries": 0, **options})


def _async_anthropic(sim: Simulator) -> Any:
    import anthropic

    return anthropic.AsyncAnthropic(base_url=f"{sim.root}/api", api_key="k", max_retries=0)


def _at_once(module: Any) -> None:
    module._base_client.BaseClient._calculate_retry_timeout = lambda *_, **__: 0.0


def chat(sim: Simulator) -> None:
    with _openai(sim) as client:
        client.chat.completions.create(**CHAT)


def chat_stream(sim: Simulator) -> None:
    with _openai(sim) as client:
        list(client.chat.completions.create(**STREAM))


def chat_helper(sim: Simulator) -> None:
    with _openai(sim) as client, client.chat.completions.stream(**CHAT) as stream:
        list(stream)


async def chat_async(sim: Simulator) -> None:
    async with _async_openai(sim) as client:
        await client.chat.completions.create(**CHAT)


async def chat_async_stream(sim: Simulator) -> None:
    async with _async_openai(sim) as client:
        async for _ in await client.chat.completions.create(**STREAM):
            pass


def chat_retry(sim: Simulator) -> None:
    import openai

    _at_once(openai)
    with _openai(sim, max_retries=2) as client:
        client.chat.completions.create(**CHAT)


def chat_stream_retry(sim: Simulator) -> None:
    import openai

    _at_once(openai)
    with _openai(sim, max_retries=2) as client:
        list(client.chat.completions.create(**STREAM))


def responses(sim: Simulator) -> None:
    with _openai(sim) as client:
        client.responses.create(**ASK)


def responses_stream(sim: Simulator) -> None:
    with _openai(sim) as client:
        list(client.responses.create(**ASK, stream=True))


def embeddings(sim: Simulator) -> None:
    with _openai(sim) as client:
        client.embeddings.create(model="openai/text-embedding-3-small", input="hello")


def message(sim: Simulator) -> None:
    with _anthropic(sim) as client:
        client.messages.create(**MESSAGE)


def message_stream(sim: Simulator) -> None:
    with _anthropic(sim) as client:
        list(client.messages.create(**MESSAGE, stream=True))


def message_helper(sim: Simulator) -> None:
    with _anthropic(sim) as client, client.messages.stream(**MESSAGE) as stream:
        list(stream)


async def message_async(sim: Simulator) -> None:
    async with _async_anthropic(sim) as client:
        await client.messages.create(**MESSAGE)


async def message_async_helper(sim: Simulator) -> None:
    async with _async_anthropic(sim) as client, client.messages.stream(**MESSAGE) as stream:
        async for _ in stream:
            pass


def message_retry(sim: Simulator) -> None:
    import anthropic

    _at_once(anthropic)
    with _anthropic(sim, max_retries=2) as client:
        client.messages.create(**MESSAGE)


def two_under_one(sim: Simulator) -> None:
    """Two calls inside one span that somebody else made for a model call."""
    told = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}
    with trace.get_tracer("somebody").start_as_current_span("chat theirs", attributes=told):
        _post(sim)
        _post(sim)


def _post(sim: Simulator) -> None:
    import httpx2

    httpx2.post(f"{sim.url}/chat/completions", json=CHAT, headers={"authorization": "Bearer k"}).read()


def _agent(sim: Simulator) -> Any:
    from pydantic_ai import Agent
    from pydantic_ai.capabilities import Instrumentation
    from pydantic_ai.models.instrumented import InstrumentationSettings
    from pydantic_ai.models.openrouter import OpenRouterModel
    from pydantic_ai.providers.openrouter import OpenRouterProvider

    model = OpenRouterModel("openai/gpt-4o", provider=OpenRouterProvider(openai_client=_async_openai(sim)))
    return Agent(model, capabilities=[Instrumentation(settings=InstrumentationSettings())])


def agent(sim: Simulator) -> None:
    _agent(sim).run_sync("hello there")


async def agent_async(sim: Simulator) -> None:
    await _agent(sim).run("hello there")


async def agent_stream(sim: Simulator) -> None:
    async with _agent(sim).run_stream("hello there") as result:
        async for _ in result.stream_text():
            pass


CASES: Mapping[str, Callable[[Simulator], Any]] = MappingProxyType(
    {
        "chat": chat,
        "chat stream": chat_stream,
        "chat helper": chat_helper,
        "chat async": chat_async,
        "chat async stream": chat_async_stream,
        "chat retry": chat_retry,
        "chat stream retry": chat_stream_retry,
        "responses": responses,
        "responses stream": responses_stream,
        "embeddings": embeddings,
        "message": message,
        "message stream": message_stream,
        "message helper": message_helper,
        "message async": message_async,
        "message async helper": message_async_helper,
        "message retry": message_retry,
        "two under one": two_under_one,
        "agent": agent,
        "agent async": agent_async,
        "agent stream": agent_stream,
    }
)
