"""The other libraries, as `sides.py` has httpx: each in its only colour, over real sockets."""

from __future__ import annotations

import http.client
import json
import weakref
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import requests
import urllib3

from tests.capture.sides import KEY, QUESTION, URL, Caller, Side, Steps, ask, side_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
CONNECT = 5.0  # seconds


@dataclass(frozen=True)
class OtherSide(Side):
    """A library that is not like httpx."""

    caller: type[OtherCaller]

    def raised(self, kind: str) -> tuple[type[BaseException], ...]:
        return self.caller.raised[kind]

    def told(self, kind: str) -> tuple[str, ...]:
        return self.caller.told.get(kind) or tuple(f"{e.__module__}.{e.__qualname__}" for e in self.raised(kind))

    def client(self, transport: Any = None, **options: Any) -> Caller:
        assert transport is None
        return self.caller(self, options)


class OtherCaller(Caller):
    """A client of such a library. Responses are the library's own."""

    raised: dict[str, tuple[type[BaseException], ...]]
    told: dict[str, tuple[str, ...]] = {}  # noqa: RUF012

    def __init__(self, side: Side, options: dict[str, Any]) -> None:
        super().__init__(side, None)
        self.seconds: float | None = None
        self.options = options

    async def __aexit__(self, *_: object) -> None:
        if self.inner is not None:
            await self._done(self.inner.close() if self.side.is_async else self._close())

    def _close(self) -> None:
        self.inner.close()

    def limit(self, seconds: float) -> None:
        self.seconds = seconds

    async def open(self, url: str = URL, **fields: Any) -> Any:
        return await self._done(self.start(url, ask(stream=True, **fields), streamed=True))

    async def post(self, url: str = URL, **options: Any) -> Any:
        response = await self._done(self.start(url, QUESTION, streamed=False))
        await self.read(response)
        return response

    def status(self, response: Any) -> int:
        return response.status_code if self.side.name == "requests" else response.status

    def start(self, url: str, body: Any, *, streamed: bool) -> Any:
        raise NotImplementedError


class Requests(OtherCaller):
    raised = {  # noqa: RUF012
        "connect": (requests.ConnectionError,),
        "lost": (requests.ConnectionError, requests.exceptions.ChunkedEncodingError),
        "torn": (requests.exceptions.ChunkedEncodingError,),
        "timeout": (requests.ConnectionError, requests.ReadTimeout),
    }
    told = {  # noqa: RUF012 - of the layer beneath, once the body is being read
        "lost": ("requests.exceptions.ConnectionError", "urllib3.exceptions.ProtocolError"),
        "torn": ("urllib3.exceptions.ProtocolError",),
        "timeout": ("urllib3.exceptions.ReadTimeoutError",),
    }

    def start(self, url: str, body: Any, *, streamed: bool) -> Any:
        self.inner = self.inner or requests.Session()
        timeout = (CONNECT, self.seconds)
        return self.inner.post(url, json=body, headers=HEADERS, stream=streamed, timeout=timeout)

    def lines(self, response: Any) -> AsyncIterator[str]:
        return Steps(line.decode() for line in response.iter_lines())  # type: ignore[return-value]

    async def read(self, response: Any) -> bytes:
        return response.content

    def is_open(self, response: Any) -> bool:
        return not response.raw.closed


class Urllib3(OtherCaller):
    raised = {  # noqa: RUF012
        "connect": (urllib3.exceptions.MaxRetryError,),
        "lost": (urllib3.exceptions.ProtocolError,),
        "torn": (urllib3.exceptions.ProtocolError,),
        "timeout": (urllib3.exceptions.ReadTimeoutError,),
    }

    def start(self, url: str, body: Any, *, streamed: bool) -> Any:
        self.inner = self.inner or urllib3.PoolManager()
        timeout = urllib3.Timeout(connect=CONNECT, read=self.seconds)
        # "lost before" is to be seen, rather than to be tried again
        retries = urllib3.Retry(connect=0, read=False, other=False, redirect=0, status=False)
        return self.inner.request(
            "POST",
            url,
            body=json.dumps(body).encode(),
            headers=HEADERS,
            preload_content=not streamed,
            timeout=timeout,
            retries=retries,
        )

    def _close(self) -> None:
        self.inner.clear()

    def lines(self, response: Any) -> AsyncIterator[str]:
        return Steps(split(response.stream(decode_content=True)))  # type: ignore[return-value]

    async def read(self, response: Any) -> bytes:
        return response.data

    def is_open(self, response: Any) -> bool:
        return not response.closed


class HttpClient(OtherCaller):
    raised = {  # noqa: RUF012
        "connect": (ConnectionRefusedError,),
        "lost": (ConnectionError, http.client.IncompleteRead),
        "torn": (http.client.IncompleteRead,),
        "timeout": (TimeoutError,),
    }
    told = {  # noqa: RUF012
        "lost": (
            "builtins.ConnectionResetError",
            "http.client.IncompleteRead",
            "http.client.RemoteDisconnected",
        ),
        "timeout": ("builtins.TimeoutError", "socket.timeout"),
    }

    def start(self, url: str, body: Any, *, streamed: bool) -> Any:
        del streamed
        parts = urlsplit(url)
        if self.inner is not None:
            self.inner.close()
        self.inner = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self.seconds or CONNECT)
        self.inner.request("POST", parts.path, json.dumps(body).encode(), HEADERS)
        return self.inner.getresponse()

    def lines(self, response: Any) -> AsyncIterator[str]:
        if response.getheader("content-encoding") != "gzip":
            return Steps(line.decode().rstrip("\n") for line in response)  # type: ignore[return-value]
        unpack = zlib.decompressobj(31)
        return Steps(split(unpack.decompress(piece) for piece in iter(response.read1, b"")))  # type: ignore[return-value]

    async def read(self, response: Any) -> bytes:
        return response.read()

    def is_open(self, response: Any) -> bool:
        return not response.closed


class Aiohttp(OtherCaller):
    raised = {  # noqa: RUF012
        "connect": (aiohttp.ClientConnectorError,),
        "lost": (aiohttp.ClientError,),
        "torn": (aiohttp.ClientPayloadError,),
        "timeout": (aiohttp.ServerTimeoutError,),
    }
    told = {  # noqa: RUF012
        "lost": (
            "aiohttp.client_exceptions.ClientOSError",
            "aiohttp.client_exceptions.ServerDisconnectedError",
            "aiohttp.client_exceptions.ClientPayloadError",
        ),
        "timeout": (
            "aiohttp.client_exceptions.SocketTimeoutError",
            "aiohttp.client_exceptions.ServerTimeoutError",
        ),
    }

    def __init__(self, side: Side, options: dict[str, Any]) -> None:
        super().__init__(side, options)
        self.responses: weakref.WeakSet[Any] = weakref.WeakSet()

    async def __aexit__(self, *error: object) -> None:
        for response in list(self.responses):
            response.close()  # or it would complain in another test
        await super().__aexit__(*error)

    async def start(self, url: str, body: Any, *, streamed: bool) -> Any:
        del streamed
        self.inner = self.inner or aiohttp.ClientSession(**self.options)
        timeout = aiohttp.ClientTimeout(sock_connect=CONNECT, sock_read=self.seconds)
        response = await self.inner.post(url, json=body, headers=HEADERS, timeout=timeout)
        self.responses.add(response)
        return response

    async def lines(self, response: Any) -> AsyncIterator[str]:  # type: ignore[override]
        async for line in response.content:
            yield line.decode().rstrip("\n")

    async def read(self, response: Any) -> bytes:
        return await response.read()

    async def close(self, response: Any) -> None:
        response.close()

    def is_open(self, response: Any) -> bool:
        return response.content.exception() is None

    async def arrive(self, response: Any) -> None:
        await response.content.wait_eof()  # until then the connection holds it

    def abandon(self, response: Any) -> None:
        response.close()  # as `async with` does


def split(pieces: Iterator[bytes]) -> Iterator[str]:
    """Yield the lines of pieces."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode() for line in lines)


CALLERS: dict[str, tuple[str, type[OtherCaller]]] = {
    "requests": ("sync", Requests),
    "urllib3": ("sync", Urllib3),
    "http.client": ("sync", HttpClient),
    "aiohttp": ("asyncio", Aiohttp),
}


def other_side(name: str) -> OtherSide:
    """Return the side of one of these libraries."""
    colour, caller = CALLERS[name]
    return OtherSide(side_of(name, colour).lib, colour, caller)


OTHERS = [pytest.param(other_side(name), id=name) for name in CALLERS]
every_other_side = pytest.mark.parametrize("side", OTHERS)
