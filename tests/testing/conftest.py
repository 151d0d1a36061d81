"""A plain HTTP client for the simulator."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEY = "sk-or-v1-test"


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One response, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The stream as (event name, payload), comments and the terminator left out."""
        found = []
        for block in self.body.decode().split("\n\n"):
            lines = [line.partition(": ") for line in block.split("\n") if not line.startswith(":")]
            fields = {name: value for name, _, value in lines}
            if fields.get("data", "[DONE]") != "[DONE]":
                found.append((fields.get("event", ""), json.loads(fields["data"])))
        return found


@dataclass
class Client:
    """A keep-alive connection to a simulator."""

    simulator: Simulator
    key: str = KEY
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        """Prepare the connection; it opens with the first call."""
        host = self.simulator.root.removeprefix("http://").partition("/")[0]
        self.connection = http.client.HTTPConnection(host, timeout=10)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answered:
        """Send a request below ``/api/v1``, or to any path that starts with ``/api``."""
        sent = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        self.connection.request(method, path if path.startswith("/api") else f"/api/v1{path}", content, sent)
        response = self.connection.getresponse()
        return Answered(
            status=response.status,
            headers={name.lower(): value for name, value in response.getheaders()},
            body=response.read(),
        )

    def chat(self, scenario: str = "default", **fields: Any) -> Answered:
        """Make a chat call."""
        body = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hello there"}], **fields}
        return self.call("POST", "/chat/completions", body, x_simulator_scenario=scenario)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """Run a simulator."""
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def client(sim: Simulator) -> Iterator[Client]:
    """Connect to the running simulator."""
    found = Client(sim)
    yield found
    found.connection.close()


@pytest.fixture(scope="session")
def make_client() -> type[Client]:
    """Give the client to tests that start their own simulator."""
    return Client
