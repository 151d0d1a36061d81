"""Incremental content decoders: an HTTP library's raw stream holds wire bytes, and its own decoders are the caller's.

`br` and `zstd` need the packages that the HTTP libraries themselves use; an app that accepts these codings has them.
"""

from __future__ import annotations

import importlib
import zlib
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ZLIB_HEADER = 2  # bytes
_PIECE = 1 << 20  # inflated in steps, as a small input can become very large


class DecodeError(ValueError):
    """The bytes are not in the coding that the header names, or its decoder is not installed."""


class Decoder(Protocol):
    """Turns wire bytes into content bytes, piece by piece."""

    def decode(self, data: bytes) -> bytes:
        """Return what can be decoded so far; raises `DecodeError`."""


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._inflater = zlib.decompressobj(window_bits)

    def decode(self, data: bytes) -> bytes:
        try:
            parts = [self._inflater.decompress(data, _PIECE)]
            while len(parts[-1]) == _PIECE:  # the rest may be in the input or already inside the inflater
                parts.append(self._inflater.decompress(self._inflater.unconsumed_tail, _PIECE))
        except zlib.error as error:
            raise DecodeError(str(error)) from error
        return b"".join(parts)


class _Deflate:
    """The coding `deflate`: sent with and without the zlib header (RFC 9110, 8.4.1.2), whose two bytes tell."""

    def __init__(self) -> None:
        self._head = b""
        self._inner: _Zlib | None = None

    def decode(self, data: bytes) -> bytes:
        if self._inner is None:
            data = self._head + data
            if len(data) < _ZLIB_HEADER:
                self._head = data
                return b""
            has_header = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0
            self._inner = _Zlib(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
        return self._inner.decode(data)


class _Brotli:
    """A decompressor of `brotli` or `brotlicffi`, by the name of its method."""

    def __init__(self, decompressor: Any, method: str) -> None:  # noqa: ANN401 - untyped packages
        self._decompress = getattr(decompressor, method)

    def decode(self, data: bytes) -> bytes:
        try:
            return bytes(self._decompress(data))
        except Exception as error:  # each package has its own error class
            raise DecodeError(str(error)) from error


class _Zstd:
    """Decompressors of a zstd package, one for each frame (RFC 8878, 3)."""

    def __init__(self, new_frame: Callable[[], Any]) -> None:
        self._new_frame = new_frame
        self._frame = new_frame()

    def decode(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        try:
            while data:
                if self._frame.eof:
                    self._frame = self._new_frame()
                parts.append(self._frame.decompress(data))
                data = self._frame.unused_data if self._frame.eof else b""
        except Exception as error:  # each package has its own error class
            raise DecodeError(str(error)) from error
        return b"".join(parts)


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
            return _Brotli(module.Decompressor(), method)
    raise DecodeError("content-encoding br: neither brotli nor brotlicffi is installed")


def _zstd() -> Decoder:
    for name in ("compression.zstd", "backports.zstd"):
        if module := _optional(name):
            return _Zstd(module.ZstdDecompressor)
    if module := _optional("zstandard"):
        return _Zstd(lambda: module.ZstdDecompressor().decompressobj())
    raise DecodeError("content-encoding zstd: neither backports.zstd nor zstandard is installed")


def _optional(name: str) -> Any:  # noqa: ANN401 - a module
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_FACTORIES: Mapping[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    "x-gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    "deflate": _Deflate,
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
