"""An upstream that costs next to nothing: `python tests/benchmarks/upstream.py` prints its port and serves.

What it answers is in the request's headers: `x-chunks` events, `x-gap` seconds between them (0: as fast as it can),
`x-silence` seconds before the first. Each event is an HTTP chunk and a write of its own, and says when it was sent.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time

HEAD = (
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-generation-id: {id}\r\ntransfer-encoding: chunked\r\n\r\n"
)
CHUNK = '{"id":"%s","object":"chat.completion.chunk","created":1763844830,"model":"openai/gpt-4o",'
CHUNK += '"provider":"OpenAI","sent":%d,"choices":[{"index":0,"delta":{"role":"assistant","content":" word"},'
CHUNK += '"finish_reason":null,"native_finish_reason":null,"logprobs":null}]}'
USAGE = {"prompt_tokens": 420, "completion_tokens": 300, "total_tokens": 720, "cost": 0.00405}
LAST = {
    "object": "chat.completion.chunk",
    "created": 1763844830,
    "model": "openai/gpt-4o",
    "provider": "OpenAI",
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def event(data: str) -> bytes:
    """Return an event as a chunk."""
    text = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(text), text)


_numbers = itertools.count(1)


async def stream(writer: asyncio.StreamWriter, headers: dict[str, str]) -> None:
    """Answer with a stream."""
    gap = float(headers.get("x-gap", "0"))
    name = f"gen-1763844830-{next(_numbers)}"  # of its own: the ledger takes what has one name for one call
    writer.write(HEAD.format(id=name).encode())
    if silence := float(headers.get("x-silence", "0")):
        await asyncio.sleep(silence)
    due = time.monotonic()
    for _ in range(int(headers.get("x-chunks", "300"))):
        writer.write(event(CHUNK % (name, time.monotonic_ns())))
        due += gap
        await asyncio.sleep(max(0.0, due - time.monotonic()) if gap else 0)
        await writer.drain()
    writer.write(event(json.dumps({"id": name, **LAST})) + event("[DONE]") + b"0\r\n\r\n")
    await writer.drain()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of a connection."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            line, *rest = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in rest if item)}
            await reader.readexactly(int(headers.get("content-length", "0")))
            if "/chat/completions" in line:
                await stream(writer, headers)
            else:
                writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
