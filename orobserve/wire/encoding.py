"""Incremental content decoders: an HTTP library's raw stream holds wire bytes, and its own decoders are the caller's.

`br` and `zstd` need the packages that the HTTP libraries themselves use; an app that accepts these codings has them.
"""

from __future__ import annotations

import importlib
import zlib
from typing import Any, Protocol

_PIECE = 1 << 20  # a small input must not inflate without bound in one step


class DecodeError(ValueError):
    """The bytes are not in the coding that the header names, or its decoder is not installed."""


class Decoder(Protocol):
    """Turns wire bytes into content bytes, piece by piece."""

    def decode(self, data: bytes) -> bytes:
        """Return what can be decoded so far; raises `DecodeError`."""


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._inflater = zlib.decompressobj(window_bits)
        self._started = False

    def decode(self, data: bytes) -> bytes:
        try:
            return self._inflate(data)
        except zlib.error as error:
            if self._started or self._window_bits != zlib.MAX_WBITS:
                raise DecodeError(str(error)) from error
        self._window_bits = -zlib.MAX_WBITS  # "deflate" is sent with and without the zlib header (RFC 9110, 8.4.1.2)
        self._inflater = zlib.decompressobj(self._window_bits)
        return self.decode(data)

    def _inflate(self, data: bytes) -> bytes:
        parts = [self._inflater.decompress(data, _PIECE)]
        self._started = True
        while self._inflater.unconsumed_tail:
            parts.append(self._inflater.decompress(self._inflater.unconsumed_tail, _PIECE))
        return b"".join(parts)


class _Foreign:
    """A decompressor object of another package, by the name of its method."""

    def __init__(self, decompressor: Any, method: str) -> None:  # noqa: ANN401 - untyped packages
        self._decompress = getattr(decompressor, method)

    def decode(self, data: bytes) -> bytes:
        try:
            return bytes(self._decompress(data))
        except Exception as error:  # noqa: BLE001 - each package has its own error class
            raise DecodeError(str(error)) from error


class _Chain:
    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def decode(self, data: bytes) -> bytes:
        for decoder in self._decoders:
            data = decoder.decode(data)
        return data


def _brotli() -> Decoder:
    for name, method in (("brotli", "process"), ("brotlicffi", "decompress")):
        if module := _optional(name):
            return _Foreign(module.Decompressor(), method)
    raise DecodeError("content-encoding br: neither brotli nor brotlicffi is installed")


def _zstd() -> Decoder:
    for name in ("compression.zstd", "backports.zstd"):
        if module := _optional(name):
            return _Foreign(module.ZstdDecompressor(), "decompress")
    if module := _optional("zstandard"):
        return _Foreign(module.ZstdDecompressor().decompressobj(), "decompress")
    raise DecodeError("content-encoding zstd: neither backports.zstd nor zstandard is installed")


def _optional(name: str) -> Any:  # noqa: ANN401 - a module
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_FACTORIES = {
    "gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    "x-gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    "deflate": lambda: _Zlib(zlib.MAX_WBITS),
    "br": _brotli,
    "zstd": _zstd,
}


def decoder_for(content_encoding: str | None) -> Decoder | None:
    """Return a decoder for a Content-Encoding header, or None when the bytes are plain.

    Raises:
        DecodeError: an unknown coding, or one whose package is not installed.
    """
    codings = [name.strip().lower() for name in (content_encoding or "").split(",")]
    codings = [name for name in codings if name not in {"", "identity"}]
    if not codings:
        return None
    try:
        decoders = [_FACTORIES[name]() for name in reversed(codings)]
    except KeyError as error:
        raise DecodeError(f"content-encoding {error} is not known") from None
    return decoders[0] if len(decoders) == 1 else _Chain(decoders)
