"""openai's `DefaultAioHttpClient`: httpx2 over aiohttp."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.frameworks.conftest import MODEL, TURN

if TYPE_CHECKING:
    from tests.frameworks.conftest import Books


@pytest.mark.parametrize("streamed", [False, True])
def test_one_call_is_one_record(streamed: bool, books: Books) -> None:
    from openai import AsyncOpenAI, DefaultAioHttpClient

    async def call() -> Any:
        async with AsyncOpenAI(base_url=books.url, api_key="k", http_client=DefaultAioHttpClient()) as client:
            answer = await client.chat.completions.create(model=MODEL, messages=TURN, stream=streamed)
            return [chunk async for chunk in answer] if streamed else answer

    assert asyncio.run(call())
    books.agree(streamed)
