"""With and without us, callers of requests, urllib3, http.client and aiohttp see and send the same."""

from __future__ import annotations

import asyncio
import gc
import http.client
import inspect
import io
import json
import sys
import weakref
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import requests
import urllib3
import wrapt

import orobserve
from orobserve.capture import _patches
from orobserve.testing import SCENARIOS, Framing, Scenario, Simulator
from tests.capture.more_sides import CALLERS, HEADERS, every_other_side, other_side
from tests.capture.readings import READINGS, look
from tests.capture.sides import QUESTION, URL, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.capture.sides import Side
    from tests.conftest import Telemetry

RESPONSES = {
    "plain": Scenario(),
    "cut anywhere": Scenario(framing=Framing(comments=2, write_size=7), text="Grüße, 世界! 👩‍🚀"),
    **{name: SCENARIOS[name] for name in ("gzip", "rate_limited", "truncated", "truncated_clean", "reset")},
}


@pytest.mark.parametrize(
    ("side", "way"),
    [pytest.param(other_side(name), way, id=f"{name}-{way}") for name in CALLERS for way in READINGS[name]],
)
@pytest.mark.parametrize("name", RESPONSES)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of responses that a way of reading leaves open
def test_a_response_looks_the_same(side: Side, name: str, way: str, telemetry: Telemetry) -> None:
    async def visit() -> tuple[list[Any], list[Any]]:
        with Simulator(clock=lambda: 1_787_400_000.0) as sim:
            sim.next(RESPONSES[name])
            async with side.client() as client:
                seen = await look(client, f"{sim.url}/chat/completions", way)
            sent = [(c.method, c.path, [h for h in c.headers if h[0].lower() != "host"], c.body) for c in sim.calls]
            return seen, sent

    without = side.run(visit)
    telemetry.instrument(hosts=["127.0.0.1"])
    observed = side.run(visit)

    assert observed == without
    gc.collect()
    assert len(telemetry.spans) == 1
    assert telemetry.in_flight == 0


POINTS = [point for point in _patches.POINTS if point.module in sys.modules and "httpx" not in point.module]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_uninstrument_restores_the_class(point: _patches.Point, telemetry: Telemetry) -> None:
    owner = getattr(sys.modules[point.module], point.owner)
    original = owner.__dict__[point.method]
    for _ in range(2):
        telemetry.instrument()
        telemetry.instrument()
        ours = owner.__dict__[point.method]
        assert ours is not original
        assert inspect.signature(ours) == inspect.signature(original)
        assert inspect.iscoroutinefunction(ours) is inspect.iscoroutinefunction(original)
        assert (ours.__name__, ours.__qualname__, ours.__doc__) == (
            original.__name__,
            original.__qualname__,
            original.__doc__,
        )
        orobserve.uninstrument()
        assert owner.__dict__[point.method] is original


@every_other_side
def test_who_has_patched_before_us_keeps_working(
    side: Side, sim: Simulator, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other instrumentations look at the instance that their wrapper is bound to."""
    seen: list[Any] = []

    def outer(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        seen.append(instance)
        return wrapped(*args, **kwargs)

    for point in POINTS:
        owner = getattr(sys.modules[point.module], point.owner)
        monkeypatch.setattr(owner, point.method, wrapt.FunctionWrapper(owner.__dict__[point.method], outer))
    telemetry.instrument(hosts=["127.0.0.1"])

    async def visit() -> None:
        async with side.client() as client:
            await client.post(f"{sim.url}/chat/completions")

    side.run(visit)
    orobserve.uninstrument()
    assert seen
    assert None not in seen
    assert telemetry.span


def test_every_library_is_in_the_table() -> None:
    assert {point.module.partition(".")[0] for point in POINTS} == {"requests", "urllib3", "aiohttp", "http"}


def test_another_version_is_told_and_left_alone(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone = _patches.Point("http.client", "HTTPConnection", "fetch", "http_client", "replace_request")
    monkeypatch.setattr(_patches, "POINTS", (gone,))
    monkeypatch.setattr(_patches, "unfit", set())
    telemetry.instrument()
    telemetry.instrument()
    assert caplog.text.count("it has no http.client.HTTPConnection.fetch") == 1
    assert _patches.hooks() == {gone.name: False}


@every_other_side
def test_other_traffic_is_not_touched(side: Side, sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument()  # the simulator's host is not OpenRouter's

    async def visit() -> Any:
        async with side.client() as client:
            response = await client.open(f"{sim.url}/chat/completions")
            inner = getattr(response, "raw", getattr(response, "content", response))
            await client.read(response)
            return type(inner) is inner.__class__

    assert side.run(visit)
    assert not telemetry.spans


@every_other_side
def test_the_metadata_header_is_added_on_demand(side: Side, sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=["127.0.0.1"], router_metadata=True)

    async def visit() -> None:
        async with side.client() as client:
            await client.post(f"{sim.url}/chat/completions")

    side.run(visit)
    assert sim.calls[0].header("x-openrouter-metadata") == "enabled"
    assert sim.calls[0].header("authorization") == HEADERS["Authorization"]
    assert telemetry.span


@every_other_side
def test_what_was_asked_is_told(side: Side, sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=["127.0.0.1"], content="span_only")

    async def visit() -> None:
        async with side.client() as client:
            await client.post(f"{sim.url}/chat/completions")

    side.run(visit)
    assert "hello there" in telemetry.span.attributes["gen_ai.input.messages"]
    assert telemetry.span.attributes["gen_ai.request.model"] == QUESTION["model"]


def test_what_the_caller_changes_afterwards_is_not_told(sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=["127.0.0.1"], content="span_only")
    body = json.loads(json.dumps(ask(stream=True)))

    async def visit() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{sim.url}/chat/completions", json=body, headers=HEADERS) as response,
        ):
            body["messages"][0]["content"] = "something else"
            await response.read()

    asyncio.run(visit())
    assert "hello there" in telemetry.span.attributes["gen_ai.input.messages"]


def test_a_loop_that_was_left_may_go_on(sim: Simulator, telemetry: Telemetry) -> None:
    """Where no chunks come, requests lets its callers begin to iterate again."""
    body = json.dumps({"choices": [], "model": "m", "usage": {"prompt_tokens": 1, "cost": 0.5}})
    telemetry.instrument(hosts=["127.0.0.1"])

    def send(self: Any, request: Any, **_: Any) -> Any:
        raw = urllib3.HTTPResponse(io.BytesIO(body.encode()), status=200, preload_content=False)
        response = requests.Response()
        response.status_code, response.raw, response.request = 200, raw, request
        return response

    adapter = type("Own", (requests.adapters.BaseAdapter,), {"send": send, "close": lambda _: None})()
    session = requests.Session()
    session.mount("https://", adapter)
    response = session.post(URL, json=QUESTION, stream=True)
    first = next(response.iter_content(5))
    assert not telemetry.spans
    assert first + b"".join(response.iter_content(5)) == body.encode()
    assert telemetry.span.attributes["openrouter.cost.total"] == 0.5


@pytest.mark.parametrize("streamed", [True, False])
def test_an_adapter_may_have_nothing_to_read(streamed: bool, telemetry: Telemetry) -> None:
    def send(self: Any, request: Any, **_: Any) -> Any:
        response = requests.Response()
        response.status_code, response.request = 204, request
        return response

    telemetry.instrument()
    session = requests.Session()
    session.mount("https://", type("Own", (requests.adapters.BaseAdapter,), {"send": send, "close": lambda _: None})())
    response = session.post(URL, json=QUESTION, stream=streamed)
    assert response.raw is None
    assert not response.content
    assert telemetry.span


def test_a_hook_may_read_a_stream(sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=["127.0.0.1"])
    hooks = {"response": lambda response, **_: response.content and None}
    url = f"{sim.url}/chat/completions"
    response = requests.post(url, json=ask(stream=True), headers=HEADERS, stream=True, hooks=hooks, timeout=5)
    assert b"[DONE]" in response.content
    assert telemetry.span.attributes["openrouter.stream.outcome"] == "completed"


def test_a_kept_connection_gathers_nothing(sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=["127.0.0.1"])
    connection = http.client.HTTPConnection(sim.root.partition("://")[2])
    before = len(weakref.finalize._registry)
    for _ in range(3):
        connection.request("POST", "/api/v1/chat/completions", json.dumps(QUESTION), HEADERS)
        connection.getresponse().read()
    connection.close()
    assert len(telemetry.spans) == 3
    assert len(weakref.finalize._registry) == before


def test_a_cancelled_read_may_be_tried_again(sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=["127.0.0.1"])

    async def visit() -> list[bytes]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{sim.url}/chat/completions", json=ask(stream=True), headers=HEADERS) as response,
        ):
            reading = asyncio.ensure_future(response.content.readline())
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            return [line async for line in response.content]

    assert b"data: [DONE]\n" in asyncio.run(visit())
    assert telemetry.span.attributes["openrouter.stream.outcome"] == "completed"


KNOWS_CHECKS = tuple(map(int, aiohttp.__version__.split(".")[:2])) >= (3, 9)


@pytest.mark.parametrize("way", ["session", "call", *["function"] * KNOWS_CHECKS])
def test_a_response_behind_raise_for_status(way: str, sim: Simulator, telemetry: Telemetry) -> None:
    sim.next(SCENARIOS["rate_limited"])
    telemetry.instrument(hosts=["127.0.0.1"])

    async def look_at(response: Any) -> None:
        assert b"error" in await response.read()

    async def visit() -> None:
        check = look_at if way == "function" else True
        given = {"raise_for_status": check}
        async with aiohttp.ClientSession(**given if way == "session" else {}) as session:
            options = {} if way == "session" else given
            await session.post(f"{sim.url}/chat/completions", json=QUESTION, headers=HEADERS, **options)

    if way == "function":
        asyncio.run(visit())
    else:
        with pytest.raises(aiohttp.ClientResponseError):
            asyncio.run(visit())
    told = "rate_limit_exceeded" if way == "function" else "429"
    assert telemetry.span.attributes["error.type"] == told
    assert telemetry.span.attributes["openrouter.generation.id"]


def test_streamed_request_bodies_are_left_alone(sim: Simulator, telemetry: Telemetry) -> None:
    whole = json.dumps(QUESTION).encode()
    taken: list[bytes] = []

    def body() -> Iterator[bytes]:
        for piece in (whole[:10], whole[10:]):
            taken.append(piece)
            yield piece

    telemetry.instrument(hosts=["127.0.0.1"])
    requests.post(f"{sim.url}/chat/completions", data=body(), headers=HEADERS, timeout=5)
    assert taken == [whole[:10], whole[10:]]
    assert sim.calls[0].body == whole
    assert telemetry.span.attributes["gen_ai.response.model"]


def test_forms_are_read_where_they_are_at_hand(sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=["127.0.0.1"])
    url, bearer = f"{sim.url}/audio/transcriptions", {"Authorization": HEADERS["Authorization"]}
    upload = ("speech.wav", b"RIFF" + bytes(100), "audio/wav")
    requests.post(
        url, files={"file": upload}, data={"model": "openai/whisper-1"}, headers=bearer, timeout=5
    ).raise_for_status()
    with urllib3.PoolManager() as manager:
        manager.request("POST", url, fields={"file": upload, "model": "openai/whisper-1"}, headers=bearer)

    async def visit() -> None:
        form = aiohttp.FormData({"model": "openai/whisper-1"})
        form.add_field("file", upload[1], filename=upload[0], content_type=upload[2])
        async with aiohttp.ClientSession() as session, session.post(url, data=form, headers=bearer) as response:
            await response.read()

    asyncio.run(visit())
    assert [span.attributes["gen_ai.request.model"] for span in telemetry.spans] == ["openai/whisper-1"] * 3
    assert [span.status.is_ok for span in telemetry.spans] == [True] * 3
