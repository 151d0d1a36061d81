"""litellm: httpx below its sync side, httpx over aiohttp below its async one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.frameworks.conftest import MODEL, TURN

if TYPE_CHECKING:
    from tests.frameworks.conftest import Books

CANARY = "litellm sends OpenRouter calls past every HTTP library of Python: its Rust stack needs an edge of its own"


def asked(books: Books, **options: Any) -> dict[str, Any]:
    return {"model": f"openrouter/{MODEL}", "messages": TURN, "api_base": books.url, "api_key": "k", **options}


@pytest.fixture(params=["aiohttp", "httpx"])
def _transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    import litellm

    monkeypatch.setattr(litellm, "disable_aiohttp_transport", request.param == "httpx")
    litellm.in_memory_llm_clients_cache.flush_cache()


def test_sync(books: Books) -> None:
    import litellm

    assert litellm.completion(**asked(books)).choices[0].message.content
    assert litellm.completion(**asked(books)).usage.total_tokens
    books.agree(False, False)


def test_a_sync_stream_ends_though_nobody_reads_or_closes_it_to_the_end(books: Books) -> None:
    import litellm

    stream = litellm.completion(**asked(books, stream=True))
    assert len(list(stream)) > 1
    books.agree(True)


@pytest.mark.usefixtures("_transport")
def test_async(books: Books) -> None:
    import litellm

    async def calls() -> None:
        await litellm.acompletion(**asked(books))
        stream = await litellm.acompletion(**asked(books, stream=True))
        assert len([chunk async for chunk in stream]) > 1
        await litellm.aclient_session.aclose() if litellm.aclient_session else None

    asyncio.run(calls())
    books.agree(False, True)


def test_responses(books: Books) -> None:
    import litellm

    litellm.responses(model=f"openrouter/{MODEL}", input="hello there", api_base=books.url, api_key="k")
    assert len(books.records()) == len(books.sim.inference_calls) == 1
    assert books.records()[0].cost.total > 0


@pytest.mark.parametrize("wanted", [None, True], ids=["by itself", "where it may"])
def test_no_call_goes_through_rust(wanted: bool | None, books: Books) -> None:
    import litellm

    litellm.rust(wanted)
    try:
        litellm.completion(**asked(books))
        list(litellm.completion(**asked(books, stream=True)))
        asyncio.run(litellm.acompletion(**asked(books)))
    finally:
        litellm.rust(None)
    assert len(books.sim.inference_calls) == 3
    assert len(books.records()) == 3, CANARY
