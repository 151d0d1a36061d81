"""DSPy, whose own transports have an edge of their own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.frameworks.conftest import MODEL, TURN

if TYPE_CHECKING:
    from tests.frameworks.conftest import Books

ANSWER = "[[ ## answer ## ]]\nloopback\n\n[[ ## completed ## ]]"


@pytest.fixture
def program(books: Books) -> Any:
    import dspy

    from orobserve.testing import Scenario

    books.sim.next(Scenario(text=ANSWER))
    model = dspy.LM(f"openrouter/{MODEL}", api_base=books.url, api_key="k", cache=False, num_retries=0)
    predict = dspy.Predict("question -> answer")
    predict.set_lm(model)
    return predict


def test_this_version_is_known() -> None:
    import dspy  # noqa: F401
    from dspy._vendor.lm15 import transports

    from orobserve.capture import _patches

    points = [point for point in _patches.POINTS if point.edge == "dspy"]
    assert points
    for point in points:
        assert point.method in getattr(transports, point.owner).__dict__


def test_sync(books: Books, program: Any) -> None:
    assert program(question="where?").answer == "loopback"
    books.agree(False)


def test_async(books: Books, program: Any) -> None:
    assert asyncio.run(program.acall(question="where?")).answer == "loopback"
    books.agree(False)


def test_streamed(books: Books, program: Any) -> None:
    import dspy

    listeners = [dspy.streaming.StreamListener(signature_field_name="answer")]
    streamed = dspy.streamify(program, stream_listeners=listeners)

    async def read() -> list[Any]:
        return [item async for item in streamed(question="where?")]

    assert asyncio.run(read())[-1].answer == "loopback"
    books.agree(True)


def test_a_lost_connection(books: Books, program: Any) -> None:
    from dspy.utils.exceptions import LMTransportError

    from orobserve.testing import SCENARIOS

    assert program(question="where?").answer == "loopback"
    books.agree(False)
    books.sim.next(SCENARIOS["reset"])
    with pytest.raises(LMTransportError):
        program(question="and now?")
    assert [record.outcome.value for record in books.records()] == ["complete", "failed"]
    assert books.records()[1].error.type.startswith("dspy._vendor.lm15.transports.")
    assert books.telemetry.in_flight == 0


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("way", ["read", "leave", "close", "forget"])
def test_every_ending_of_the_transports(way: str, colour: str, books: Books) -> None:
    import gc
    import json

    from dspy._vendor.lm15 import transports

    body = json.dumps({"model": MODEL, "messages": TURN, "stream": True}).encode()
    headers = [("authorization", "Bearer k"), ("content-type", "application/json")]
    request = transports.TransportRequest("POST", f"{books.url}/chat/completions", headers, body)

    async def by_async() -> None:
        async with transports.StdlibAsyncTransport() as transport:
            response = await transport.stream(request)
            if way == "read":
                assert b"[DONE]" in await response.read()
            elif way == "leave":
                async for _ in response:
                    break
            if way != "forget":
                await response.aclose()
            del response
            gc.collect()

    def by_sync() -> None:
        with transports.StdlibTransport() as transport:
            response = transport.stream(request)
            if way == "read":
                assert b"[DONE]" in response.read()
            elif way == "leave":
                next(iter(response))
            if way != "forget":
                response.close()
            del response
            gc.collect()

    by_sync() if colour == "sync" else asyncio.run(by_async())
    (record,) = books.records()
    expected = {"read": "complete", "leave": "cancelled", "close": "cancelled", "forget": "abandoned"}
    assert record.outcome.value == expected[way]
    assert books.telemetry.in_flight == 0
