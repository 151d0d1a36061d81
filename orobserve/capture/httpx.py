"""httpx and httpx2, which are alike: the client's public `send`, or the event hooks of one client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve._guard import guard
from orobserve.capture._tap import AsyncTap, SyncTap
from orobserve.capture.observer import Flight, Observer, headers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orobserve.wire.exchange import Exchange

MODULES = ("httpx", "httpx2")


def begin(observer: Observer, request: Any) -> Flight | None:  # noqa: ANN401 - httpx or httpx2
    """Begin a call if it is one of ours."""
    url = request.url
    if not observer.knows(url.host):
        return None
    route = observer.route(request.method, url.host, url.port, url.path, tls=url.scheme == "https")
    if route is None:
        return None
    query = url.query.decode("ascii", "replace")
    return Flight(*observer.begin(route, headers_of(request.headers.raw), _body(request), query))


def _body(request: Any) -> bytes | Mapping[str, Any]:  # noqa: ANN401
    """Return the body if it is at hand. A form's files and a caller's generator are read by nobody but the transport."""
    content = getattr(request, "_content", None)
    if isinstance(content, bytes):
        return content
    fields = getattr(request.stream, "fields", ())  # of a multipart form
    return {field.name: field.value for field in fields if isinstance(getattr(field, "value", None), str)}


def observe_response(exchange: Exchange, response: Any, tap: type, *, streamed: bool) -> None:  # noqa: ANN401
    """Tell the exchange of the response: at once if its body is read, through a tap if it is a stream."""
    headers = headers_of(response.headers.raw)
    if streamed and not response.is_closed:
        exchange.response(response.status_code, headers)
        if not exchange.ended:
            response.stream = tap(response.stream, exchange)
        return
    exchange.response(response.status_code, headers, decoded=True)
    exchange.feed(response.content)
    exchange.end()


def send_wrapper(observe: Callable[[], Observer | None]) -> Callable[..., Any]:
    """Return the wrapper of `Client.send`."""

    def send(wrapped: Any, _client: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401 - the caller's own types
        flight = None
        with guard:
            observer = observe()
            flight = begin(observer, args[0] if args else kwargs["request"]) if observer else None
        if flight is None:
            return wrapped(*args, **kwargs)
        with flight as exchange:
            response = wrapped(*args, **kwargs)
        with guard:
            observe_response(exchange, response, SyncTap, streamed=bool(kwargs.get("stream")))
        return response

    return send


def async_send_wrapper(observe: Callable[[], Observer | None]) -> Callable[..., Any]:
    """Return the wrapper of `AsyncClient.send`."""

    async def send(wrapped: Any, _client: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401 - the caller's own types
        flight = None
        with guard:
            observer = observe()
            flight = begin(observer, args[0] if args else kwargs["request"]) if observer else None
        if flight is None:
            return await wrapped(*args, **kwargs)
        with flight as exchange:
            response = await wrapped(*args, **kwargs)
        with guard:
            observe_response(exchange, response, AsyncTap, streamed=bool(kwargs.get("stream")))
        return response

    return send
