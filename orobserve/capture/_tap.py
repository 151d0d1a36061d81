"""The only two shells around a caller's stream: they hand on every chunk as it is and tell the exchange about it.

A tap is a transparent proxy of the stream object, so that its type and attributes stay what they were.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import wrapt

from orobserve._guard import guard
from orobserve.generation import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from orobserve.wire.exchange import Exchange


def _end(exchange: Exchange, reason: BaseException | Outcome | None = None) -> None:
    with guard:
        exchange.end(reason)


def _abandon(exchange: Exchange) -> None:
    """End what nobody read and nobody closed; runs in the garbage collector."""
    _end(exchange, Outcome.ABANDONED)


class _Tap(wrapt.ObjectProxy[Any]):
    def __init__(self, stream: Any, exchange: Exchange) -> None:  # noqa: ANN401 - any library's stream
        super().__init__(stream)
        self._self_exchange = exchange
        weakref.finalize(self, _abandon, exchange).atexit = False


class SyncTap(_Tap):
    """A tapped synchronous byte stream."""

    def __iter__(self) -> Iterator[bytes]:
        exchange = self._self_exchange
        try:
            for chunk in self.__wrapped__:
                with guard:
                    exchange.feed(chunk)
                yield chunk
        except BaseException as error:
            _end(exchange, Outcome.CANCELLED if isinstance(error, GeneratorExit) else error)
            raise
        _end(exchange)

    def close(self) -> None:
        """Close the stream, then end the call."""
        try:
            self.__wrapped__.close()
        finally:
            _end(self._self_exchange, Outcome.CANCELLED)


class AsyncTap(_Tap):
    """A tapped asynchronous byte stream."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        exchange = self._self_exchange
        try:
            async for chunk in self.__wrapped__:
                with guard:
                    exchange.feed(chunk)
                yield chunk
        except BaseException as error:
            _end(exchange, Outcome.CANCELLED if isinstance(error, GeneratorExit) else error)
            raise
        _end(exchange)

    async def aclose(self) -> None:
        """Close the stream, then end the call."""
        try:
            await self.__wrapped__.aclose()
        finally:
            _end(self._self_exchange, Outcome.CANCELLED)
