"""`http.client`, and `urllib.request` above it: what `request` has sent, `getresponse` answers.

Libraries that build on these connections send by other means, or are seen themselves: `getresponse` alone does nothing.
"""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from orobserve._guard import guard, guarded
from orobserve.capture._calls import Call, begin, gate, settle
from orobserve.capture._files import FileTap
from orobserve.capture.observer import text_headers_of
from orobserve.generation import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orobserve.capture.observer import Flight, Observer
    from orobserve.wire.exchange import Exchange

_HTTPS = 443
_sent: dict[int, tuple[Flight, weakref.finalize[..., Any]]] = {}  # by the connection that waits for the answer


class ResponseTap(FileTap):
    """A tapped `HTTPResponse`, which knows its last byte when it has read it."""

    def _self_is_drained(self) -> bool:
        closed: bool = self.__wrapped__.isclosed()
        return closed


def _host(call: Call) -> str:
    connection = call.owner
    host: str = getattr(connection, "_tunnel_host", None) or connection.host  # the former where the latter is a proxy
    return host.lower()


def _begin(observer: Observer, call: Call) -> Flight | None:
    connection = call.owner
    host, port = connection.host, connection.port
    if connection._tunnel_host:  # noqa: SLF001
        host, port = connection._tunnel_host, connection._tunnel_port  # noqa: SLF001
    scheme = "https" if connection.default_port == _HTTPS else "http"
    place = f"[{host}]" if ":" in host else host
    headers = call.get(3, "headers", {})

    def add(added: Mapping[str, str]) -> None:
        call.put(3, "headers", {**added, **headers})

    url = f"{scheme}://{place}:{port}{call.get(1, 'url')}"
    return begin(observer, call.get(0, "method"), url, (headers.items(), call.get(2, "body")), add)


def replace_request(original: Callable[..., Any], current: list[Observer]) -> Callable[..., Any]:
    """Return what takes the place of `HTTPConnection.request`."""
    enter = gate(current, _host, _begin)

    @functools.wraps(original)
    def request(connection: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the original
        call = Call(connection, args, kwargs)
        flight = enter(call)
        if flight is None:
            return original(connection, *args, **kwargs)
        with flight:
            result = original(connection, *call.args, **kwargs)
        with guard:
            finalizer = weakref.finalize(connection, _lost, id(connection))
            finalizer.atexit = False
            _sent[id(connection)] = flight, finalizer
        return result

    return request


def _lost(connection: int) -> None:
    """End a call whose connection was dropped before its answer was asked for."""
    with guard:
        _sent.pop(connection)[0].exchange.end(Outcome.ABANDONED)


def replace_getresponse(original: Callable[..., Any], current: list[Observer]) -> Callable[..., Any]:
    """Return what takes the place of `HTTPConnection.getresponse`."""
    del current  # what was sent under observation is observed to its end

    @guarded
    def answered(connection: Any) -> Flight | None:  # noqa: ANN401
        if id(connection) not in _sent:
            return None
        flight, finalizer = _sent.pop(id(connection))
        finalizer.detach()
        return flight

    @functools.wraps(original)
    def getresponse(connection: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the original
        flight = answered(connection) if _sent else None
        if flight is None:
            return original(connection, *args, **kwargs)
        with flight as exchange:
            response = original(connection, *args, **kwargs)
        tapped = settle(exchange, observe_response, response)
        return response if tapped is None else tapped

    return getresponse


def observe_response(exchange: Exchange, response: Any) -> ResponseTap | None:  # noqa: ANN401 - an HTTPResponse
    """Tell the exchange of the response; returns what is to be read in its place, unless there is nothing to read."""
    exchange.response(response.status, text_headers_of(response.getheaders()))
    if response.isclosed():
        exchange.end()
    return None if exchange.ended else ResponseTap(response, exchange)
