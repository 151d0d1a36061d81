"""The variables by which clients in any language find a base URL and a key. Pure: an environment in, changes out.

Only what is meant for OpenRouter is led to the sidecar: a program that talks to OpenAI or Anthropic themselves keeps
doing so. https://openrouter.ai/docs/guides/coding-agents/claude-code-integration
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY = "OPENROUTER_API_KEY"
_PREFIX = "sk-or-"
_HOST = "openrouter.ai"


class _Client(NamedTuple):
    """How a family of clients is led: the variables of its base URL and of its keys, and what the URL ends with."""

    urls: tuple[str, ...]
    path: str
    keys: tuple[str, ...]
    emptied: tuple[str, ...] = ()  # would win over the key, and belong to the vendor's own service


_CLIENTS = (
    _Client(("OPENROUTER_BASE_URL", "OPENROUTER_API_BASE"), "/api/v1", ()),
    _Client(("OPENAI_BASE_URL", "OPENAI_API_BASE"), "/api/v1", ("OPENAI_API_KEY",)),
    _Client(("ANTHROPIC_BASE_URL",), "/api", ("ANTHROPIC_AUTH_TOKEN",), ("ANTHROPIC_API_KEY",)),
)


def led(environ: Mapping[str, str], address: str, upstream: str) -> dict[str, str]:
    """Return the variables that lead clients to a sidecar, with their values.

    Args:
        environ: of the command.
        address: of the sidecar, without a path.
        upstream: whose calls it takes, without a path.
    """
    key = environ.get(_KEY) or next(
        (environ[name] for client in _CLIENTS for name in client.keys if _is_ours(environ.get(name))), None
    )
    found: dict[str, str] = {}
    for client in _CLIENTS:
        given = [environ[name] for name in client.urls if environ.get(name)]
        if given and not any(_is_upstream(url, upstream) for url in given):
            continue  # another server's
        theirs = [name for name in (*client.keys, *client.emptied) if environ.get(name)]
        if not given and any(not _is_ours(environ[name]) for name in theirs):
            continue  # a key of the vendor's own service
        if not given and client.keys and key is None:
            continue
        found |= dict.fromkeys(client.urls, address + client.path)
        if key is not None:
            found |= {name: key for name in client.keys if not environ.get(name)}
        found |= dict.fromkeys(client.emptied, "")
    return found


def upstream_of(environ: Mapping[str, str]) -> str:
    """Return the server that the environment's calls to OpenRouter go to, with what stands before `/api` in its path.

    Raises:
        ConfigurationError: the variable is no URL.
    """
    name = next((name for name in ("OPENROUTER_BASE_URL", "OPENROUTER_API_BASE") if environ.get(name)), None)
    if name is None:
        return f"https://{_HOST}"
    url = environ[name].rstrip("/")
    given = urlsplit(url)
    if given.scheme not in {"http", "https"} or not given.netloc:
        raise ConfigurationError(
            name, url, allowed="an http or https URL", fix=f"for example {name}=https://{_HOST}/api/v1"
        )
    return url.removesuffix("/api/v1")


def _is_ours(key: str | None) -> bool:
    return bool(key) and str(key).startswith(_PREFIX)


def _is_upstream(url: str, upstream: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == urlsplit(upstream).hostname or host == _HOST or host.endswith(f".{_HOST}")
