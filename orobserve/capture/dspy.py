"""DSPy 3.4 and later, which speaks over sockets of its own: the transports that it carries with it.

They are private, so other versions may have them otherwise; `_patches.py` then says so and leaves them alone.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from orobserve.capture._calls import begin, gate, host_of, settle
from orobserve.capture._tap import AsyncTap, SyncTap, end
from orobserve.capture.observer import text_headers_of
from orobserve.generation import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orobserve.capture.observer import Flight, Observer
    from orobserve.wire.exchange import Exchange


def _host(request: Any) -> str:  # noqa: ANN401 - a TransportRequest
    return host_of(request.url)


def _begin(observer: Observer, request: Any) -> Flight | None:  # noqa: ANN401
    def add(added: Mapping[str, str]) -> None:
        present = {name.lower() for name, _ in request.headers}
        request.headers = [*request.headers, *(item for item in added.items() if item[0].lower() not in present)]

    return begin(observer, request.method, request.url, (request.headers, request.body), add)


def replace_stream(original: Callable[..., Any], current: list[Observer]) -> Callable[..., Any]:
    """Return what takes the place of `StdlibTransport.stream`."""
    enter = gate(current, _host, _begin)

    @functools.wraps(original)
    def stream(transport: Any, request: Any) -> Any:  # noqa: ANN401 - as the original
        flight = enter(request)
        if flight is None:
            return original(transport, request)
        with flight as exchange:
            response = original(transport, request)
        settle(exchange, observe_response, response, SyncTap, _releaser)
        return response

    return stream


def replace_async_stream(original: Callable[..., Any], current: list[Observer]) -> Callable[..., Any]:
    """Return what takes the place of `StdlibAsyncTransport._do_stream`."""
    enter = gate(current, _host, _begin)

    @functools.wraps(original)
    async def stream(transport: Any, request: Any) -> Any:  # noqa: ANN401 - as the original
        flight = enter(request)
        if flight is None:
            return await original(transport, request)
        with flight as exchange:
            response = await original(transport, request)
        settle(exchange, observe_response, response, AsyncTap, _async_releaser)
        return response

    return stream


def observe_response(
    exchange: Exchange,
    response: Any,  # noqa: ANN401 - a TransportResponse of either colour
    tap: type[SyncTap | AsyncTap],
    releaser: Callable[[Callable[..., Any], Exchange], Callable[..., Any]],
) -> None:
    """Tell the exchange of the response; tap its chunks, and what it calls when it is closed."""
    exchange.response(response.status, text_headers_of(response.headers))
    chunks, release = response._chunks, response._release  # noqa: SLF001
    response._release = releaser(release, exchange)  # noqa: SLF001
    response._chunks = tap(chunks, exchange)  # noqa: SLF001


def _releaser(original: Callable[..., Any], exchange: Exchange) -> Callable[..., Any]:
    def release(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        try:
            return original(*args, **kwargs)
        finally:
            end(exchange, Outcome.CANCELLED)

    return release


def _async_releaser(original: Callable[..., Any], exchange: Exchange) -> Callable[..., Any]:
    async def release(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        try:
            return await original(*args, **kwargs)
        finally:
            end(exchange, Outcome.CANCELLED)

    return release
