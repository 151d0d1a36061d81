"""Ways to cut bytes into chunks, to rewrite a stream's framing, and to compress."""

from __future__ import annotations

import gzip
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import brotli
import zstandard
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut at these places; equal places make empty chunks."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


def every(data: bytes, size: int) -> list[bytes]:
    """Cut into chunks of one size."""
    return [data[start : start + size] for start in range(0, len(data), size)]


PLACES = st.lists(st.integers(0, 2**20), max_size=12)


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


CODINGS: Mapping[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate-zlib": ("deflate", zlib.compress),
    "deflate-raw": ("deflate", _raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress),
    "two": ("gzip, identity, br", lambda data: brotli.compress(gzip.compress(data))),
}


def _events(stream: bytes) -> list[bytes]:
    return [event for event in stream.split(b"\n\n") if event]


def _split_data(stream: bytes) -> bytes:
    """Put a line break after the first comma outside of strings: JSON allows it, and so does the protocol."""
    rows = []
    for line in stream.split(b"\n"):
        quoted = False
        for place, byte in enumerate(line):
            if byte == ord('"') and line[place - 1 : place] != b"\\":
                quoted = not quoted
            elif byte == ord(",") and not quoted and line.startswith(b"data: {"):
                rows += [line[: place + 1], b"data: " + line[place + 1 :]]
                break
        else:
            rows.append(line)
    return b"\n".join(rows)


# Each keeps what the stream says.
FRAMINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "cr": lambda stream: stream.replace(b"\n", b"\r"),
    "crlf": lambda stream: stream.replace(b"\n", b"\r\n"),
    "bom": lambda stream: b"\xef\xbb\xbf" + stream,
    "no space": lambda stream: stream.replace(b"data: ", b"data:").replace(b"event: ", b"event:"),
    "several lines": _split_data,
    "other fields": lambda stream: stream.replace(b"data: ", b"id: 7\nretry: 10\nunknown\ndata: "),
    "blank lines": lambda stream: b"\n\n" + stream.replace(b"\n\n", b"\n\n\n\n"),
}
COMMENTS: Mapping[str, Callable[[bytes], bytes]] = {
    "before": lambda stream: b"".join(b": OPENROUTER PROCESSING\n\n" + event + b"\n\n" for event in _events(stream)),
    "inside": lambda stream: b"".join(b":\n" + event + b"\n\n" for event in _events(stream)),
    "after": lambda stream: b"".join(event + b"\n:keep-alive\n\n" for event in _events(stream)),
}
