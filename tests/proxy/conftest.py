"""A proxy in this process, on its own thread, in front of whatever a test puts behind it."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.proxy import settings
from orobserve.proxy.access_log import AccessLog
from orobserve.proxy.serve import Proxy
from tests.proxy.origin import Answered, Origin, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Running:
    """A proxy that runs."""

    proxy: Proxy
    thread: threading.Thread
    log: io.StringIO

    @property
    def port(self) -> int:
        return self.proxy.address[1]

    @property
    def url(self) -> str:
        return self.proxy.url

    def ask(self, raw: bytes, method: str = "POST") -> Answered:
        return ask(self.port, raw, method)

    def stop(self) -> None:
        self.proxy.server.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Return what starts a proxy: upstream URL, settings of the core, and its own settings by name."""
    running: list[Running] = []

    def run(upstream: str, observing: dict[str, Any] | None = None, *, json: bool = False, **given: Any) -> Running:
        found = settings.load({"listen": "127.0.0.1:0", "upstream": upstream, **given})
        log = io.StringIO()
        proxy = Proxy(found, AccessLog(as_json=json, stream=log), **(observing or {}))
        thread = threading.Thread(target=proxy.run)
        thread.start()
        running.append(Running(proxy, thread, log))
        return running[-1]

    yield run
    for each in running:
        each.stop()


@pytest.fixture
def origin() -> Iterator[Origin]:
    """Run an upstream that plays what it is given."""
    with Origin() as found:
        yield found
