"""Both libraries and all colours in one text: coroutines that, over a synchronous client, never wait."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from typing_extensions import Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from types import ModuleType

LIBRARIES = ("httpx", "httpx2")
COLOURS = ("sync", "asyncio", "trio")
URL = "https://openrouter.ai/api/v1/chat/completions"
KEY = "sk-or-v1-0123456789abcdef"
HANGS_AFTER = 30.0  # seconds: a test that waits this long has hung
QUESTION = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hello there"}]}


ERRORS = {
    "connect": ("ConnectError",),
    "lost": ("ReadError", "RemoteProtocolError"),
    "torn": ("RemoteProtocolError",),
    "timeout": ("ReadTimeout",),
}


class Steps:
    """A synchronous iterator as an asynchronous one that never waits."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)

    def __aiter__(self) -> Steps:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._items)
        except StopIteration:
            raise StopAsyncIteration from None


async def _limited(function: Callable[[], Awaitable[Any]]) -> Any:
    with anyio.fail_after(HANGS_AFTER):
        return await function()


@dataclass(frozen=True)
class Side:
    """One library in one colour."""

    lib: ModuleType
    colour: str

    @property
    def is_async(self) -> bool:
        return self.colour != "sync"

    def run(self, function: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """Run a coroutine function to its end."""
        if self.is_async:
            return anyio.run(_limited, partial(function, *args, **kwargs), backend=self.colour)
        coroutine: Any = function(*args, **kwargs)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value
        coroutine.close()
        raise AssertionError("the synchronous side waited")

    @property
    def client_class(self) -> type:
        return self.lib.AsyncClient if self.is_async else self.lib.Client

    @property
    def name(self) -> str:
        """The library's name, as the types of its exceptions spell it."""
        return self.lib.__name__

    def raised(self, kind: str) -> tuple[type[BaseException], ...]:
        """Return what the caller gets to see when a connection fails: `connect`, `lost`, `torn` or `timeout`."""
        return tuple(getattr(self.lib, name) for name in ERRORS[kind])

    def told(self, kind: str) -> tuple[str, ...]:
        """Return what `error.type` may then say."""
        return tuple(f"{self.lib.__name__}.{name}" for name in ERRORS[kind])

    def client(self, transport: Any = None, **options: Any) -> Caller:
        """Make a client, over the network unless a transport is given."""
        headers = {"Authorization": f"Bearer {KEY}"} | options.pop("headers", {})
        return Caller(self, self.client_class(verify=False, transport=transport, headers=headers, **options))

    def body(self, chunks: Iterable[bytes]) -> Any:
        """Make a response stream of this library and colour."""
        return (_async_body if self.is_async else _sync_body)(self.lib, chunks)

    def mock(self, handler: Callable[[Any], Any]) -> Any:
        return self.lib.MockTransport(handler)


class Caller:
    """A client as a caller uses it, in either colour."""

    def __init__(self, side: Side, inner: Any) -> None:
        self.side = side
        self.inner = inner

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._done(self.inner.aclose() if self.side.is_async else self.inner.close())

    async def _done(self, result: Any) -> Any:
        return await result if self.side.is_async else result

    async def send(self, request: Any, **options: Any) -> Any:
        return await self._done(self.inner.send(request, **options))

    async def open(self, url: str = URL, **fields: Any) -> Any:
        """Start a streamed call."""
        return await self.send(self.inner.build_request("POST", url, json=ask(stream=True, **fields)), stream=True)

    async def post(self, url: str = URL, **options: Any) -> Any:
        """Make a call that is read at once."""
        return await self._done(self.inner.post(url, **{"json": QUESTION} | options))

    async def read(self, response: Any) -> bytes:
        return await self._done(response.aread() if self.side.is_async else response.read())

    async def close(self, response: Any) -> None:
        await self._done(response.aclose() if self.side.is_async else response.close())

    def status(self, response: Any) -> int:
        return response.status_code

    def is_open(self, response: Any) -> bool:
        return not response.is_closed

    def limit(self, seconds: float) -> None:
        """Wait no longer than this for the next bytes."""
        self.inner.timeout = self.side.lib.Timeout(5.0, read=seconds)

    async def arrive(self, response: Any) -> None:
        """Wait for what keeps an unread response alive, if anything does."""

    def abandon(self, response: Any) -> None:
        """Do what a caller has to whose task is cancelled."""

    def iterate(self, response: Any, what: str, *args: Any) -> AsyncIterator[Any]:
        """Iterate over `raw`, `bytes`, `text` or `lines`."""
        if self.side.is_async:
            return getattr(response, f"aiter_{what}")(*args)
        return Steps(getattr(response, f"iter_{what}")(*args))  # type: ignore[return-value]

    def lines(self, response: Any) -> AsyncIterator[str]:
        return self.iterate(response, "lines")


def ask(**fields: Any) -> dict[str, Any]:
    """Return the body of a chat request."""
    return {**QUESTION, **fields}


def _sync_body(library: ModuleType, chunks: Iterable[bytes]) -> Any:
    class Body(library.SyncByteStream):
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            yield from chunks

        def close(self) -> None:
            self.closed = True

    return Body()


def _async_body(library: ModuleType, chunks: Iterable[bytes]) -> Any:
    class Body(library.AsyncByteStream):
        closed = False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk

        async def aclose(self) -> None:
            self.closed = True

    return Body()


ALL_SIDES = [(library, colour) for library in LIBRARIES for colour in COLOURS]


def side_of(library: str, colour: str) -> Side:
    return Side(importlib.import_module(library), colour)


EVERY = [pytest.param(side_of(*pair), id="-".join(pair)) for pair in ALL_SIDES]
every_side = pytest.mark.parametrize("side", EVERY)
# Where the event loop makes no difference, one of them is enough.
both_colours = pytest.mark.parametrize(
    "side", [pytest.param(side_of(*pair), id="-".join(pair)) for pair in ALL_SIDES if pair[1] != "trio"]
)
