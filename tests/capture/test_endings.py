"""However a call ends, its span ends once, at the right moment and with the right outcome."""

from __future__ import annotations

import gc
import socket
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from opentelemetry.trace import StatusCode

from orobserve.generation import Outcome
from orobserve.testing import SCENARIOS, Scenario
from tests.capture.more_sides import OTHERS
from tests.capture.sides import EVERY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from orobserve.testing import Simulator
    from tests.capture.sides import Caller, Side
    from tests.conftest import Telemetry

# Left loops leave async generators to the garbage collector, with or without us.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")


class CallerError(Exception):
    """What the caller's own code raises."""


@dataclass
class Scene:
    """What an ending needs to play its part."""

    client: Caller
    url: str
    telemetry: Telemetry
    kept: Any = None

    async def open(self) -> Any:
        return await self.client.open(self.url)

    def expect_ended(self, count: int = 1) -> None:
        assert len(self.telemetry.spans) == count


async def read_all(scene: Scene) -> None:
    response = await scene.open()
    async for _ in scene.client.lines(response):
        pass
    scene.expect_ended()


async def read_at_once(scene: Scene) -> None:
    await scene.client.post(scene.url)


async def until_done(scene: Scene) -> Any:
    response = await scene.open()
    scene.kept = scene.client.lines(response)  # or else leaving the loop would close the response
    async for line in scene.kept:
        if line == "data: [DONE]":
            break
    scene.expect_ended()  # at the terminal event, before anybody closes anything
    assert scene.client.is_open(response)
    return response


async def until_done_and_close(scene: Scene) -> None:
    await scene.client.close(await until_done(scene))


async def retry(scene: Scene) -> None:
    refused = await scene.open()
    assert scene.client.status(refused) == 429
    await scene.client.close(refused)
    scene.expect_ended()
    answered = await scene.open()
    await scene.client.read(answered)


async def leave_the_loop(scene: Scene) -> None:
    response = await scene.open()
    async for line in scene.client.lines(response):
        if line.startswith("data: {"):
            break
    await scene.client.close(response)
    scene.expect_ended()


async def read_and_raise(scene: Scene, error: BaseException) -> None:
    response = await scene.open()
    try:
        async for _ in scene.client.lines(response):
            raise error
    finally:
        await scene.client.close(response)


async def raise_in_the_loop(scene: Scene) -> None:
    with pytest.raises(CallerError):
        await read_and_raise(scene, CallerError())
    scene.expect_ended()


async def cancel(scene: Scene) -> None:
    """Cancel the reading task; the synchronous counterpart is Ctrl-C."""
    if not scene.client.side.is_async:
        with pytest.raises(KeyboardInterrupt):
            await read_and_raise(scene, KeyboardInterrupt())
        scene.expect_ended()
        return
    reading = anyio.Event()

    async def read() -> None:
        response = await scene.open()
        try:
            async for line in scene.client.lines(response):
                if line.startswith("data: {"):
                    reading.set()
        finally:
            scene.client.abandon(response)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await reading.wait()
        tasks.cancel_scope.cancel()
    scene.expect_ended()


async def forget_unread(scene: Scene) -> None:
    response = await scene.open()
    scene.expect_ended(0)
    await scene.client.arrive(response)
    del response
    gc.collect()
    scene.expect_ended()


async def close_unread(scene: Scene) -> None:
    await scene.client.close(await scene.open())
    scene.expect_ended()


async def fail_to_connect(scene: Scene) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/api/v1/chat/completions"
    with pytest.raises(scene.client.side.raised("connect")):
        await scene.client.post(nobody)


async def lose_before(scene: Scene) -> None:
    with pytest.raises(scene.client.side.raised("lost")):
        await scene.open()


async def lose_during(scene: Scene) -> None:
    response = await scene.open()
    with pytest.raises(scene.client.side.raised("lost")):
        await scene.client.read(response)


async def lose_tail(scene: Scene) -> None:
    response = await scene.open()
    with pytest.raises(scene.client.side.raised("torn")):
        await scene.client.read(response)


async def time_out(scene: Scene) -> None:
    scene.client.limit(0.1)
    with pytest.raises(scene.client.side.raised("timeout")):
        await scene.client.read(await scene.open())


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What happens and what must be said of it; `failure` is the kind of exception, where `error` depends on it."""

    play: Callable[[Scene], Awaitable[Any]]
    scenario: Scenario = SCENARIOS["default"]
    outcome: Outcome = Outcome.COMPLETE
    shown: str | None = "completed"  # openrouter.stream.outcome
    error: str | None = None
    failure: str | None = None
    finish: tuple[str, ...] | None = ("stop",)
    is_exception: bool = False
    spans: int = 1
    usage: bool = True


_CUT = {"outcome": Outcome.CANCELLED, "shown": "cancelled", "finish": ("error",), "usage": False}
_LOST = {
    "outcome": Outcome.FAILED,
    "failure": "lost",
    "is_exception": True,
    "usage": False,
}
_LONG = Scenario(chunks=8, text="one two three four five six seven eight")
_HELD = replace(_LONG, hold_after=3)

ENDINGS = {
    "read to the end": Ending(play=read_all),
    "read at once": Ending(play=read_at_once, shown=None),
    "stop at [DONE] and close": Ending(play=until_done_and_close),
    "stop at [DONE], never close": Ending(play=until_done),
    "retry, closed unread": Ending(
        play=retry,
        scenario=SCENARIOS["rate_limited"],
        outcome=Outcome.FAILED,
        shown=None,
        error="429",
        finish=None,
        spans=2,
        usage=False,
    ),
    "error read at once": Ending(
        play=read_at_once,
        scenario=SCENARIOS["rate_limited"],
        outcome=Outcome.FAILED,
        shown=None,
        error="rate_limit_exceeded",
        finish=None,
        usage=False,
    ),
    "break": Ending(play=leave_the_loop, scenario=_LONG, **_CUT),
    "exception in the caller": Ending(play=raise_in_the_loop, scenario=_LONG, **_CUT),
    "task cancelled": Ending(play=cancel, scenario=_HELD, **_CUT),
    "never read, collected": Ending(
        play=forget_unread, outcome=Outcome.ABANDONED, shown="cancelled", finish=("error",), usage=False
    ),
    "close unread": Ending(play=close_unread, **_CUT),
    "connection error": Ending(play=fail_to_connect, **_LOST | {"failure": "connect"}, shown=None, finish=None),
    "connection lost before": Ending(
        play=lose_before, scenario=Scenario(reset_after=0), **_LOST, shown=None, finish=None
    ),
    "connection lost during": Ending(
        play=lose_during, scenario=replace(_LONG, reset_after=3), **_LOST, shown="error", finish=None
    ),
    "connection torn during": Ending(
        play=lose_tail,
        scenario=replace(_LONG, truncated_after=3),
        **_LOST | {"failure": "torn"},
        shown="error",
        finish=None,
    ),
    "timeout": Ending(play=time_out, scenario=_HELD, **_LOST | {"failure": "timeout"}, shown="error", finish=None),
    "server truncation": Ending(
        play=read_all,
        scenario=replace(_LONG, truncated_after=3, truncated_clean=True),
        outcome=Outcome.TRUNCATED,
        shown="truncated",
        error="stream_truncated",
        finish=("error",),
        usage=False,
    ),
    "error in the stream": Ending(
        play=read_all,
        scenario=SCENARIOS["midstream_error"],
        outcome=Outcome.FAILED,
        shown="error",
        error="provider_unavailable",
        finish=("error",),
        usage=False,
    ),
    "gzip": Ending(play=read_all, scenario=SCENARIOS["gzip"]),
    "gzip, stop at [DONE]": Ending(play=until_done_and_close, scenario=SCENARIOS["gzip"]),
    "gzip at once": Ending(play=read_at_once, scenario=SCENARIOS["gzip"], shown=None),
}


@pytest.mark.parametrize("side", [*EVERY, *OTHERS])
@pytest.mark.parametrize("name", ENDINGS)
def test_every_ending_ends_its_span_once(
    side: Side, name: str, sim: Simulator, telemetry: Telemetry, records: Callable[[], list[Any]]
) -> None:
    ending = ENDINGS[name]
    sim.next(ending.scenario)
    telemetry.instrument(hosts=["127.0.0.1"])

    async def scene() -> None:
        async with side.client() as client:
            await ending.play(Scene(client, f"{sim.url}/chat/completions", telemetry))
            assert telemetry.in_flight == 0

    side.run(scene)

    assert len(telemetry.spans) == ending.spans
    assert len(records()) == ending.spans
    assert telemetry.in_flight == 0
    span, record = telemetry.spans[0], records()[0]
    facts = dict(span.attributes or {})
    assert record.outcome is ending.outcome
    assert facts.get("openrouter.stream.outcome") == ending.shown
    assert facts.get("gen_ai.response.finish_reasons") == ending.finish
    assert span.status.status_code is (StatusCode.ERROR if ending.error or ending.failure else StatusCode.UNSET)
    if ending.failure:
        assert facts["error.type"] in side.told(ending.failure)
    else:
        assert facts.get("error.type") == ending.error
    assert [event.name for event in span.events] == ["exception"] * ending.is_exception
    assert ("gen_ai.usage.output_tokens" in facts) is ending.usage
    assert span.end_time == record.timing.ended_at
    assert span.start_time == record.timing.started_at
