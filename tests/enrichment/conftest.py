"""A process whose look-ups go by a clock that the test moves, and a simulator that goes by the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from opentelemetry import _logs

import orobserve
from orobserve import _runtime
from orobserve.enrichment import Enricher
from orobserve.testing import Simulator
from tests.enrichment.clock import StandingClock, settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Telemetry

KEY = "sk-or-v1-0123456789abcdef"
QUESTION = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "What is up?"}]}


@dataclass
class Bench:
    """What a test of look-ups holds in its hands."""

    sim: Simulator
    clock: StandingClock
    enricher: Enricher
    telemetry: Telemetry
    client: httpx.Client

    def instrument(self, **settings: Any) -> None:
        """Observe calls to the simulator, look-ups on."""
        given = {"hosts": [self.sim.root], "enrichment": "always", "enrichment_rate": 1e18, **settings}
        self.telemetry.instrument(**given)

    def call(self, path: str = "/chat/completions", *, headers: dict[str, str] | None = None, **fields: Any) -> None:
        """Make a call and read its answer to the end."""
        self.client.post(self.sim.url + path, json={**QUESTION, **fields}, headers=headers).read()

    def abort(self, **fields: Any) -> None:
        """Leave a stream after its first line."""
        body = {**QUESTION, "stream": True, **fields}
        with self.client.stream("POST", self.sim.url + "/chat/completions", json=body) as response:
            next(response.iter_lines())

    def advance(self, seconds: float) -> None:
        """Let time pass, half a second at a time."""
        while seconds > 0:
            self.clock.advance(min(0.5, seconds), self.enricher)
            seconds -= 0.5

    def settle(self) -> None:
        """Wait until everything due was done."""
        settle(self.enricher)

    @property
    def lookups(self) -> list[str]:
        """The ids that were asked for, in order."""
        paths = [urlsplit(call.path) for call in self.sim.calls]
        return [path.query.removeprefix("id=") for path in paths if path.path.endswith("/generation")]


@pytest.fixture
def bench(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    clock = StandingClock()
    enricher = Enricher(clock)
    _logs.set_logger_provider(telemetry.logger_provider)
    monkeypatch.setattr(_runtime, "_enricher", enricher)
    with Simulator(clock=clock.time) as sim, httpx.Client(headers={"Authorization": f"Bearer {KEY}"}) as client:
        yield Bench(sim, clock, enricher, telemetry, client)
        orobserve.uninstrument()
        enricher._books.waiting.clear()
        enricher._books.due.clear()
        settle(enricher)
        if enricher._client._client is not None:
            enricher._client._client.close()
