"""The receiver as a server of its own: the address, who may reach it, and an orderly end."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orobserve.config import RECEIVE_TOKEN_VARIABLE
from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import FrameType

    from orobserve.proxy.receive import Receiver

_BACKLOG = 512
_CONNECTIONS = 512
_GRACE = 10  # seconds that requests which are being answered may take when the server is to end
_HIDDEN = "(hidden)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen, and who is let in."""

    host: str = "127.0.0.1"
    port: int = 4319
    token: str | None = field(default=None, repr=False)
    certificate: Path | None = None
    key: Path | None = None

    def url(self, port: int) -> str:
        """Return the URL at which it is reached, with the port that was found to be free."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.certificate else ''}://{host}:{port}"


def check(address: Address) -> Address:
    """Return the address if it may be used.

    Raises:
        ConfigurationError: anybody could send, or the certificate is not complete.
    """
    if not is_loopback(address.host) and address.token is None:
        raise ConfigurationError(
            "--host",
            address.host,
            allowed="127.0.0.1, ::1 or localhost, unless senders must bear a token",
            fix=f"set {RECEIVE_TOKEN_VARIABLE} to a long random text, or give --token-file",
        )
    if (address.certificate is None) != (address.key is None):
        raise ConfigurationError(
            "--tls-cert", address.certificate, allowed="both --tls-cert and --tls-key, or neither", fix="give the other"
        )
    if address.certificate is not None and address.key is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(address.certificate, address.key)
        except OSError as error:  # which errors of SSL are too
            fix = f"check both files ({error.strerror or type(error).__name__})"
            raise ConfigurationError(
                "--tls-cert", str(address.certificate), allowed="a certificate and its key, PEM", fix=fix
            ) from None
    return address


def is_loopback(host: str) -> bool:
    """Tell whether an address is only reached from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_token(path: Path | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the token of a file, else that of the environment; None: there is none.

    Raises:
        ConfigurationError: it cannot be read, or is no token.
    """
    setting, found = RECEIVE_TOKEN_VARIABLE, environ.get(RECEIVE_TOKEN_VARIABLE)
    if path is not None:
        setting = "--token-file"
        try:
            found = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            fix = "check the path and its permissions"
            raise ConfigurationError(setting, str(path), allowed="a file that can be read", fix=fix) from None
    if found is None:
        return None
    token = found.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        fix = "for example: python3 -c 'import secrets; print(secrets.token_urlsafe())'"
        raise ConfigurationError(setting, _HIDDEN, allowed="one line of printable ASCII without spaces", fix=fix)
    return token


class Listener:
    """A bound socket, and the server on it.

    Raises:
        ConfigurationError: the address cannot be used, or a package is missing.
    """

    def __init__(self, address: Address) -> None:
        self._server = _server_class()
        self._address = check(address)
        self._socket = _bound(address)
        self.url = address.url(self._socket.getsockname()[1])

    def run(self, receiver: Receiver) -> None:
        """Serve until SIGTERM or SIGINT; requests that are being answered are answered first."""
        import uvicorn  # noqa: PLC0415 - the extra `proxy` brings it

        settings = uvicorn.Config(
            receiver,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE,
            ssl_certfile=self._address.certificate,
            ssl_keyfile=self._address.key,
        )
        before = {number: signal.signal(number, _ignore) for number in (signal.SIGTERM, signal.SIGINT)}
        try:  # uvicorn ends at these signals, and then raises them once more for whoever handled them before
            self._server(settings).run(sockets=[self._socket])
        finally:
            for number, handling in before.items():
                signal.signal(number, handling)
            self._socket.close()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the server has ended, and what follows is to be done in order."""


def _server_class() -> Any:  # noqa: ANN401 - of a package that may be missing
    try:
        from uvicorn import Server  # noqa: PLC0415 - the extra `proxy` brings it
    except ImportError:
        raise ConfigurationError(
            "receive", None, allowed="with the packages of a server", fix="pip install 'orobserve[proxy]'"
        ) from None
    return Server


def _bound(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror or "the name is not known"
        where = f"{address.host}:{address.port}"
        raise ConfigurationError(
            "--port", where, allowed="an address of this machine that is free", fix=f"choose another ({reason})"
        ) from None
