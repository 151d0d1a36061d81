"""Every way of reading a response of requests, urllib3, http.client and aiohttp; each returns all that it saw."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.capture.sides import Caller


def until_empty(read: Callable[[], bytes]) -> list[bytes]:
    return list(iter(read, b""))


def into(response: Any, method: str = "readinto") -> list[bytes]:
    seen, buffer = [], bytearray(16)
    while count := getattr(response, method)(buffer):
        seen.append(bytes(buffer[:count]))
    return seen


def entered(response: Any, read: Callable[[Any], Any]) -> Any:
    with response as inner:
        return read(inner), inner is response, response.closed


FILES: dict[str, Callable[[Any], Any]] = {
    "read": lambda r: [r.read(), r.read(), r.closed],
    "read-16": lambda r: [until_empty(lambda: r.read(16)), r.closed],
    "read-0": lambda r: [r.read(0), r.read()],
    "read1": lambda r: until_empty(lambda: r.read1(16)),
    "readinto": into,
    "readline": lambda r: until_empty(r.readline),
    "readlines": lambda r: r.readlines(),
    "iterate": list,
    "with": lambda r: entered(r, lambda inner: inner.read()),
    "text": lambda r: io.TextIOWrapper(r, "utf-8", "replace").read(),
    "close": lambda r: [r.read(10), r.close(), r.closed],
}
HTTP_CLIENT: dict[str, Callable[[Any], Any]] = {
    **FILES,
    "peek": lambda r: [r.peek(8)[:4], r.read(4), r.read()],
    "readinto1": lambda r: into(r, "readinto1"),
}
URLLIB3: dict[str, Callable[[Any], Any]] = {
    **FILES,
    "data": lambda r: [r.data, r.data, r.read()],
    "json": lambda r: r.json(),
    "raw": lambda r: [r.read(decode_content=False), r.tell()],
    "stream": lambda r: list(r.stream()),
    "stream-16": lambda r: list(r.stream(16)),
    "stream-16-decoded": lambda r: list(r.stream(16, decode_content=True)),
    "read_chunked": lambda r: list(r.read_chunked(decode_content=True)),
    "release": lambda r: [r.read(10), r.release_conn(), r.connection],
    "drain": lambda r: [r.read(10), r.drain_conn(), r.read()],
}


def entered_session(response: Any) -> Any:
    with response as inner:
        return inner is response, next(inner.iter_lines()), inner.raw.closed


REQUESTS: dict[str, Callable[[Any], Any]] = {
    "content": lambda r: [r.content, list(r.iter_content(7)), r.raw.read()],
    "text": lambda r: [r.text, r.encoding],
    "json": lambda r: r.json(),
    "iter_content": lambda r: list(r.iter_content()),
    "iter_content-16": lambda r: list(r.iter_content(16)),
    "iter_content-text": lambda r: list(r.iter_content(16, decode_unicode=True)),
    "iter_content-none": lambda r: list(r.iter_content(None)),
    "iter_lines": lambda r: list(r.iter_lines()),
    "iterate": list,
    "with": entered_session,
    **{f"raw-{name}": lambda r, read=read: read(r.raw) for name, read in URLLIB3.items()},
}


async def each(items: Any) -> list[Any]:
    return [item async for item in items]


async def until_empty_async(read: Callable[[], Awaitable[Any]]) -> list[Any]:
    seen = []
    while (piece := await read()) and piece != (b"", False):
        seen.append(piece)
    return seen


AIOHTTP: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "read": lambda r: r.read(),
    "text": lambda r: r.text(),
    "json": lambda r: r.json(content_type=None),
    "content-read": lambda r: r.content.read(),
    "content-read-16": lambda r: until_empty_async(lambda: r.content.read(16)),
    "readany": lambda r: until_empty_async(r.content.readany),
    "readline": lambda r: until_empty_async(r.content.readline),
    "readuntil": lambda r: until_empty_async(lambda: r.content.readuntil(b"}")),
    "readchunk": lambda r: until_empty_async(r.content.readchunk),
    "readexactly": lambda r: until_empty_async(lambda: r.content.readexactly(40)),
    "iterate": lambda r: each(r.content),
    "iter_any": lambda r: each(r.content.iter_any()),
    "iter_chunked": lambda r: each(r.content.iter_chunked(16)),
    "iter_chunks": lambda r: each(r.content.iter_chunks()),
}
READINGS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "requests": REQUESTS,
    "urllib3": URLLIB3,
    "http.client": HTTP_CLIENT,
    "aiohttp": AIOHTTP,
}
# Where one piece ends and the next begins is the network's choice, not the library's.
UNSTEADY = {"read1", "raw-read1", "readinto1", "content-read-16", "readany", "readchunk"}
UNSTEADY |= {"iter_any", "iter_chunked", "iter_chunks"}


def facts(response: Any) -> dict[str, Any]:
    """Return what a caller can see of a response before it is read."""
    inner = getattr(response, "raw", getattr(response, "content", response))
    return {
        "type": response.__class__,
        "inner": inner.__class__,
        "bases": (isinstance(inner, io.IOBase), isinstance(response, io.IOBase)),
        "status": getattr(response, "status_code", None) or response.status,
        "reason": response.reason,
        "headers": [item for item in response.headers.items() if item[0].lower() != "date"],
        "attributes": sorted(name for name in dir(inner) if not name.startswith("_self_")),
    }


async def look(client: Caller, url: str, way: str) -> list[Any]:
    """Make a streamed call, read it in one way, and note everything that can be seen; errors by type and text."""
    seen: list[Any] = []
    read = READINGS[client.side.name][way]
    try:
        response = await client.open(url)
        seen.append(facts(response))
        result = read(response)
        result = await result if client.side.is_async else result
        seen.append(joined(result) if way in UNSTEADY else result)
    except Exception as error:  # noqa: BLE001 - whatever the caller sees
        chain = [type(error), type(error.__cause__), type(error.__context__)]
        seen.append((chain, re.sub(r"0x[0-9a-f]+|port=\d+|:\d+", "", str(error))))
    return seen


def joined(pieces: list[Any]) -> bytes:
    return b"".join(piece[0] if isinstance(piece, tuple) else piece for piece in pieces)
