"""httpx and httpx2, which are alike: the client's public `send`, or the event hooks of one client."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from orobserve._guard import guard, guarded
from orobserve.capture._tap import AsyncTap, SyncTap
from orobserve.capture.observer import Flight, Observer, headers_of
from orobserve.generation import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orobserve.wire.exchange import Exchange


def begin(observer: Observer, request: Any) -> Flight | None:  # noqa: ANN401 - httpx or httpx2
    """Begin a call if it is one of ours."""
    url = request.url
    host = url.host
    if not observer.knows(host):
        return None
    route = observer.route(request.method, host, url.port, url.path, tls=url.scheme == "https")
    if route is None:
        return None
    if not route.endpoint.poll:
        for name, value in observer.adds.items():
            request.headers.setdefault(name, value)
    return Flight(*observer.begin(route, headers_of(request.headers.raw), _body(request), url.query))


def _body(request: Any) -> bytes | Mapping[str, Any]:  # noqa: ANN401
    """Return the body if it is at hand; a form's files and a caller's generator are for the transport alone."""
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


def _tell(exchange: Exchange, response: Any, tap: type, *, streamed: bool) -> None:  # noqa: ANN401
    told = False
    with guard:
        observe_response(exchange, response, tap, streamed=streamed)
        told = True
    if not told:
        with guard:
            exchange.end(Outcome.ABANDONED)  # rather than leave its span open


def replace_send(original: Callable[..., Any], current: list[Observer]) -> Callable[..., Any]:
    """Return what takes the place of `Client.send`; `current` holds who is observing, if anybody is."""
    begin_call = _beginner(current)

    @functools.wraps(original)
    def send(client: Any, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the caller's own types
        flight = begin_call(request)
        if flight is None:
            return original(client, request, **kwargs)
        with flight as exchange:
            response = original(client, request, **kwargs)
        _tell(exchange, response, SyncTap, streamed=bool(kwargs.get("stream")))
        return response

    return send


def replace_async_send(original: Callable[..., Any], current: list[Observer]) -> Callable[..., Any]:
    """Return what takes the place of `AsyncClient.send`."""
    begin_call = _beginner(current)

    @functools.wraps(original)
    async def send(client: Any, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the caller's own types
        flight = begin_call(request)
        if flight is None:
            return await original(client, request, **kwargs)
        with flight as exchange:
            response = await original(client, request, **kwargs)
        _tell(exchange, response, AsyncTap, streamed=bool(kwargs.get("stream")))
        return response

    return send


def _beginner(current: list[Observer]) -> Callable[[Any], Flight | None]:
    @guarded
    def begin_call(request: Any) -> Flight | None:  # noqa: ANN401 - httpx or httpx2
        for observer in current:  # one at most
            if observer.knows(request.url.host):  # all that other calls pay for
                return begin(observer, request)
        return None

    return begin_call
