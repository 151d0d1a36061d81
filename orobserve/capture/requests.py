"""requests: the session's public `send`, whose redirects are sends of their own: that is one call.

A streamed body is tapped at `response.raw`, through which everything is read: the response stays the caller's own.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from orobserve.capture._calls import begin, gate, host_of, settle
from orobserve.capture._files import FileTap
from orobserve.capture.observer import text_headers_of
from orobserve.capture.urllib3 import ResponseTap, resends

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orobserve.capture.observer import Flight, Observer
    from orobserve.wire.exchange import Exchange


def _host(request: Any) -> str:  # noqa: ANN401 - a PreparedRequest
    return host_of(request.url or "")


def _begin(observer: Observer, request: Any) -> Flight | None:  # noqa: ANN401
    headers = request.headers

    def add(added: Mapping[str, str]) -> None:
        for name, value in added.items():
            headers.setdefault(name, value)

    return begin(observer, request.method, request.url, (headers.items(), request.body), add)


def replace_send(original: Callable[..., Any], current: list[Observer]) -> Callable[..., Any]:
    """Return what takes the place of `Session.send`."""
    enter = gate(current, _host, _begin)

    @functools.wraps(original)
    def send(session: Any, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the original
        flight = enter(request)
        if flight is None:
            return original(session, request, **kwargs)
        with flight as exchange:
            response = original(session, request, **kwargs)
        settle(exchange, observe_response, response, kwargs.get("stream", session.stream))
        return response

    return send


def observe_response(exchange: Exchange, response: Any, streamed: Any) -> None:  # noqa: ANN401
    """Tell the exchange of the response: at once if its body is read, through a tap if it is a stream."""
    raw = response.raw
    exchange.resent = len(response.history) + resends(raw)
    # A hook of the caller's may have read it; an adapter may have none to read.
    is_read = not streamed or raw is None or response._content_consumed  # noqa: SLF001
    if not is_read and hasattr(raw, "stream"):
        response.raw = ResponseTap(raw, exchange)
        return
    exchange.response(response.status_code, text_headers_of(response.headers.items()), decoded=is_read)
    if is_read:
        exchange.feed(response.content or b"")
        exchange.end()
    else:
        response.raw = FileTap(raw, exchange)  # of a transport adapter that is not built on urllib3
