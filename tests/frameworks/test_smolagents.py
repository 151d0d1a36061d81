"""smolagents, over openai's client and over litellm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.frameworks.conftest import MODEL

if TYPE_CHECKING:
    from tests.frameworks.conftest import Books

QUESTION = [{"role": "user", "content": [{"type": "text", "text": "hello there"}]}]


@pytest.fixture(params=["OpenAIModel", "LiteLLMModel"])
def model(request: pytest.FixtureRequest, books: Books) -> Any:
    import smolagents

    name = f"openrouter/{MODEL}" if request.param == "LiteLLMModel" else MODEL
    return getattr(smolagents, request.param)(name, api_base=books.url, api_key="k")


def test_plain(books: Books, model: Any) -> None:
    assert model(QUESTION).content
    books.agree(False)


def test_streamed(books: Books, model: Any) -> None:
    assert len(list(model.generate_stream(QUESTION))) > 1
    books.agree(True)
