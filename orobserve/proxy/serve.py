"""Starts the proxy, and ends it without losing a call."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import uvicorn

from orobserve import _runtime, config
from orobserve.errors import ConfigurationError
from orobserve.proxy.app import App
from orobserve.proxy.forward import Forwarder
from orobserve.proxy.gate import Gate
from orobserve.proxy.inbound import Inbound
from orobserve.proxy.upstream import Upstream
from orobserve.wire.route import DOMAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve.proxy.access_log import AccessLog
    from orobserve.proxy.settings import ProxySettings

_BACKLOG = 2048
_KEEP_ALIVE = 75  # seconds that an idle client connection is kept
_RECORDS = 3.0  # seconds that the end waits for OpenRouter's records of the last calls
_FLUSH = 5.0
_LAST_WORDS = 1.0  # seconds for calls that were cut off to say so


class _Server(uvicorn.Server):
    """uvicorn's, ended by signals as a service is: the first one drains, the second one ends at once, status 0."""

    def __init__(self, settings: uvicorn.Config, app: App, upstream: Upstream) -> None:
        super().__init__(settings)
        self._app = app
        self._upstream = upstream

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, action in before.items():
                signal.signal(number, action)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        tasks = list(self.server_state.tasks)  # those that were out of time
        for task in tasks if self.force_exit else ():
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_LAST_WORDS)
        for connection in list(self.server_state.connections):  # of clients that do not read what they were sent
            connection.transport.abort()
        self._upstream.close()
        await asyncio.sleep(0)  # in which what was closed is lost

    def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ANN401, ARG002 - as uvicorn has it
        self.stop()

    def stop(self) -> None:
        """Take no further calls, and end when those in flight have."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._app.draining = True


class Proxy:
    """The proxy, ready to run.

    Attributes:
        app: the ASGI application.
        address: where it listens.
    """

    def __init__(self, settings: ProxySettings, log: AccessLog | None = None, **observing: Any) -> None:  # noqa: ANN401
        """Listen; nothing is answered before `run`.

        Args:
            settings: the proxy's settings.
            log: where calls are logged, if anywhere.
            **observing: settings of `orobserve.instrument`.

        Raises:
            ConfigurationError: a setting cannot be used, or the address is taken.
        """
        observer = _runtime.observe(_with_upstream(settings, observing))
        self._settings = settings
        upstream = Upstream(settings)
        self.app = App(Forwarder(settings, upstream, observer, Gate(settings), log))
        self._socket = _listen(settings)
        self.address = self._socket.getsockname()[:2]
        inbound = type("Inbound", (Inbound,), {"settings": settings})
        self.server = _Server(self._config(inbound), self.app, upstream)

    def _config(self, inbound: type[Inbound]) -> uvicorn.Config:
        settings = self._settings
        return uvicorn.Config(
            self.app,
            http=inbound,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=settings.drain,  # type: ignore[arg-type]  # any number of seconds does
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
        )

    @property
    def url(self) -> str:
        """Where clients find it."""
        host, port = self.address
        shown = f"[{host}]" if ":" in host else host
        return f"http{'s' if self._settings.tls_cert else ''}://{shown}:{port}"

    def run(self) -> None:
        """Serve until a signal comes, then let the calls in flight end, and deliver what was observed."""
        _runtime.resume()
        try:
            self.server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            _runtime.flush(_RECORDS, records=True)
            _runtime.flush(_FLUSH)


def _with_upstream(settings: ProxySettings, observing: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the core, to which the upstream is one of OpenRouter's hosts."""
    origin = settings.upstream
    if origin.host == DOMAIN or origin.host.endswith("." + DOMAIN):
        return observing
    hosts = config.load(observing).hosts
    return {**observing, "hosts": (*hosts, f"{'https' if origin.tls else 'http'}://{origin.authority}{origin.prefix}")}


def _listen(settings: ProxySettings) -> socket.socket:
    address = settings.listen
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            "listen", str(address), allowed=f"an address that is free ({error.strerror})", fix="choose another port"
        ) from None


def announce(proxy: Proxy, settings: ProxySettings) -> None:
    """Say on stderr where the proxy is and how to use it."""
    if settings.json:
        told = {"event": "listening", "url": proxy.url, "upstream": str(settings.upstream)}
        sys.stderr.write(json.dumps(told) + "\n")
        return
    sys.stderr.write(
        f"orobserve proxy on {proxy.url}, in front of {settings.upstream}\n"
        f"  OPENAI_BASE_URL={proxy.url}/api/v1\n"
        f"  ANTHROPIC_BASE_URL={proxy.url}/api\n"
    )
