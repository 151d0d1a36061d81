"""Connections to the one server that calls are forwarded to: opened when needed, kept while they are of use."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from orobserve.proxy.failures import UnreachableError, UpstreamTimeoutError
from orobserve.proxy.http1 import Connection

if TYPE_CHECKING:
    import ssl

    from orobserve.proxy.headers import Headers
    from orobserve.proxy.settings import ProxySettings

_KEEP_SECONDS = 15.0  # servers close idle connections; one that closes just now costs its next call
_PROBE_SECONDS = 60  # between TCP keep-alives: a silent stream must outlive what forgets idle connections


@dataclass(frozen=True, slots=True)
class Call:
    """The head of a request, as it goes on. `chunked`: its body has no length."""

    method: bytes
    target: bytes
    headers: Headers
    chunked: bool


class Stream(Protocol):
    """A call on a connection: takes the request's body and gives the response.

    Attributes:
        complete: whether nothing is to come any more after what `read` has returned.
    """

    complete: bool

    async def send(self, data: bytes) -> None:
        """Send a piece of the request's body."""

    def finish(self) -> None:
        """End the request's body."""

    async def head(self) -> tuple[int, Headers]:
        """Return the response's status and headers."""

    async def read(self) -> bytes:
        """Return what has come of the response's body; empty at its end."""

    def release(self) -> None:
        """End the call; one that is not complete is cancelled at once."""


class Upstream:
    """The server that calls are forwarded to."""

    def __init__(self, settings: ProxySettings) -> None:
        """Prepare; nothing is opened before the first call."""
        self._settings = settings
        self._origin = settings.upstream
        self._tls: ssl.SSLContext | None = None
        self._kept: list[Connection] = []

    async def open(self, call: Call) -> Stream:
        """Send the head of a request and return what takes its body and gives the response.

        Raises:
            ProxyError: there is no connection to be had.
        """
        connection = self._take() or await self._connect()
        connection.open(call)
        return connection

    def _take(self) -> Connection | None:
        oldest = asyncio.get_running_loop().time() - _KEEP_SECONDS
        while self._kept:
            found = self._kept.pop()
            if found.usable and found.kept_at >= oldest:
                return found
            found.close()
        return None

    def _keep(self, connection: Connection) -> None:
        now = connection.kept_at = asyncio.get_running_loop().time()
        while self._kept and (self._kept[0].kept_at < now - _KEEP_SECONDS or not self._kept[0].usable):
            self._kept.pop(0).close()
        self._kept.append(connection)

    async def _connect(self) -> Connection:
        origin = self._origin
        limit = self._settings.connect_timeout
        made = Connection(self._keep, self._settings.idle_timeout)
        opening = asyncio.get_running_loop().create_connection(
            lambda: made,
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
        return made

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            import httpx  # noqa: PLC0415 - knows where certificates are: its own, or SSL_CERT_FILE

            self._tls = httpx.create_ssl_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def close(self) -> None:
        """Close what is kept."""
        while self._kept:
            self._kept.pop().close()


def _keep_alive(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_SECONDS)
