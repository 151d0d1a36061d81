"""What a caller can see of a call, to be compared with and without us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.capture.sides import Caller


def facts(client: Caller, response: Any) -> dict[str, Any]:
    """Return what a caller can see of a response."""
    library, stream = client.side.lib, response.stream
    return {
        "type": type(response),
        "stream": (isinstance(stream, library.SyncByteStream), isinstance(stream, library.AsyncByteStream)),
        "stream class": stream.__class__,
        "status": (response.status_code, response.reason_phrase, response.http_version),
        "headers": [(name, value) for name, value in response.headers.multi_items() if name != "date"],
        "state": (response.is_closed, response.is_stream_consumed, response.num_bytes_downloaded),
        "extensions": sorted(response.extensions),
        "history": response.history,
        "next": response.next_request,
        "encoding": (response.encoding, response.charset_encoding),
    }


async def look(client: Caller, url: str, way: str) -> list[Any]:
    """Make a streamed call, read it in one way, and note everything that can be seen; errors by type and text."""
    library, seen = client.side.lib, []
    try:
        response = await client.open(url)
        seen.append(facts(client, response))
        if way == "read":
            seen.append(await client.read(response))
        elif way == "fixed":
            seen.append([chunk async for chunk in client.iterate(response, "bytes", 10)])
        else:
            async for chunk in client.iterate(response, way):
                seen.append((chunk, response.is_closed, response.num_bytes_downloaded))  # noqa: PERF401 - kept if it fails
        seen.append(facts(client, response))
        seen.append(response.elapsed.total_seconds() > 0)
        await client.close(response)
    except library.HTTPError as error:
        seen.append((type(error), str(error), type(error.__cause__), type(error.__context__)))
    return seen


def joined(visit: tuple[list[Any], list[Any]], way: str) -> tuple[list[Any], list[Any]]:
    seen, sent = visit
    chunks = [item[0] for item in seen if isinstance(item, tuple) and isinstance(item[0], str | bytes)]
    others = [item for item in seen if not (isinstance(item, tuple) and isinstance(item[0], str | bytes))]
    return [("" if way == "text" else b"").join(chunks), *others], sent
