"""One client only, through httpx's event hooks: nothing is patched.

Hooks see no exception of the transport. A call that dies before its response is ended when its request object goes,
as failed with `_OTHER`.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from orobserve._guard import guard
from orobserve.capture import httpx as edge
from orobserve.capture._tap import AsyncTap, SyncTap
from orobserve.errors import ConfigurationError
from orobserve.generation import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve.capture.observer import Flight, Observer

_hooks: weakref.WeakKeyDictionary[Any, _Hooks] = weakref.WeakKeyDictionary()


def _lost(flight: Flight) -> None:
    with guard:
        flight.exchange.end(Outcome.FAILED)


class _Hooks:
    def __init__(self, observe: Callable[[], Observer | None], tap: type) -> None:
        self._observe = observe
        self._tap = tap
        self._flights: weakref.WeakKeyDictionary[Any, Flight] = weakref.WeakKeyDictionary()

    def request(self, request: Any) -> None:  # noqa: ANN401 - httpx or httpx2
        with guard:
            observer = self._observe()
            flight = edge.begin(observer, request) if observer else None
            if flight is not None:
                self._flights[request] = flight
                weakref.finalize(request, _lost, flight).atexit = False

    def response(self, response: Any) -> None:  # noqa: ANN401
        with guard:
            flight = self._flights.pop(response.request, None)
            if flight is not None:
                edge.observe_response(flight.exchange, response, self._tap, streamed=True)


class _AsyncHooks(_Hooks):
    async def request(self, request: Any) -> None:  # type: ignore[override]  # noqa: ANN401
        super().request(request)

    async def response(self, response: Any) -> None:  # type: ignore[override]  # noqa: ANN401
        super().response(response)


def instrument(client: Any, observe: Callable[[], Observer | None]) -> None:  # noqa: ANN401 - httpx or httpx2
    """Add our hooks to a client; a second time adds nothing.

    Raises:
        ConfigurationError: the object is no httpx or httpx2 client.
    """
    if not (isinstance(getattr(client, "event_hooks", None), dict) and hasattr(client, "send")):
        raise ConfigurationError(
            "client",
            type(client).__qualname__,
            allowed="an httpx or httpx2 Client or AsyncClient",
            fix="pass the HTTP client itself, or use orobserve.instrument() for every client of the process",
        )
    if client in _hooks:
        return
    is_async = hasattr(client, "aclose")
    hooks = _AsyncHooks(observe, AsyncTap) if is_async else _Hooks(observe, SyncTap)
    client.event_hooks["request"].append(hooks.request)
    client.event_hooks["response"].insert(0, hooks.response)
    _hooks[client] = hooks


def uninstrument_all() -> None:
    """Take our hooks off all clients."""
    for client, hooks in list(_hooks.items()):
        for name, hook in (("request", hooks.request), ("response", hooks.response)):
            registered = client.event_hooks[name]
            if hook in registered:
                registered.remove(hook)
    _hooks.clear()
