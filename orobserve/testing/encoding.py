"""Content encodings for responses: gzip and deflate from the standard library, br and zstd when installed."""

from __future__ import annotations

import importlib
import zlib
from typing import Any, Protocol

_GZIP_WINDOW = 31


class Encoder(Protocol):
    """Compresses piece by piece, so that a stream still arrives piece by piece."""

    def push(self, data: bytes) -> bytes:
        """Compress and flush one piece."""

    def end(self) -> bytes:
        """Finish the body."""


class _Identity:
    def push(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


class _Zlib:
    def __init__(self, window: int) -> None:
        self._compressor = zlib.compressobj(wbits=window)

    def push(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._compressor.flush()


class _Brotli:
    def __init__(self) -> None:
        self._compressor: Any = importlib.import_module("brotli").Compressor()

    def push(self, data: bytes) -> bytes:
        return bytes(self._compressor.process(data) + self._compressor.flush())

    def end(self) -> bytes:
        return bytes(self._compressor.finish())


class _Zstandard:
    def __init__(self) -> None:
        self._module: Any = importlib.import_module("zstandard")
        self._compressor = self._module.ZstdCompressor().compressobj()

    def push(self, data: bytes) -> bytes:
        return bytes(self._compressor.compress(data) + self._compressor.flush(self._module.COMPRESSOBJ_FLUSH_BLOCK))

    def end(self) -> bytes:
        return bytes(self._compressor.flush(self._module.COMPRESSOBJ_FLUSH_FINISH))


def encoder(name: str) -> Encoder:
    """Start an encoder; ModuleNotFoundError when br or zstd is asked for and its package is not installed."""
    if name == "gzip":
        return _Zlib(_GZIP_WINDOW)
    if name == "deflate":
        return _Zlib(zlib.MAX_WBITS)
    if name == "br":
        return _Brotli()
    return _Zstandard() if name == "zstd" else _Identity()
