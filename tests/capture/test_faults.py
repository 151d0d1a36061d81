"""A fault in any hook of ours leaves the caller untouched, is counted, and is logged once without what it says."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import SpanProcessor

import orobserve
from orobserve import _guard, _runtime
from tests.capture.sides import both_colours, side_of
from tests.capture.views import look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.capture.sides import Caller, Side
    from tests.conftest import Telemetry

pytestmark = pytest.mark.swallows
SECRET = "sk-or-v1-feedfacefeedface"


class InjectedError(Exception):
    """Ours, with something in its text that must not be logged."""


def fail(*_: Any, **__: Any) -> Any:
    raise InjectedError(f"could not do it with {SECRET}")


# Where faults are injected, and the calls that get there.
CALLS = ("read", "streamed", "left", "lost", "refused")
STREAMS = ("streamed", "left")
PLACES: dict[str, tuple[str, ...]] = {
    "orobserve.capture.httpx.begin": CALLS,
    "orobserve.capture.httpx.headers_of": CALLS,
    "orobserve.capture.httpx._body": CALLS,
    "orobserve.capture.httpx.observe_response": ("read", "streamed", "left", "refused"),
    "orobserve.capture.observer.Observer.route": CALLS,
    "orobserve.capture.observer.Observer.begin": CALLS,
    "orobserve.capture.observer.suppressed": CALLS,
    "orobserve.capture.observer.ambient.current": CALLS,
    "orobserve.capture.observer.otel_context.attach": CALLS,
    "orobserve.wire.exchange.Exchange.request": CALLS,
    "orobserve.wire.exchange.Exchange.response": ("read", "streamed", "left", "refused"),
    "orobserve.wire.exchange.Exchange.end": ("read", "left", "lost", "refused"),
    "orobserve.wire.exchange.Exchange._generation": CALLS,
    "orobserve.wire.stream.EventReader.feed": STREAMS,
    "orobserve.telemetry.spans.Recorder.begin": CALLS,
    "orobserve.telemetry.spans.Recorder._start": CALLS,
    "orobserve.telemetry.spans.Recorder._finish": CALLS,
    "orobserve.telemetry.spans.Recorder._end": CALLS,
    "orobserve.telemetry.spans.Recorder._close": CALLS,
    "orobserve.telemetry.waiting.Waiting.end": CALLS,
    "orobserve.telemetry.attributes.start_attributes": CALLS,
    "orobserve.telemetry.attributes.encode": CALLS,
    "orobserve.telemetry.content.encode": CALLS,
    "orobserve.telemetry.events.Events.emit": CALLS,
    "orobserve.telemetry.metrics.Metrics.begin": CALLS,
    "orobserve.telemetry.metrics.Metrics.record": CALLS,
    "orobserve.telemetry.console.line": CALLS,
    "opentelemetry.sdk.trace.TracerProvider.get_tracer": CALLS,
    "opentelemetry.sdk.trace.Tracer.start_span": CALLS,
    "opentelemetry.sdk.trace._Span.set_attributes": CALLS,
    "opentelemetry.sdk.trace._Span.end": CALLS,
    "opentelemetry.sdk.metrics.MeterProvider.get_meter": CALLS,
}


def chunks(kind: str) -> Iterator[bytes]:
    for number in range(3):
        delta = {"choices": [{"index": 0, "delta": {"content": f"word{number}"}}]}
        yield f"data: {json.dumps(delta)}\n\n".encode()
    if kind == "lost":
        raise ConnectionResetError
    yield b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"cost":0.1}}\n\n'
    yield b"data: [DONE]\n\n"


async def perform(client: Caller, kind: str) -> Any:
    """Make one kind of call and return all that its caller sees."""
    if kind in {"read", "refused"}:
        response = await client.post()
        return response.status_code, response.content, response.is_closed, response.elapsed.total_seconds() > 0
    if kind == "left":
        response, seen = await client.open(), []
        async for line in client.lines(response):
            seen.append(line)
            if line:
                break
        await client.close(response)
        return seen, response.is_closed
    return await look(client, "https://openrouter.ai/api/v1/chat/completions", "raw")


def visit(side: Side, kind: str) -> Any:
    def handler(request: Any) -> Any:
        if kind == "refused":
            return side.lib.Response(429, stream=side.body([b'{"error":{"code":429,"message":"slow down"}}']))
        if kind == "read":
            return side.lib.Response(200, stream=side.body([b'{"id":"gen-1","choices":[]}']))
        headers = {"content-type": "text/event-stream"}
        return side.lib.Response(200, headers=headers, stream=side.body(chunks(kind)), request=request)

    async def call() -> Any:
        async with side.client(side.mock(handler)) as client:
            try:
                return await perform(client, kind)
            except ConnectionResetError as error:
                return type(error)

    return side.run(call)


def injected() -> dict[str, int]:
    return {cause: count for cause, count in _guard.swallowed.items() if "InjectedError" in cause}


@both_colours
@pytest.mark.parametrize(("place", "kind"), [(place, kind) for place, kinds in PLACES.items() for kind in kinds])
def test_a_fault_is_ours_alone(
    side: Side,
    place: str,
    kind: str,
    telemetry: Telemetry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    without = visit(side, kind)
    telemetry.instrument(content="span_and_event", console=True, emit_event=True)
    with monkeypatch.context() as patch, caplog.at_level(logging.DEBUG, "orobserve"):
        patch.setattr(place, fail)
        assert visit(side, kind) == without
        assert visit(side, kind) == without
        assert _runtime._handouts.drain(5.0)
        assert _runtime._worker.flush(5.0)

    assert injected(), "the fault was not met, or not counted"
    logged = [record for record in caplog.records if record.name == "orobserve"]
    assert len(injected()) == len(logged), "once per cause"
    assert SECRET not in caplog.text
    assert "your call is not affected" in caplog.text
    assert SECRET not in capsys.readouterr().err


@both_colours
@pytest.mark.parametrize(
    "place",
    [
        "orobserve.telemetry.attributes.encode",
        "orobserve.telemetry.content.encode",
        "orobserve.telemetry.events.Events.emit",
        "orobserve.telemetry.metrics.Metrics.record",
        "opentelemetry.sdk.trace._Span.set_attributes",
    ],
)
def test_a_fault_at_the_end_does_not_keep_the_span_open(
    side: Side, place: str, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry.instrument(content="span_only")
    monkeypatch.setattr(place, fail)
    visit(side, "streamed")
    assert telemetry.span.name == "chat openai/gpt-4o"
    assert len(injected()) == 1


def test_a_failing_mask_means_no_content(telemetry: Telemetry) -> None:
    telemetry.instrument(content="span_only", mask=fail)
    visit(side_of("httpx", "sync"), "streamed")
    assert not [name for name in telemetry.span.attributes if "messages" in name]
    assert telemetry.span.attributes["gen_ai.usage.output_tokens"] == 2
    assert sum(injected().values()) == 1


def test_a_failing_callback_harms_no_other(telemetry: Telemetry, records: Callable[[], list[Any]]) -> None:
    orobserve.on_generation(fail)
    telemetry.instrument()
    visit(side_of("httpx", "sync"), "read")
    visit(side_of("httpx", "sync"), "read")
    assert len(records()) == 2
    assert list(injected().values()) == [2]


class FailingProcessor(SpanProcessor):
    """An application's own processor that fails."""

    on_start = fail
    on_end = fail


@both_colours
@pytest.mark.parametrize("kind", CALLS)
def test_a_failing_span_processor_of_the_application(side: Side, kind: str, telemetry: Telemetry) -> None:
    without = visit(side, kind)
    telemetry.tracer_provider.add_span_processor(FailingProcessor())
    telemetry.instrument()
    assert visit(side, kind) == without
    assert injected()


def test_exits_and_interrupts_are_not_swallowed(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    telemetry.instrument()
    monkeypatch.setattr("orobserve.capture.observer.Observer.route", interrupt)
    with pytest.raises(KeyboardInterrupt):
        visit(side_of("httpx", "sync"), "read")
