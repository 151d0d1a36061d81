"""`orobserve.context`: as a block, as a decorator of every kind of function, nested; the request wins."""

from __future__ import annotations

import asyncio
import inspect
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

import orobserve
from orobserve import ambient
from tests.telemetry.calls import call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.conftest import Telemetry


def here() -> str | None:
    return ambient.current().user


def test_what_it_says_is_on_the_span(telemetry: Telemetry) -> None:
    telemetry.instrument()
    with orobserve.context(user="u1", session_id="s1", metadata={"team": "search", "try": 2}, tags=["a", "b"]):
        call()
    facts = telemetry.span.attributes
    assert facts["user.id"] == "u1"
    assert facts["session.id"] == facts["gen_ai.conversation.id"] == "s1"
    assert facts["trace.metadata.team"] == "search"
    assert facts["trace.metadata.try"] == 2
    assert facts["trace.metadata.tags"] == '["a", "b"]'
    call()
    assert "user.id" not in telemetry.spans[1].attributes


def test_the_request_wins(telemetry: Telemetry) -> None:
    telemetry.instrument()
    with orobserve.context(user="ambient", session_id="ambient"):
        call(user="body", sends={"x-session-id": "header"})
        call(user="body", session_id="body", sends={"x-session-id": "header"})
    first, second = telemetry.spans
    assert (first.attributes["user.id"], first.attributes["session.id"]) == ("body", "header")
    assert second.attributes["session.id"] == "body"


def test_nested_ones_add_up_and_end() -> None:
    with orobserve.context(user="u", session_id="s", metadata={"a": 1, "b": 1}):
        with orobserve.context(session_id="inner", metadata={"b": 2}, tags=("t",)):
            inner = ambient.current()
        outer = ambient.current()
    assert (inner.user, inner.session_id, inner.tags) == ("u", "inner", {"a": 1, "b": 2, "tags": ["t"]})
    assert (outer.session_id, outer.tags) == ("s", {"a": 1, "b": 1})
    assert here() is None


def test_it_ends_with_an_exception_and_may_be_used_again() -> None:
    block = orobserve.context(user="u")
    seen = []

    def fail() -> None:
        with block:
            seen.append(here())
            raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            fail()
        assert here() is None
    assert seen == ["u", "u"]
    with block, block:
        assert here() == "u"
    assert here() is None


def test_a_decorated_function() -> None:
    @orobserve.context(user="u")
    def plain(first: int, *, second: int = 2) -> tuple[str | None, int]:
        """Say something."""
        return here(), first + second

    assert plain(1, second=4) == ("u", 5)
    assert (plain.__name__, plain.__doc__) == ("plain", "Say something.")
    assert here() is None


def test_a_decorated_coroutine() -> None:
    @orobserve.context(user="u")
    async def coroutine(go: asyncio.Event) -> str | None:
        await go.wait()
        return here()

    async def several() -> list[str | None]:
        go = asyncio.Event()
        tasks = [asyncio.create_task(coroutine(go)) for _ in range(3)]
        await asyncio.sleep(0)
        assert here() is None
        go.set()
        return list(await asyncio.gather(*tasks))

    assert inspect.iscoroutinefunction(coroutine)
    assert asyncio.run(several()) == ["u"] * 3


def test_a_decorated_generator_does_not_leak_into_its_consumer() -> None:
    ended: list[str] = []

    @orobserve.context(user="u")
    def generator() -> Iterator[str | None]:
        try:
            yield here()
            yield here()
        finally:
            ended.append("ended")
        return "done"

    assert inspect.isgeneratorfunction(generator)
    assert [(user, here()) for user in generator()] == [("u", None)] * 2
    half = generator()
    next(half)
    half.close()
    assert ended == ["ended"] * 2


def test_a_decorated_generator_takes_what_is_sent_and_thrown() -> None:
    @orobserve.context(user="u")
    def generator() -> Any:
        sent = yield here()
        try:
            yield sent
        except ValueError as error:
            yield (error.args, here())

    steps = generator()
    assert next(steps) == "u"
    assert steps.send("hello") == "hello"
    assert steps.throw(ValueError("thrown")) == (("thrown",), "u")


def test_a_decorated_async_generator() -> None:
    ended: list[str] = []

    @orobserve.context(user="u")
    async def generator() -> AsyncIterator[str | None]:
        try:
            yield here()
            await asyncio.sleep(0)
            yield here()
        finally:
            ended.append(str(here()))

    async def consume() -> list[Any]:
        found = [(user, here()) async for user in generator()]
        half = generator()
        await anext(half)
        await half.aclose()
        return found

    assert inspect.isasyncgenfunction(generator)
    assert asyncio.run(consume()) == [("u", None)] * 2
    assert len(ended) == 2


@pytest.mark.parametrize("name", ["user", "session_id", "trace_name", "span_name", "generation_name"])
def test_texts_that_utf8_cannot_hold_do_not_cost_the_batch(name: str, telemetry: Telemetry) -> None:
    """The OTLP exporter would lose every span of the batch, the application's own included."""
    telemetry.instrument()
    with orobserve.context(**{name: "a\ud800b"}, metadata={"k\ud800": "v\ud800", "deep": {"a": "\ud800"}}):
        call()
    assert b"a?b" in encode_spans(telemetry.spans).SerializeToString()
    assert telemetry.spans[-1].attributes["trace.metadata.k?"] == "v?"


def test_it_follows_tasks_and_copied_contexts_but_not_plain_threads() -> None:
    seen: list[str | None] = []
    with orobserve.context(user="u"):
        copied = copy_context()
        threads = [
            threading.Thread(target=lambda: seen.append(here())),
            threading.Thread(target=copied.run, args=(lambda: seen.append(here()),)),
        ]
    for thread in threads:
        thread.start()
        thread.join()
    assert seen == [None, "u"]


def test_two_tasks_do_not_mix(telemetry: Telemetry) -> None:
    import httpx

    telemetry.instrument()

    async def ask(client: httpx.AsyncClient, user: str) -> None:
        with orobserve.context(user=user):
            await asyncio.sleep(0)
            await client.post("https://openrouter.ai/api/v1/chat/completions", json={"model": user})

    async def both() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json={}))
        async with httpx.AsyncClient(transport=transport, verify=False) as client:
            await asyncio.gather(*(ask(client, f"user-{number}") for number in range(10)))

    asyncio.run(both())
    assert len(telemetry.spans) == 10
    assert all(span.attributes["user.id"] == span.attributes["gen_ai.request.model"] for span in telemetry.spans)
