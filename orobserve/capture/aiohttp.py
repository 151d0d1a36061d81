"""aiohttp: the session's `_request`, which every public way of calling goes through, and nothing public does.

A body is tapped where the caller reads it, at `response.content`, rather than where the parser feeds it: then a call
ends as its caller ends it, what arrived with the head needs no look into private buffers, and nothing is set on objects
with slots. A response that is closed or released tells its content so by `set_exception`, the connection tells the
object beneath: so the two can be told apart. A cancelled read may be tried again (`wait_for` around each line), so it
ends nothing by itself: the response is closed then, or collected.
"""

from __future__ import annotations

import asyncio
import functools
import json
from typing import TYPE_CHECKING, Any

from orobserve._guard import guard
from orobserve.capture._calls import Call, begin, gate, host_of, settle
from orobserve.capture._tap import Tap, end
from orobserve.capture.observer import headers_of, text_headers_of
from orobserve.generation import Outcome
from orobserve.wire.verdict import ERROR_STATUS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from orobserve.capture.observer import Flight, Observer
    from orobserve.wire.exchange import Exchange


class StreamTap(Tap):
    """A tapped `StreamReader`. Its iterators are the library's own, made to read from here."""

    async def read(self, *args: Any, **kwargs: Any) -> Any:
        """Read."""
        return await self._self_take(self.__wrapped__.read(*args, **kwargs))

    async def readany(self) -> Any:
        """Read what is there."""
        return await self._self_take(self.__wrapped__.readany())

    async def readexactly(self, *args: Any, **kwargs: Any) -> Any:
        """Read a number of bytes."""
        return await self._self_take(self.__wrapped__.readexactly(*args, **kwargs))

    async def readline(self, *args: Any, **kwargs: Any) -> Any:
        """Read a line."""
        return await self._self_take(self.__wrapped__.readline(*args, **kwargs))

    async def readuntil(self, *args: Any, **kwargs: Any) -> Any:
        """Read up to a separator."""
        return await self._self_take(self.__wrapped__.readuntil(*args, **kwargs))

    async def readchunk(self) -> Any:
        """Read a chunk and whether it is whole."""
        return await self._self_take(self.__wrapped__.readchunk())

    def read_nowait(self, *args: Any, **kwargs: Any) -> Any:
        """Read what is there without waiting."""
        return self._self_saw(self.__wrapped__.read_nowait(*args, **kwargs))

    def __aiter__(self) -> Any:
        """Iterate over the lines."""
        return type(self.__wrapped__).__aiter__(self)

    def iter_chunked(self, *args: Any, **kwargs: Any) -> Any:
        """Iterate over pieces of a size."""
        return type(self.__wrapped__).iter_chunked(self, *args, **kwargs)

    def iter_any(self) -> Any:
        """Iterate over what comes."""
        return type(self.__wrapped__).iter_any(self)

    def iter_chunks(self) -> Any:
        """Iterate over chunks."""
        return type(self.__wrapped__).iter_chunks(self)

    def set_exception(self, *args: Any, **kwargs: Any) -> Any:
        """Take notice that the response is closed or released."""
        try:
            return self.__wrapped__.set_exception(*args, **kwargs)
        finally:
            end(self._self_exchange, Outcome.CANCELLED)

    async def _self_take(self, reading: Awaitable[Any]) -> Any:
        try:
            data = await reading
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                end(self._self_exchange, error)
            raise
        return self._self_saw(data)

    def _self_saw(self, data: Any) -> Any:
        with guard:
            content = data[0] if isinstance(data, tuple) else data
            if content:
                self._self_exchange.feed(content)
            if self.__wrapped__.at_eof():
                self._self_exchange.end()
        return data


def _host(call: Call) -> str:
    url = call.get(1, "str_or_url")
    host = host_of(url) if isinstance(url, str) else (url.host or "")
    if not host:
        base = call.owner._base_url  # noqa: SLF001
        host = (base.host or "") if base is not None else ""
    return host


def _begin(observer: Observer, call: Call) -> Flight | None:
    session = call.owner
    url = session._build_url(call.get(1, "str_or_url"))  # noqa: SLF001 - what the session itself makes of it
    if call.kwargs.get("params"):
        url = url.update_query(call.kwargs["params"])
    headers = session._prepare_headers(call.kwargs.get("headers"))  # noqa: SLF001

    def add(added: Mapping[str, str]) -> None:
        for name, value in added.items():
            headers.setdefault(name, value)
        call.kwargs["headers"] = headers

    return begin(observer, call.get(0, "method"), str(url), (headers.items(), _body(call.kwargs)), add)


def _body(kwargs: Mapping[str, Any]) -> Any:
    """Return the body if it is at hand. What is given as JSON is copied: its owner may change it after the call."""
    if kwargs.get("json") is not None:
        return json.dumps(kwargs["json"], default=str)
    data = kwargs.get("data")
    fields = getattr(data, "_fields", ())  # of a form
    return {part["name"]: value for part, _, value in fields if isinstance(value, str)} if fields else data


def replace_request(original: Callable[..., Any], current: list[Observer]) -> Callable[..., Any]:
    """Return what takes the place of `ClientSession._request`."""
    enter = gate(current, _host, _begin)

    @functools.wraps(original)
    async def request(session: Any, *args: Any, **kwargs: Any) -> Any:
        flight = enter(Call(session, args, kwargs))
        if flight is None:
            return await original(session, *args, **kwargs)
        with flight as exchange:
            try:
                response = await original(session, *args, **kwargs)
            except Exception as error:
                with guard:
                    _observe_refusal(exchange, error)
                raise
        decoded = kwargs.get("auto_decompress")
        settle(exchange, observe_response, response, session.auto_decompress if decoded is None else decoded)
        return response

    return request


def _observe_refusal(exchange: Exchange, error: Exception) -> None:
    """Take the response's head from the error that `raise_for_status` hides it behind."""
    status = getattr(error, "status", None)
    if isinstance(status, int) and status >= ERROR_STATUS and error.__cause__ is None:
        exchange.response(status, text_headers_of((getattr(error, "headers", None) or {}).items()))
        exchange.end(Outcome.CANCELLED)


def observe_response(exchange: Exchange, response: Any, decoded: Any) -> None:
    """Tell the exchange of the response, and tap its content."""
    exchange.response(response.status, headers_of(response.raw_headers), decoded=bool(decoded))
    content = response.content
    if not content.at_eof():
        response.content = StreamTap(content, exchange)
        return
    exchange.feed(response._body or b"")  # noqa: SLF001 - a middleware or a check of the caller's may have read it
    exchange.end()
