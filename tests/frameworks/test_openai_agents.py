"""openai-agents, with models that speak chat completions and Responses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.frameworks.conftest import MODEL

if TYPE_CHECKING:
    from tests.frameworks.conftest import Books


@pytest.mark.parametrize("api", ["chat_completions", "responses"])
def test_a_run_and_a_streamed_run(api: str, books: Books) -> None:
    import agents
    from openai import AsyncOpenAI

    kinds = {
        "chat_completions": agents.OpenAIChatCompletionsModel,
        "responses": agents.OpenAIResponsesModel,
    }

    async def runs() -> None:
        async with AsyncOpenAI(base_url=books.url, api_key="k", max_retries=0) as client:
            agent = agents.Agent(name="one", model=kinds[api](model=MODEL, openai_client=client))
            assert (await agents.Runner.run(agent, "hello there")).final_output
            streamed = agents.Runner.run_streamed(agent, "hello there")
            assert [event async for event in streamed.stream_events()]

    asyncio.run(runs())
    books.agree(False, True, api=api)


def test_sync(books: Books) -> None:
    import agents
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=books.url, api_key="k", max_retries=0)
    agent = agents.Agent(name="one", model=agents.OpenAIChatCompletionsModel(model=MODEL, openai_client=client))
    assert agents.Runner.run_sync(agent, "hello there").final_output
    books.agree(False)
