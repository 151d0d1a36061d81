"""Haystack's chat generator for OpenAI-like APIs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.frameworks.conftest import MODEL

if TYPE_CHECKING:
    from tests.frameworks.conftest import Books


def generator(books: Books, **options: Any) -> Any:
    from haystack.components.generators.chat import OpenAIChatGenerator
    from haystack.utils import Secret

    return OpenAIChatGenerator(model=MODEL, api_base_url=books.url, api_key=Secret.from_token("k"), **options)


def question() -> list[Any]:
    from haystack.dataclasses import ChatMessage

    return [ChatMessage.from_user("hello there")]


def test_sync(books: Books) -> None:
    assert generator(books).run(question())["replies"]
    books.agree(False)


def test_streamed(books: Books) -> None:
    seen: list[Any] = []
    options = {"stream_options": {"include_usage": True}}
    generator(books, streaming_callback=seen.append, generation_kwargs=options).run(question())
    assert len(seen) > 1
    books.agree(True)


@pytest.mark.parametrize("streamed", [False, True])
def test_async(streamed: bool, books: Books) -> None:
    async def note(chunk: Any) -> None:
        assert chunk

    asyncio.run(generator(books, streaming_callback=note if streamed else None).run_async(question()))
    books.agree(streamed)
