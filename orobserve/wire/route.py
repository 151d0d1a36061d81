"""Which URL is which endpoint. Hosts first (cheap, for every request of the process), then the path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

DOMAIN = "openrouter.ai"
_MEMORY = 512  # paths hold the ids of jobs
_SUFFIX = ".openrouter.ai"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An inference endpoint. `poll` endpoints ask for the state of a job that another call has started."""

    api_type: str
    operation: str
    poll: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One call's endpoint and server; `api` is the base URL under which the server answers questions about it."""

    endpoint: Endpoint
    host: str
    port: int
    path: str
    api: str = ""


_POST = {
    "chat/completions": Endpoint("chat_completions", "chat"),
    "completions": Endpoint("completions", "text_completion"),
    "responses": Endpoint("responses", "chat"),
    "messages": Endpoint("messages", "chat"),
    "embeddings": Endpoint("embeddings", "embeddings"),
    "rerank": Endpoint("rerank", "rerank"),
    "images": Endpoint("images", "generate_content"),
    "audio/speech": Endpoint("speech", "generate_content"),
    "audio/transcriptions": Endpoint("transcriptions", "transcription"),
    "videos": Endpoint("videos", "generate_content"),
    "batches": Endpoint("batches", "batch"),
}
_LENGTHS = {known.api_type: len(path.split("/")) for path, known in _POST.items()}
_POLL = {
    "videos": Endpoint("videos", "generate_content", poll=True),
    "batches": Endpoint("batches", "batch", poll=True),
}


def endpoint(method: str, path: str) -> Endpoint | None:
    """Return the inference endpoint behind a path, whatever prefix a gateway puts before it.

    Creating a preset takes an inference body but runs no model: `/presets/{slug}/chat/completions` is none.
    """
    segments = [segment for segment in path.split("/") if segment]
    if method == "POST":
        for size in (2, 1):
            found = _POST.get("/".join(segments[-size:]))
            if found and len(segments) >= size:
                return found if _is_base(segments[:-size]) else None
    elif method == "GET" and len(segments) > 1:
        found = _POLL.get(segments[-2])
        return found if found and segments[-1] != "models" and _is_base(segments[:-2]) else None
    return None


def _is_base(segments: list[str]) -> bool:
    # Behind a gateway any prefix may stand here, but not another resource that the last segment belongs to.
    return segments[-2:-1] != ["presets"] and segments[-1:] != ["messages"]


class Hosts:
    """The hosts whose traffic is OpenRouter's: `openrouter.ai`, its regions, and those the user adds."""

    __slots__ = ("_extra", "_routes")

    def __init__(self, extra: Iterable[str] = ()) -> None:
        """Take hosts as `host`, `host:port`, or a base URL with an optional path.

        Raises:
            ValueError: one of them names no host.
        """
        self._extra: dict[str, list[tuple[int | None, str]]] = {}
        self._routes: dict[tuple[str, str, int | None, str, bool], Route | None] = {}
        for item in extra:
            host, port, prefix = _parse_host(item)
            self._extra.setdefault(host, []).append((port, prefix))

    def know(self, host: str) -> bool:
        """Tell whether a host (lower case) may be OpenRouter's."""
        return host == DOMAIN or host.endswith(_SUFFIX) or host in self._extra

    def route(self, method: str, host: str, port: int | None, path: str, *, tls: bool = True) -> Route | None:
        """Return the route of an inference call, or None for every other call."""
        key = (method, host, port, path, tls)
        if key not in self._routes:
            if len(self._routes) >= _MEMORY:
                self._routes.clear()
            self._routes[key] = self._find(*key)
        return self._routes[key]

    def _find(self, method: str, host: str, port: int | None, path: str, tls: bool) -> Route | None:  # noqa: FBT001
        port = port or (443 if tls else 80)
        if host in self._extra:
            fits = any(wanted in {None, port} and _is_below(path, prefix) for wanted, prefix in self._extra[host])
        else:
            fits = path.startswith("/api/")
        found = endpoint(method, path) if fits else None
        return Route(found, host, port, path, _api(found, host, port, path, tls=tls)) if found else None


def _api(found: Endpoint, host: str, port: int, path: str, *, tls: bool) -> str:
    segments = [segment for segment in path.split("/") if segment]
    base = segments[: -2 if found.poll else -_LENGTHS[found.api_type]]
    if base[-1:] in (["alpha"], ["beta"]):  # what has left those previews is asked for in the same place as all else
        base[-1] = "v1"
    shown = f"[{host}]" if ":" in host else host
    return "/".join([f"{'https' if tls else 'http'}://{shown}:{port}", *base])


def _is_below(path: str, prefix: str) -> bool:
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in {"", "/"}


def _parse_host(item: str) -> tuple[str, int | None, str]:
    parts = urlsplit(item if "://" in item else f"//{item}")
    if not parts.hostname or any(character.isspace() for character in item):
        raise ValueError(f"{item!r} names no host")
    return parts.hostname, parts.port, parts.path.rstrip("/")
