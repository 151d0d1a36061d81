"""With and without us, a caller sees and sends the same: bytes, chunks, types, attributes, exceptions."""

from __future__ import annotations

import inspect
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

import orobserve
from orobserve.testing import SCENARIOS, Framing, Scenario, Simulator
from tests.capture.sides import ALL_SIDES, COLOURS, QUESTION, URL, ask, both_colours, every_side, side_of
from tests.capture.views import joined, look

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.capture.sides import Side
    from tests.conftest import Telemetry

SEVENS = Scenario(framing=Framing(comments=2, write_size=7), text="Grüße, 世界! 👩‍🚀")
RESPONSES = {
    "plain": Scenario(),
    "cut anywhere": SEVENS,
    **{name: SCENARIOS[name] for name in ("gzip", "deflate", "br", "rate_limited", "html", "empty", "truncated_clean")},
    **{name: SCENARIOS[name] for name in ("truncated", "reset_midstream", "reset", "midstream_error", "malformed")},
}
WAYS = ("raw", "bytes", "text", "lines", "read", "fixed")


def answer(*parts: bytes) -> list[bytes]:
    """Return a stream of a whole answer in these pieces, terminal event last."""
    return [*parts, b"data: [DONE]\n\n"]


@pytest.mark.parametrize(
    ("side", "way"),
    [
        pytest.param(side_of(*pair), way, id=f"{'-'.join(pair)}-{way}")
        for pair in ALL_SIDES
        for way in WAYS
        if pair[1] != "trio" or way in {"raw", "read"}  # the rest is what httpx makes of the raw chunks
    ],
)
@pytest.mark.parametrize("name", RESPONSES)
def test_a_stream_looks_the_same(side: Side, name: str, way: str, telemetry: Telemetry) -> None:
    async def visit() -> tuple[list[Any], list[Any]]:
        with Simulator(clock=lambda: 1_787_400_000.0) as sim:  # no clock, no date, no id differs between two visits
            sim.next(RESPONSES[name])
            async with side.client() as client:
                seen = await look(client, f"{sim.url}/chat/completions", way)
            sent = [(c.method, c.path, [h for h in c.headers if h[0].lower() != "host"], c.body) for c in sim.calls]
            return seen, sent

    without = side.run(visit)
    telemetry.instrument(hosts=["127.0.0.1"])
    observed = side.run(visit)

    if way in {"raw", "bytes", "text"}:  # where one read ends and the next begins is the network's choice
        without, observed = joined(without, way), joined(observed, way)
    assert observed == without
    assert len(telemetry.spans) == 1


@every_side
def test_chunk_boundaries_are_the_transports(side: Side, telemetry: Telemetry) -> None:
    pieces = answer(b": OPENROUTER PROCESSING\n", b"\n", b"", b'data: {"cho', b'ices":[]}\r', b"\n\r\n")
    telemetry.instrument()

    async def visit() -> list[bytes]:
        handler = lambda _: side.lib.Response(200, headers=STREAM, stream=side.body(pieces))  # noqa: E731
        async with side.client(side.mock(handler)) as client:
            return [chunk async for chunk in client.iterate(await client.open(), "raw")]

    assert side.run(visit) == [piece for piece in pieces if piece]  # httpx itself leaves out empty ones
    assert len(telemetry.spans) == 1


STREAM = {"content-type": "text/event-stream"}


@every_side
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "read"])
@pytest.mark.parametrize("body", ["content", "stream"])
def test_mock_transports_are_observed(side: Side, body: str, streamed: bool, telemetry: Telemetry) -> None:
    content = json.dumps({"id": "gen-1", "model": "m", "choices": [], "usage": {"prompt_tokens": 3, "cost": 0.5}})
    telemetry.instrument()

    def handler(request: Any) -> Any:
        if body == "content":
            return side.lib.Response(200, content=content, request=request)
        return side.lib.Response(200, stream=side.body([content[:5].encode(), content[5:].encode()]))

    async def visit() -> bytes:
        async with side.client(side.mock(handler)) as client:
            if not streamed:
                return (await client.post()).content
            return await client.read(await client.open())

    assert side.run(visit) == content.encode()
    assert telemetry.span.attributes["openrouter.cost.total"] == 0.5


@every_side
def test_clients_made_before_are_observed(side: Side, sim: Simulator, telemetry: Telemetry) -> None:
    async def visit() -> None:
        async with side.client() as client:
            await client.post(f"{sim.url}/chat/completions")
            telemetry.instrument(hosts=["127.0.0.1"])
            await client.post(f"{sim.url}/chat/completions")
            orobserve.uninstrument()
            await client.post(f"{sim.url}/chat/completions")

    side.run(visit)
    assert telemetry.span.attributes["openrouter.generation.id"] == sim.inference_calls[1].generation_id


@both_colours
def test_uninstrument_restores_the_class(side: Side, telemetry: Telemetry) -> None:
    owner = side.client_class
    original, signature = owner.__dict__["send"], inspect.signature(owner.send)
    for _ in range(2):
        telemetry.instrument()
        telemetry.instrument()
        assert owner.__dict__["send"] is not original
        assert inspect.signature(owner.send) == signature
        assert inspect.iscoroutinefunction(owner.send) is side.is_async
        assert inspect.iscoroutinefunction(owner(verify=False).send) is side.is_async
        assert (owner.send.__name__, owner.send.__qualname__, owner.send.__doc__) == (
            original.__name__,
            original.__qualname__,
            original.__doc__,
        )
        orobserve.uninstrument()
        assert owner.__dict__["send"] is original
        orobserve.uninstrument()
        assert owner.__dict__["send"] is original


@both_colours
def test_instrumenting_twice_makes_one_span(side: Side, telemetry: Telemetry) -> None:
    telemetry.instrument()
    telemetry.instrument()

    async def visit() -> None:
        async with side.client(side.mock(lambda _: side.lib.Response(200, json={}))) as client:
            await client.post()

    side.run(visit)
    assert len(telemetry.spans) == 1


@both_colours
def test_who_patches_after_us_keeps_working(side: Side, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry.instrument()
    ours, seen = side.client_class.__dict__["send"], []

    def outer(client: Any, request: Any, **options: Any) -> Any:
        seen.append(request)
        return ours(client, request, **options)

    async def visit() -> None:
        async with side.client(side.mock(lambda _: side.lib.Response(200, json={}))) as client:
            await client.post()

    with monkeypatch.context() as patch:
        patch.setattr(side.client_class, "send", outer)
        orobserve.uninstrument()
        side.run(visit)
        assert (len(seen), len(telemetry.spans)) == (1, 0)
        telemetry.instrument()
        side.run(visit)
        assert (len(seen), len(telemetry.spans)) == (2, 1)


@both_colours
def test_redirects_are_one_call(side: Side, telemetry: Telemetry) -> None:
    telemetry.instrument()

    def handler(request: Any) -> Any:
        if request.url.path.endswith("/old/chat/completions"):
            return side.lib.Response(307, headers={"location": URL})
        return side.lib.Response(200, json={"id": "gen-1"}, headers={"x-generation-id": "gen-1"})

    async def visit() -> Any:
        async with side.client(side.mock(handler), follow_redirects=True) as client:
            return await client.post("https://openrouter.ai/api/v1/old/chat/completions")

    response = side.run(visit)
    assert [item.status_code for item in response.history] == [307]
    assert telemetry.span.attributes["openrouter.generation.id"] == "gen-1"


@both_colours
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "read"])
def test_the_callers_hooks_still_run(side: Side, streamed: bool, telemetry: Telemetry) -> None:
    telemetry.instrument()
    seen: list[Any] = []

    def on_request(request: Any) -> None:
        request.headers["x-session-id"] = "from-a-hook"
        seen.append(request)

    def on_response(response: Any) -> None:
        seen.append(response)
        if not side.is_async:
            response.read()

    async def on_response_async(response: Any) -> None:
        on_response(response)
        await response.aread()

    async def on_request_async(request: Any) -> None:
        on_request(request)

    hooks = [on_request_async, on_response_async] if side.is_async else [on_request, on_response]
    pieces = answer(b'data: {"id":"gen-1","choices":[]}\n\n')

    async def visit() -> None:
        handler = lambda _: side.lib.Response(200, headers=STREAM, stream=side.body(pieces))  # noqa: E731
        events = {"request": hooks[:1], "response": hooks[1:]}
        async with side.client(side.mock(handler), event_hooks=events) as client:
            await (client.open() if streamed else client.post(json=ask(stream=True)))

    side.run(visit)
    assert [type(item).__name__ for item in seen] == ["Request", "Response"]
    assert seen[1].content == b"".join(pieces)
    assert telemetry.span.attributes["gen_ai.response.id"] == "gen-1"


class CountedFile(io.BytesIO):
    """Notes who reads it."""

    reads = 0

    def read(self, *args: Any) -> bytes:
        self.reads += 1
        return super().read(*args)


@both_colours
def test_uploads_are_read_by_the_transport_only(side: Side, sim: Simulator, telemetry: Telemetry) -> None:
    async def visit() -> tuple[int, bytes]:
        upload = CountedFile(b"RIFF" + bytes(200_000))
        async with side.client() as client:
            await client.post(
                f"{sim.url}/audio/transcriptions",
                json=None,
                files={"file": ("speech.wav", upload, "audio/wav")},
                data={"model": "openai/whisper-1"},
                headers={"content-type": "multipart/form-data; boundary=fixed"},
            )
        return upload.reads, sim.calls[-1].body

    without = side.run(visit)
    telemetry.instrument(hosts=["127.0.0.1"])
    assert side.run(visit) == without
    assert telemetry.span.attributes["gen_ai.request.model"] == "openai/whisper-1"


@both_colours
def test_streamed_request_bodies_are_left_alone(side: Side, sim: Simulator, telemetry: Telemetry) -> None:
    whole = json.dumps(QUESTION).encode()
    pieces, taken = [whole[:10], whole[10:]], []

    def body() -> Iterator[bytes]:
        for piece in pieces:
            taken.append(piece)
            yield piece

    async def body_async() -> AsyncIterator[bytes]:
        for piece in body():
            yield piece

    telemetry.instrument(hosts=["127.0.0.1"])

    async def visit() -> None:
        async with side.client() as client:
            content = body_async() if side.is_async else body()
            await client.post(f"{sim.url}/chat/completions", json=None, content=content)

    side.run(visit)
    assert taken == pieces
    assert sim.calls[0].body == whole
    assert sim.calls[0].header("transfer-encoding") == "chunked"
    assert telemetry.span.attributes["gen_ai.response.model"]


@pytest.mark.parametrize("colour", COLOURS)
def test_exceptions_of_a_custom_transport_pass_as_they_are(colour: str, telemetry: Telemetry) -> None:
    side = side_of("httpx", colour)
    raised = RuntimeError("mine")

    def handler(_: Any) -> Any:
        raise raised

    telemetry.instrument()

    async def visit() -> None:
        async with side.client(side.mock(handler)) as client:
            await client.post()

    with pytest.raises(RuntimeError) as caught:
        side.run(visit)
    assert caught.value is raised
    assert telemetry.span.attributes["error.type"] == "builtins.RuntimeError"


@both_colours
def test_streams_need_be_neither_hashable_nor_different(side: Side, telemetry: Telemetry) -> None:
    """The caller may put a stream of their own in place, a dataclass for one."""
    telemetry.instrument()

    def replace_stream(response: Any) -> None:
        stream = side.body(answer(b'data: {"id":"gen-1","choices":[]}\n\n'))
        response.stream = type("Equal", (type(stream),), {"__eq__": lambda *_: True, "__hash__": None})()

    async def replace_stream_async(response: Any) -> None:
        replace_stream(response)

    async def visit() -> None:
        handler = lambda _: side.lib.Response(200, headers=STREAM, stream=side.body([]))  # noqa: E731
        hooks = {"response": [replace_stream_async if side.is_async else replace_stream]}
        async with side.client(side.mock(handler), event_hooks=hooks) as client:
            responses = [await client.open() for _ in range(2)]
            assert not telemetry.spans
            for response in responses:
                await client.read(response)

    side.run(visit)
    assert [span.attributes["openrouter.stream.outcome"] for span in telemetry.spans] == ["completed"] * 2


@both_colours
@pytest.mark.parametrize("url", ["https://example.com/api/v1/chat/completions", "https://openrouter.ai/api/v1/models"])
def test_other_traffic_is_not_touched(side: Side, url: str, telemetry: Telemetry) -> None:
    telemetry.instrument()
    streams: list[Any] = []

    def handler(_: Any) -> Any:
        streams.append(side.body([b"x"]))
        return side.lib.Response(200, stream=streams[0])

    async def visit(observe: Callable[[], None]) -> Any:
        observe()
        async with side.client(side.mock(handler)) as client:
            return type((await client.open(url)).stream)

    assert side.run(visit, lambda: None) is side.run(visit, orobserve.uninstrument)
    assert not telemetry.spans
