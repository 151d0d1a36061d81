"""The simulator as users hold it: start, stop, script, and inspect."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from orobserve.testing.presets import SCENARIOS
from orobserve.testing.server import LoopbackServer
from orobserve.testing.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from types import TracebackType

    from typing_extensions import Self

    from orobserve.testing.account import Account
    from orobserve.testing.calls import Call
    from orobserve.testing.ledger import Ledger
    from orobserve.testing.scenarios import Scenario

_SHUTDOWN_POLL_SECONDS = 0.01


class Simulator:
    """A loopback OpenRouter on a free port, served by background threads.

    Use it as a context manager, or call `start` and `stop`. ``prefix`` puts a path before ``/api``, as a gateway does.
    The same ``seed`` and order of calls give the same generation ids. ``clock`` and ``sleep`` make time injectable.
    """

    def __init__(
        self,
        *,
        prefix: str = "",
        seed: int = 0,
        port: int = 0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare; nothing listens before `start`."""
        self._prefix = prefix.rstrip("/")
        self._port = port
        self._sleep = sleep
        self._clock = clock
        self._service = Service(prefix=self._prefix, seed=seed, clock=clock, presets=SCENARIOS)
        self._server: LoopbackServer | None = None
        self._thread: threading.Thread | None = None
        self.calls: list[Call] = []

    def start(self) -> Self:
        """Listen. Starting twice is harmless."""
        if self._server is None:
            server = LoopbackServer(
                ("127.0.0.1", self._port), self._service.reply, clock=self._clock, sleep=self._sleep
            )
            server.calls = self.calls
            self._server, self._port = server, server.server_port
            self._service.base_url = self.url
            self._thread = threading.Thread(
                target=server.serve_forever, args=(_SHUTDOWN_POLL_SECONDS,), name="openrouter-simulator", daemon=True
            )
            self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and close every connection; the calls and the bill stay readable."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._server = self._thread = None
        server.shutdown()
        server.hang_up()
        server.server_close()
        thread.join()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def root(self) -> str:
        """The origin, with the prefix if there is one: ``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self._port}{self._prefix}"

    @property
    def url(self) -> str:
        """The API base URL: ``http://127.0.0.1:PORT/api/v1``."""
        return f"{self.root}/api/v1"

    def next(self, *scenarios: Scenario) -> None:
        """Queue scenarios for the next inference calls, first in first out; they win over header and default."""
        self._service.inference.next_scenarios.extend(scenarios)

    @property
    def default(self) -> Scenario:
        """The scenario of calls that nothing else decides."""
        return self._service.inference.default

    @default.setter
    def default(self, scenario: Scenario) -> None:
        self._service.inference.default = scenario

    @property
    def account(self) -> Account:
        """The limits and credits that GET /key and GET /credits tell."""
        return self._service.account

    @property
    def ledger(self) -> Ledger:
        """Every generation with its bill."""
        return self._service.ledger

    @property
    def inference_calls(self) -> list[Call]:
        """The calls that had a generation."""
        return [call for call in self.calls if call.generation_id]

    @property
    def bill(self) -> Decimal:
        """The exact sum of what was billed: charged by OpenRouter, and by providers for BYOK calls."""
        return self.ledger.total

    def bill_for(self, generation_id: str) -> Decimal:
        """Tell what one generation was billed in all.

        Raises:
            KeyError: there is no such generation.

        """
        entry = self.ledger.get(generation_id)
        if entry is None:
            raise KeyError(generation_id)
        return entry.charge.total
