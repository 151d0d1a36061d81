"""instructor: answers in the shape of a model, in either colour."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.frameworks.conftest import MODEL, TURN

if TYPE_CHECKING:
    from tests.frameworks.conftest import Books


def client(books: Books, kind: Any) -> Any:
    import instructor

    return instructor.from_openai(kind(base_url=books.url, api_key="k", max_retries=0), mode=instructor.Mode.JSON)


def answer() -> Any:
    from pydantic import BaseModel

    return type("Answer", (BaseModel,), {"__annotations__": {"word": str}})


@pytest.fixture(autouse=True)
def _json(books: Books) -> None:
    from orobserve.testing import Scenario

    books.sim.next(Scenario(text='{"word": "loopback"}'))


def test_sync(books: Books) -> None:
    from openai import OpenAI

    create = client(books, OpenAI).chat.completions.create
    assert create(model=MODEL, messages=TURN, response_model=answer()).word == "loopback"
    books.agree(False)


def test_async(books: Books) -> None:
    from openai import AsyncOpenAI

    async def call() -> Any:
        return await client(books, AsyncOpenAI).chat.completions.create(
            model=MODEL, messages=TURN, response_model=answer()
        )

    assert asyncio.run(call()).word == "loopback"
    books.agree(False)


def test_a_partial_answer_is_a_stream(books: Books) -> None:
    from openai import OpenAI

    parts = client(books, OpenAI).chat.completions.create_partial(model=MODEL, messages=TURN, response_model=answer())
    assert list(parts)[-1].word == "loopback"
    books.agree(True)
