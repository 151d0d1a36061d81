"""CrewAI: its model alone, and a crew."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.frameworks.conftest import MODEL, TURN

if TYPE_CHECKING:
    from tests.frameworks.conftest import Books


def model(books: Books, **options: Any) -> Any:
    import crewai

    return crewai.LLM(f"openrouter/{MODEL}", base_url=books.url, api_key="k", **options)


@pytest.mark.parametrize("streamed", [False, True])
def test_sync(streamed: bool, books: Books) -> None:
    assert model(books, stream=streamed).call(TURN)
    books.agree(streamed)


@pytest.mark.parametrize("streamed", [False, True])
def test_async(streamed: bool, books: Books) -> None:
    assert asyncio.run(model(books, stream=streamed).acall(TURN))
    books.agree(streamed)


def test_a_crew(books: Books) -> None:
    import crewai

    agent = crewai.Agent(role="greeter", goal="greet", backstory="polite", llm=model(books), verbose=False)
    task = crewai.Task(description="say hello", expected_output="a greeting", agent=agent)
    assert crewai.Crew(agents=[agent], tasks=[task], verbose=False).kickoff()
    books.agree(False)
