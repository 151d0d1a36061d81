"""Where the page is served: the loopback interface, a port, and a token that nobody can guess."""

from __future__ import annotations

import secrets
import socket
from typing import TYPE_CHECKING

import uvicorn

from orobserve.errors import ConfigurationError
from orobserve.proxy.listen import is_loopback
from orobserve.viewer.app import Viewer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PORT = 4142
_TRIES = 20  # ports that are tried where nobody has asked for one
_HIGHEST = 65_535
_GRACE = 1  # seconds for answers in flight at the end


class Page:
    """The viewer on a bound socket, ready to run.

    Args:
        path: of the ledger.
        labels: of API keys, by their SHA-256.
        host: an address of the loopback interface.
        port: None: 4142, or the next one that is free; 0: any free one.

    Raises:
        ConfigurationError: the address cannot be used.
    """

    def __init__(
        self, path: Path, labels: Mapping[str, str], *, host: str = "127.0.0.1", port: int | None = None
    ) -> None:
        self._socket = _bound(_loopback(host), port)
        number = self._socket.getsockname()[1]
        token = secrets.token_urlsafe(24)
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{number}/"
        self.url = f"{self.address}?token={token}"
        config = uvicorn.Config(
            Viewer(path, labels, number, token).app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE,
        )
        self.server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM."""
        try:
            self.server.run(sockets=[self._socket])
        finally:
            self._socket.close()


def _loopback(host: str) -> str:
    if not is_loopback(host):
        fix = "leave --host away; from another machine, use an SSH tunnel: ssh -L 4142:127.0.0.1:4142 HOST"
        raise ConfigurationError("--host", host, allowed="127.0.0.1, ::1 or localhost: calls are private", fix=fix)
    return host


def _bound(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    tried = range(PORT, PORT + _TRIES) if port is None else (port,)
    faults = []
    for number in tried:
        found = _listening(host, number, family)
        if isinstance(found, socket.socket):
            return found
        faults.append(found.strerror or "the name is not known")
    raise ConfigurationError(
        "--port", port or PORT, allowed=f"0 to {_HIGHEST}, and free ({faults[-1]})", fix="choose another, or 0 for any"
    )


def _listening(host: str, port: int, family: socket.AddressFamily) -> socket.socket | OSError:
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        return error
