"""LlamaIndex's `OpenRouter` model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.frameworks.conftest import MODEL

if TYPE_CHECKING:
    from tests.frameworks.conftest import Books


@pytest.fixture
def model(books: Books) -> Any:
    from llama_index.llms.openrouter import OpenRouter

    return OpenRouter(model=MODEL, api_base=books.url, api_key="k", max_retries=0)


def test_sync(books: Books, model: Any) -> None:
    assert model.complete("hello there").text
    assert len(list(model.stream_complete("hello there"))) > 1
    books.agree(False, True)


def test_async(books: Books, model: Any) -> None:
    async def calls() -> None:
        assert (await model.acomplete("hello there")).text
        assert [piece async for piece in await model.astream_complete("hello there")]

    asyncio.run(calls())
    books.agree(False, True)
