"""urllib3: `urlopen` of managers and pools, which call themselves again for retries and redirects: that is one call.

Its responses close themselves before the last bytes are decoded and before they raise; a shell outside of them sees
only what the caller sees. requests hands out the same responses.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from orobserve._guard import guard
from orobserve.capture._calls import Call, begin, gate, host_of, settle
from orobserve.capture._files import FileTap, Reading
from orobserve.capture.observer import text_headers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from orobserve.capture.observer import Flight, Observer
    from orobserve.wire.exchange import Exchange


def _read(tap: ResponseTap, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    tap._self_expect_by(args, kwargs)  # noqa: SLF001
    amount = args[0] if args else kwargs.get("amt")
    return tap._self_take(lambda _amount: read(*args, **kwargs), (amount,), {}, is_all=True)  # noqa: SLF001


def _read1(tap: ResponseTap, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    tap._self_expect_by(args, kwargs)  # noqa: SLF001
    return tap._self_take(read, args, kwargs)  # noqa: SLF001


def _json(tap: ResponseTap, read: Callable[..., Any]) -> Any:
    tap.data  # noqa: B018 - reads the body, which the response then keeps
    return read()


class ResponseTap(FileTap):
    """A tapped `HTTPResponse`, whose caller chooses with each read whether it is decoded; the first read counts."""

    def __init__(self, response: Any, exchange: Exchange) -> None:
        super().__init__(response, exchange)
        headers = text_headers_of(response.headers.items())
        exchange.response(response.status, headers, decoded=bool(response.decode_content))
        # None where it makes no difference
        self._self_decodes = bool(response.decode_content) if "content-encoding" in headers else None

    def _self_expect(self, *, decodes: Any) -> None:
        if self._self_decodes is None:
            return
        with guard:
            if self._self_decodes is not bool(decodes):
                headers = text_headers_of(self.__wrapped__.headers.items())
                self._self_exchange.response(self.__wrapped__.status, headers, decoded=bool(decodes))
            self._self_decodes = None

    def _self_expect_by(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        decodes = args[1] if len(args) > 1 else kwargs.get("decode_content")
        self._self_expect(decodes=self.__wrapped__.decode_content if decodes is None else decodes)

    read = Reading(_read)
    read1 = Reading(_read1)
    json = Reading(_json)

    def stream(self, *args: Any, **kwargs: Any) -> Generator[bytes, None, None]:
        """Iterate over pieces."""
        response = self.__wrapped__
        if response.chunked and response.supports_chunked_reads():
            self._self_expect(decodes=args[1] if len(args) > 1 else kwargs.get("decode_content"))
        else:
            self._self_expect_by(args, kwargs)
        return self._self_each(response.stream(*args, **kwargs))

    def read_chunked(self, *args: Any, **kwargs: Any) -> Generator[bytes, None, None]:
        """Iterate over the chunks."""
        self._self_expect(decodes=args[1] if len(args) > 1 else kwargs.get("decode_content"))
        return self._self_each(self.__wrapped__.read_chunked(*args, **kwargs))

    def __iter__(self) -> Generator[bytes, None, None]:
        """Iterate over the lines."""
        self._self_expect(decodes=True)
        return self._self_each(iter(self.__wrapped__))

    @property
    def data(self) -> Any:
        """The whole body."""
        self._self_expect(decodes=self.__wrapped__.decode_content)
        return self._self_take(lambda: self.__wrapped__.data, (), {}, is_all=True)

    def release_conn(self) -> None:
        """Give the connection back: nothing more is read."""
        self._self_leave(self.__wrapped__.release_conn)

    def drain_conn(self) -> None:
        """Throw away what has not been read."""
        self._self_leave(self.__wrapped__.drain_conn)


def _host_of_pool(call: Call) -> str:
    url = call.get(1, "url")
    host: str = call.owner.host if url.startswith("/") else host_of(url)  # the latter where the pool's is a proxy
    return host


def _host(call: Call) -> str:
    return host_of(call.get(1, "url"))


def _begin_in_pool(observer: Observer, call: Call) -> Flight | None:
    pool, url = call.owner, call.get(1, "url")
    if url.startswith("/"):
        host = f"[{pool.host}]" if ":" in pool.host else pool.host
        url = f"{pool.scheme}://{host}:{pool.port or ''}{url}"
    return _start(observer, call, url, (2, 3))


def _begin(observer: Observer, call: Call) -> Flight | None:
    return _start(observer, call, call.get(1, "url"), (_BY_NAME, _BY_NAME))


_BY_NAME = 99  # a position that no argument has


def _start(observer: Observer, call: Call, url: str, positions: tuple[int, int]) -> Flight | None:
    body, headers = call.get(positions[0], "body"), call.get(positions[1], "headers")
    if headers is None:
        headers = call.owner.headers

    def add(added: Mapping[str, str]) -> None:
        call.put(positions[1], "headers", {**added, **headers})

    return begin(observer, call.get(0, "method"), url, (headers.items(), body), add)


def replace_pool_urlopen(original: Callable[..., Any], current: list[Observer]) -> Callable[..., Any]:
    """Return what takes the place of `HTTPConnectionPool.urlopen`."""
    return _replace(original, gate(current, _host_of_pool, _begin_in_pool))


def replace_urlopen(original: Callable[..., Any], current: list[Observer]) -> Callable[..., Any]:
    """Return what takes the place of `PoolManager.urlopen`."""
    return _replace(original, gate(current, _host, _begin))


def _replace(original: Callable[..., Any], enter: Callable[[Call], Flight | None]) -> Callable[..., Any]:
    @functools.wraps(original)
    def urlopen(owner: Any, *args: Any, **kwargs: Any) -> Any:
        call = Call(owner, args, kwargs)
        flight = enter(call)
        if flight is None:
            return original(owner, *args, **kwargs)
        with flight as exchange:
            response = original(owner, *call.args, **kwargs)
        tapped = settle(exchange, observe_response, response, kwargs.get("preload_content", True))
        return response if tapped is None else tapped

    return urlopen


def resends(response: Any) -> int:
    """Return how often urllib3 has sent again what it now has an answer to."""
    return len(getattr(getattr(response, "retries", None), "history", None) or ())


def observe_response(exchange: Exchange, response: Any, preloaded: Any) -> ResponseTap | None:
    """Tell the exchange of the response; returns what is to be read in its place, unless it was read at once."""
    exchange.resent = resends(response)
    if not preloaded and response.length_remaining != 0:
        return ResponseTap(response, exchange)
    headers = text_headers_of(response.headers.items())
    exchange.response(response.status, headers, decoded=bool(response.decode_content))
    exchange.feed(response.data if preloaded else b"")
    exchange.end()
    return None
