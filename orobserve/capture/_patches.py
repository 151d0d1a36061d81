"""Puts our functions on classes and takes them off again, once per class, whatever names it has."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

import wrapt

from orobserve._guard import guard

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from orobserve.capture.observer import Observer


class Point(NamedTuple):
    """A method that carries every call of a library, and the edge's function that makes what takes its place."""

    module: str
    owner: str
    method: str
    edge: str
    replace: str

    @property
    def name(self) -> str:
        """The method's full name."""
        return f"{self.module}.{self.owner}.{self.method}"


# An edge is imported when its library is.
POINTS = (
    *(Point(name, "Client", "send", "httpx", "replace_send") for name in ("httpx", "httpx2")),
    *(Point(name, "AsyncClient", "send", "httpx", "replace_async_send") for name in ("httpx", "httpx2")),
    Point("requests.sessions", "Session", "send", "requests", "replace_send"),
    Point("urllib3.poolmanager", "PoolManager", "urlopen", "urllib3", "replace_urlopen"),
    Point("urllib3.connectionpool", "HTTPConnectionPool", "urlopen", "urllib3", "replace_pool_urlopen"),
    Point("aiohttp.client", "ClientSession", "_request", "aiohttp", "replace_request"),
    Point("http.client", "HTTPConnection", "request", "http_client", "replace_request"),
    Point("http.client", "HTTPConnection", "getresponse", "http_client", "replace_getresponse"),
    Point("dspy._vendor.lm15.transports", "StdlibTransport", "stream", "dspy", "replace_stream"),
    Point("dspy._vendor.lm15.transports", "StdlibAsyncTransport", "_do_stream", "dspy", "replace_async_stream"),
)

_log = logging.getLogger("orobserve")
_patched: list[tuple[type, str, Any, Any]] = []  # class, attribute, what was there, what we put
_current: list[Observer] = []
_hooked: set[str] = set()
unfit: set[Point] = set()  # that this version of their library does not have


def install(new: Observer) -> None:
    """Observe the HTTP libraries that are imported, and those that will be."""
    _current[:] = [new]
    for name in dict.fromkeys(point.module for point in POINTS):
        points = [point for point in POINTS if point.module == name]
        module = sys.modules.get(name)
        if module is not None and all(hasattr(module, point.owner) for point in points):
            _patch_module(module, points)
        elif name not in _hooked:
            _hooked.add(name)
            wrapt.register_post_import_hook(functools.partial(_on_import, points), name)


def _on_import(points: Iterable[Point], module: ModuleType) -> None:
    with guard:
        if _current:
            _patch_module(module, points)


def _patch_module(module: ModuleType, points: Iterable[Point]) -> None:
    for point in points:
        owner = getattr(module, point.owner, None)
        if owner is not None and point.method in owner.__dict__:
            _patch(owner, point)
        elif point not in unfit:
            unfit.add(point)
            _log.warning("orobserve does not see this version's calls: it has no %s", point.name)


def _patch(owner: type, point: Point) -> None:
    if _is_patched(owner, point.method):
        return
    original = owner.__dict__[point.method]
    edge = importlib.import_module(f"orobserve.capture.{point.edge}")
    ours = getattr(edge, point.replace)(_callable(original), _current)
    setattr(owner, point.method, ours)
    _patched.append((owner, point.method, original, ours))


def _callable(original: Any) -> Any:  # noqa: ANN401 - a function, or what another library has put in its place
    """Return what may be called with the instance first; a wrapt wrapper learns of its instance only if it is bound."""
    if type(original) is FunctionType:  # which a wrapper says that it is, too, when it is asked by `isinstance`
        return original

    @functools.wraps(original)
    def bound(instance: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return original.__get__(instance, type(instance))(*args, **kwargs)

    return bound


def _is_patched(owner: type, method: str) -> bool:
    return any(done is owner and attribute == method for done, attribute, _, _ in _patched)


def hooks() -> dict[str, bool]:
    """Return the methods of the installed libraries, and whether they are hooked, or will be when they are imported."""
    found: dict[str, bool] = {}
    seen: set[tuple[object, str]] = set()
    for point in POINTS:
        owner = getattr(sys.modules.get(point.module), point.owner, None)
        if owner is not None and (owner, point.method) not in seen:
            seen.add((owner, point.method))
            found[point.name] = _is_patched(owner, point.method)
        elif owner is None and importlib.util.find_spec(point.module.partition(".")[0]) is not None:
            found[point.name] = bool(_current) and point.module in _hooked and point not in unfit
    return found


def uninstall() -> None:
    """Restore every class, unless someone has patched it after us: then ours stays and does nothing."""
    for observing in _current:
        observing.stop()
    _current.clear()
    for entry in list(_patched):
        owner, name, original, ours = entry
        if owner.__dict__.get(name) is ours:
            setattr(owner, name, original)
            _patched.remove(entry)
