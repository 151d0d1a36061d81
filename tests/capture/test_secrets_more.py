"""Exceptions of requests, urllib3, http.client and aiohttp quote URLs; the keys in them go nowhere."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from orobserve.testing import SCENARIOS
from tests.capture.more_sides import KEY, every_other_side
from tests.capture.test_secrets import CANARY, ODD, exported, spellings

if TYPE_CHECKING:
    from orobserve.testing import Simulator
    from tests.capture.sides import Side
    from tests.conftest import Telemetry


@every_other_side
@pytest.mark.parametrize("secret", [CANARY, ODD])
def test_a_key_in_the_url_is_not_told(side: Side, secret: str, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=["127.0.0.1"], content="span_only")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def visit() -> None:
        async with side.client() as client:
            await client.post(f"http://127.0.0.1:{port}/api/v1/chat/completions?api_key={secret}")

    with pytest.raises(side.raised("connect")):
        side.run(visit)
    assert telemetry.span.attributes["error.type"] in side.told("connect")
    assert not [found for found in spellings(secret) if found in exported(telemetry)]


@every_other_side
def test_a_key_in_the_headers_is_not_told(side: Side, sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=["127.0.0.1"], content="span_only")
    sim.next(SCENARIOS["rate_limited"])

    async def visit() -> None:
        async with side.client() as client:
            await client.post(f"{sim.url}/chat/completions")

    side.run(visit)
    assert telemetry.span.attributes["error.type"] == "rate_limit_exceeded"
    assert KEY.encode() not in exported(telemetry)
