"""Connections to the one server that calls are forwarded to: opened when needed, kept while they are of use."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from orobserve.proxy import http1, http2
from orobserve.proxy.failures import UnreachableError, UpstreamTimeoutError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from orobserve.proxy.call import Call, Stream
    from orobserve.proxy.settings import ProxySettings

_KEEP_SECONDS = 15.0  # servers close idle connections; one that closes just now costs its next call
_PROBE_SECONDS = 60  # between TCP keep-alives: a silent stream must outlive what forgets idle connections


class Upstream:
    """The server that calls are forwarded to."""

    def __init__(self, settings: ProxySettings) -> None:
        """Prepare; nothing is opened before the first call."""
        self._settings = settings
        self._origin = settings.upstream
        self._tls: ssl.SSLContext | None = None
        self._kept: list[http1.Connection] = []
        self._shared: list[http2.Connection] = []
        self._opening: asyncio.Task[None] | None = None
        self._speaks_http2 = settings.http2 and settings.upstream.tls

    async def open(self, call: Call) -> Stream:
        """Send the head of a request and return what takes its body and gives the response.

        Raises:
            ProxyError: there is no connection to be had.
        """
        while self._speaks_http2:
            if found := self._find_shared():
                return found.open(call)
            if self._opening is None:
                self._opening = asyncio.create_task(self._open_shared())
                self._opening.add_done_callback(self._on_opened)
            await asyncio.shield(self._opening)  # whoever waits may find room on the one that is opened
        return (self._take() or await self._connect()).open(call)

    def _take(self) -> http1.Connection | None:
        oldest = asyncio.get_running_loop().time() - _KEEP_SECONDS
        while self._kept:
            found = self._kept.pop()
            if found.usable and found.kept_at >= oldest:
                return found
            found.close()
        return None

    def _keep(self, connection: http1.Connection) -> None:
        now = connection.kept_at = asyncio.get_running_loop().time()
        while self._kept and (self._kept[0].kept_at < now - _KEEP_SECONDS or not self._kept[0].usable):
            self._kept.pop(0).close()
        self._kept.append(connection)

    def _find_shared(self) -> http2.Connection | None:
        oldest = asyncio.get_running_loop().time() - _KEEP_SECONDS
        for connection in list(self._shared):
            if connection.idle and (connection.kept_at < oldest or not connection.usable):
                self._shared.remove(connection)
                connection.close()
        return next((connection for connection in self._shared if connection.usable), None)

    async def _connect(self) -> http1.Connection | http2.Connection:
        origin = self._origin
        limit = self._settings.connect_timeout
        choice = _Choice(self._keep, self._settings.idle_timeout)
        opening = asyncio.get_running_loop().create_connection(
            lambda: choice,
            origin.host,
            origin.port,
            ssl=self._context() if origin.tls else None,
            server_hostname=origin.host if origin.tls else None,
        )
        try:
            transport, _ = await asyncio.wait_for(opening, limit)
        except (TimeoutError, asyncio.TimeoutError) as error:
            raise UpstreamTimeoutError(f"no connection to {origin.authority} within {limit:g} s") from error
        except OSError as error:
            raise UnreachableError(f"no connection to {origin.authority}: {type(error).__name__}") from error
        _keep_alive(transport.get_extra_info("socket"))
        return choice.made

    async def _open_shared(self) -> None:
        made = await self._connect()
        if isinstance(made, http2.Connection):
            await asyncio.wait([made.ready], timeout=self._settings.connect_timeout)
            self._shared.append(made)
        else:
            self._speaks_http2 = False
            self._keep(made)

    def _on_opened(self, task: asyncio.Task[None]) -> None:
        self._opening = None
        if not task.cancelled():
            task.exception()  # those who wait for it have it

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            import httpx  # noqa: PLC0415 - knows where certificates are: its own, or SSL_CERT_FILE

            self._tls = httpx.create_ssl_context()
            self._tls.set_alpn_protocols(["h2", "http/1.1"] if self._settings.http2 else ["http/1.1"])
        return self._tls

    def close(self) -> None:
        """Close what is kept."""
        while self._kept:
            self._kept.pop().close()
        while self._shared:
            self._shared.pop().close()


class _Choice(asyncio.Protocol):
    """A connection that is being opened: what is spoken on it is known when TLS is."""

    made: http1.Connection | http2.Connection

    def __init__(self, keep: Callable[[http1.Connection], None], idle_timeout: float) -> None:
        self._keep = keep
        self._idle_timeout = idle_timeout

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            self.made = http2.Connection(self._idle_timeout)
        else:
            self.made = http1.Connection(self._keep, self._idle_timeout)
        cast("asyncio.Transport", transport).set_protocol(self.made)
        self.made.connection_made(transport)


def _keep_alive(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_SECONDS)
