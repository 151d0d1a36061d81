"""The proxy's settings: one table of names, environment variables, defaults and help.

Arguments win over `OROBSERVE_PROXY_*` in the environment, and that over the defaults.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orobserve.config import PROXY_PREFIX
from orobserve.config_values import boolean, integer, nearest, positive
from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PREFIX = PROXY_PREFIX
_PORTS = {"https": 443, "http": 80}
_LAST_PORT = 65535
_MIN_TOKEN = 16
_HIDDEN = "(not shown)"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the proxy listens."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        """Write it as it is given."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Origin:
    """The server that calls are forwarded to, and the path that it puts before `/api`."""

    host: str
    port: int
    tls: bool
    prefix: str = ""

    @property
    def authority(self) -> str:
        """Host and port as the `Host` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Write it as a URL."""
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.prefix}"


def _address(setting: str, value: object) -> Address:
    host, separator, port = str(value).rpartition(":")
    host = host.strip("[]")
    if separator and host and port.isdecimal() and int(port) <= _LAST_PORT:
        return Address(host, int(port))
    raise ConfigurationError(setting, value, allowed="HOST:PORT", fix=f"for example {setting}=127.0.0.1:4141")


def _origin(setting: str, value: object) -> Origin:
    try:
        parts = urlsplit(str(value))
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    bare = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme in _PORTS and parts.hostname and bare and str(value).isascii() and " " not in str(value):
        prefix = parts.path.rstrip("/").removesuffix("/v1").removesuffix("/api")
        return Origin(parts.hostname, port or _PORTS[parts.scheme], parts.scheme == "https", prefix)
    allowed = "an http or https URL without user, query and fragment"
    raise ConfigurationError(setting, value, allowed=allowed, fix=f"for example {setting}=https://openrouter.ai")


def _file(setting: str, value: object) -> Path:
    path = Path(str(value))
    if path.is_file():
        return path
    raise ConfigurationError(setting, value, allowed="a file that exists", fix="check the path")


def _key(setting: str, value: object) -> str:
    key = str(value).strip()
    if key and key.isascii() and key.isprintable() and " " not in key:
        return key
    raise ConfigurationError(setting, _HIDDEN, allowed="an API key", fix="check the value: it has blanks or is empty")


def _tokens(setting: str, value: object) -> tuple[str, ...]:
    found = tuple(word for word in str(value).replace(",", " ").split() if word)
    for token in found:
        if len(token) < _MIN_TOKEN or not token.isascii():
            allowed = f"ASCII texts of {_MIN_TOKEN} characters or more"
            raise ConfigurationError(setting, _HIDDEN, allowed=allowed, fix="make each with: openssl rand -hex 24")
    return found


def _token_file(setting: str, value: object) -> tuple[str, ...]:
    lines = _file(setting, value).read_text("utf-8").splitlines()
    return _tokens(setting, " ".join(line for line in lines if not line.lstrip().startswith("#")))


def _setting(parse: Callable[[str, object], Any], default: Any, text: str, *, secret: bool = False) -> Any:  # noqa: ANN401
    return field(default=default, repr=not secret, metadata={"parse": parse, "help": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """Every setting, checked. Build it with `load`."""

    listen: Address = _setting(_address, Address("127.0.0.1", 4141), "where to listen")
    upstream: Origin = _setting(_origin, Origin("openrouter.ai", 443, tls=True), "where calls go")
    http2: bool = _setting(boolean, False, "speak HTTP/2 to the upstream, where it does")  # noqa: FBT003 - a default
    tls_cert: Path | None = _setting(_file, None, "certificate chain to listen with, PEM")
    tls_key: Path | None = _setting(_file, None, "its private key, PEM")
    key: str | None = _setting(_key, None, "own API key, in place of the callers'", secret=True)
    tokens: tuple[str, ...] = _setting(_tokens, (), "tokens that clients may call with, with commas", secret=True)
    allow_token_file: tuple[str, ...] = _setting(_token_file, (), "a file of such tokens, one a line", secret=True)
    max_body: int = _setting(integer, 64 * 1024 * 1024, "bytes of a request's body")
    max_headers: int = _setting(integer, 128, "headers of a request")
    max_header_bytes: int = _setting(integer, 64 * 1024, "bytes of a request's headers")
    max_url: int = _setting(integer, 8 * 1024, "bytes of a request's URL")
    header_timeout: float = _setting(positive, 30.0, "seconds for a client to send a request's headers")
    connect_timeout: float = _setting(positive, 10.0, "seconds to connect to the upstream")
    idle_timeout: float = _setting(positive, 900.0, "seconds that the upstream may be silent within a call")
    drain: float = _setting(positive, 25.0, "seconds for calls in flight to end after SIGTERM")
    access_log: bool = _setting(boolean, True, "a line per call on stdout")  # noqa: FBT003
    json: bool = _setting(boolean, False, "the same as JSON")  # noqa: FBT003

    @property
    def allowed(self) -> tuple[str, ...]:
        """All tokens that clients may call with."""
        return self.tokens + self.allow_token_file


def setting_fields() -> dict[str, Field[Any]]:
    """Return the settings by name."""
    return {setting.name: setting for setting in fields(ProxySettings)}


def load(given: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> ProxySettings:
    """Return the settings: arguments, then environment, then defaults.

    Raises:
        ConfigurationError: an unknown name, a value that cannot be used, or a set of them that is not safe.
    """
    known = setting_fields()
    variables = {PREFIX + name.upper(): name for name in known}
    values: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        if variable not in variables:
            fix = nearest(variable, variables)
            raise ConfigurationError(variable, _HIDDEN, allowed=", ".join(sorted(variables)), fix=fix)
        if value:
            name = variables[variable]
            values[name] = known[name].metadata["parse"](variable, value)
    values.update({name: known[name].metadata["parse"](name, value) for name, value in given.items()})
    found = ProxySettings(**values)
    _check(found)
    return found


def _check(settings: ProxySettings) -> None:
    """Refuse what would let strangers in, or callers' keys out."""
    if settings.allowed and settings.key is None:
        raise ConfigurationError(
            "tokens",
            _HIDDEN,
            allowed="tokens together with an own key: a client's token is no key that OpenRouter knows",
            fix=f"set {PREFIX}KEY to the API key that calls are to be made with",
        )
    if not settings.listen.is_loopback and not settings.allowed:
        raise ConfigurationError(
            "listen",
            str(settings.listen),
            allowed="a loopback address; beyond loopback only with an own key and an allow-list of client tokens",
            fix=f"listen on 127.0.0.1, or set {PREFIX}KEY and either {PREFIX}TOKENS or --allow-token-file",
        )
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise ConfigurationError(
            "tls_cert" if settings.tls_key is None else "tls_key",
            str(settings.tls_cert or settings.tls_key),
            allowed="certificate and key together",
            fix="give both --tls-cert and --tls-key",
        )
