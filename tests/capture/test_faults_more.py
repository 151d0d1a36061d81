"""A fault in any hook of ours leaves callers of requests, urllib3, http.client and aiohttp untouched."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.testing import SCENARIOS, Scenario, Simulator
from tests.capture.more_sides import CALLERS, other_side
from tests.capture.readings import look
from tests.capture.test_faults import fail, injected

if TYPE_CHECKING:
    from tests.capture.sides import Side
    from tests.conftest import Telemetry

pytestmark = [pytest.mark.swallows, pytest.mark.filterwarnings("ignore::ResourceWarning")]

COMMON = (
    "orobserve.capture._calls.content_of",
    "orobserve.capture._calls.text_headers_of",
    "orobserve.capture.observer.Observer.begin",
    "orobserve.capture.observer.Observer.route",
    "orobserve.capture.observer.otel_context.attach",
    "orobserve.wire.exchange.Exchange.response",
    "orobserve.wire.exchange.Exchange._generation",
    "orobserve.wire.stream.EventReader.feed",
    "orobserve.telemetry.spans.Recorder._finish",
)
EDGES = {
    "requests": (
        "orobserve.capture.requests.host_of",
        "orobserve.capture.requests.begin",
        "orobserve.capture.requests.observe_response",
        "orobserve.capture.requests.ResponseTap.__init__",
    ),
    "urllib3": (
        "orobserve.capture.urllib3.host_of",
        "orobserve.capture.urllib3.begin",
        "orobserve.capture.urllib3.observe_response",
        "orobserve.capture.urllib3.text_headers_of",
    ),
    "http.client": (
        "orobserve.capture.http_client.begin",
        "orobserve.capture.http_client.observe_response",
        "orobserve.capture.http_client.weakref.finalize",
        "orobserve.capture.http_client.ResponseTap._self_is_drained",
    ),
    "aiohttp": (
        "orobserve.capture.aiohttp.host_of",
        "orobserve.capture.aiohttp.begin",
        "orobserve.capture.aiohttp._body",
        "orobserve.capture.aiohttp.observe_response",
        "orobserve.capture.aiohttp.StreamTap.__init__",
    ),
}
PLACES = [(name, place) for name in CALLERS for place in (*COMMON, *EDGES[name])]
WAYS = {"requests": "iter_lines", "urllib3": "stream-16-decoded", "http.client": "read-16", "aiohttp": "iterate"}
KINDS = {
    "read": Scenario(),
    "lost": replace(SCENARIOS["truncated"], truncated_after=2),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "place"), PLACES, ids=lambda value: value.rpartition("capture.")[2])
def test_a_fault_is_ours_alone(
    name: str, place: str, kind: str, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    side: Side = other_side(name)

    async def visit() -> Any:
        with Simulator(clock=lambda: 1_787_400_000.0) as sim:
            sim.next(KINDS[kind])
            async with side.client() as client:
                return await look(client, f"{sim.url}/chat/completions", WAYS[name])

    without = side.run(visit)
    telemetry.instrument(hosts=["127.0.0.1"], content="span_and_event")
    with monkeypatch.context() as patch:
        patch.setattr(place, fail)
        assert side.run(visit) == without
        gc.collect()
    assert injected() or place.endswith("content_of"), "the fault was not met, or not counted"


def test_a_fault_in_a_refusal_is_ours_alone(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    import aiohttp

    side = other_side("aiohttp")
    telemetry.instrument(hosts=["127.0.0.1"])
    monkeypatch.setattr("orobserve.capture.aiohttp.text_headers_of", fail)

    async def visit() -> None:
        with Simulator() as sim:
            sim.next(SCENARIOS["rate_limited"])
            async with side.client(raise_for_status=True) as client:
                await client.post(f"{sim.url}/chat/completions")

    with pytest.raises(aiohttp.ClientResponseError):
        side.run(visit)
    assert injected()
    assert telemetry.span
