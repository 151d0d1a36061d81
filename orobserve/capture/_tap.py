"""The two shells around streams that are iterated: they hand on every chunk as it is and tell the exchange about it.

A tap is a transparent proxy of the stream object, so that its type and attributes stay what they were. `_files.py` has
the shell around what is read like a file.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import wrapt

from orobserve._guard import guard, guarded
from orobserve.generation import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from orobserve.wire.exchange import Exchange

    _Proxy = wrapt.ObjectProxy[Any]
else:
    _Proxy = wrapt.ObjectProxy  # generic only in wrapt 2


def end(exchange: Exchange, reason: BaseException | Outcome | None = None) -> None:
    """End a call, whatever comes of it."""
    with guard:
        exchange.end(reason)


class _Reference(weakref.ref["Tap"]):
    """Known by its own identity: the callers' streams may equal each other, and need not be hashable."""

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__


_open: dict[_Reference, Exchange] = {}  # of every stream object that is alive
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.clear)  # what was open then is the parent's


def _forgotten(tap: _Reference) -> None:
    """End what nobody read and nobody closed; runs in the garbage collector."""
    exchange = _open.pop(tap, None)
    if exchange is not None:
        end(exchange, Outcome.ABANDONED)


def end_open_streams() -> None:
    """End every stream that is still open, because the process ends."""
    for exchange in list(_open.values()):
        end(exchange, Outcome.ABANDONED)


class Tap(_Proxy):
    """A stream object with its exchange, which ends at the latest when nobody holds the stream any more."""

    def __init__(self, stream: Any, exchange: Exchange) -> None:  # noqa: ANN401 - any library's stream
        super().__init__(stream)
        self._self_exchange = exchange
        _open[_Reference(self, _forgotten)] = exchange


class SyncTap(Tap):
    """A tapped synchronous byte stream."""

    def __iter__(self) -> Iterator[bytes]:
        exchange = self._self_exchange
        feed = guarded(exchange.feed)
        try:
            for chunk in self.__wrapped__:
                feed(chunk)
                yield chunk
        except BaseException as error:
            end(exchange, Outcome.CANCELLED if isinstance(error, GeneratorExit) else error)
            raise
        end(exchange)

    def close(self) -> None:
        """Close the stream, then end the call."""
        try:
            self.__wrapped__.close()
        finally:
            end(self._self_exchange, Outcome.CANCELLED)


class AsyncTap(Tap):
    """A tapped asynchronous byte stream."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        exchange = self._self_exchange
        feed = guarded(exchange.feed)
        chunks = self.__wrapped__.__aiter__()
        try:
            async for chunk in chunks:
                feed(chunk)
                yield chunk
        except BaseException as error:
            end(exchange, Outcome.CANCELLED if isinstance(error, GeneratorExit) else error)
            raise
        finally:
            if isinstance(chunks, AsyncGenerator):  # as httpx2 would, were we not in between
                await chunks.aclose()
        end(exchange)

    async def aclose(self) -> None:
        """Close the stream, then end the call."""
        try:
            await self.__wrapped__.aclose()
        finally:
            end(self._self_exchange, Outcome.CANCELLED)
