"""Content codings, piece by piece."""

from __future__ import annotations

import gzip
import importlib
import types
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from orobserve.wire import encoding
from orobserve.wire.encoding import DecodeError, decoder_for
from tests.support.chunks import CODINGS, PLACES, cut, every

MEGABYTE = 1 << 20


def decode(coding, chunks):
    """Decode chunks with a new decoder."""
    decoder = decoder_for(coding)
    return b"".join(decoder.decode(chunk) for chunk in chunks)


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.binary(max_size=2000), places=PLACES)
def test_any_bytes_in_any_chunks(coding: str, data: bytes, places: list[int]) -> None:
    name, compress = CODINGS[coding]
    packed = compress(data)
    assert decode(name, cut(packed, places)) == data
    assert decode(name, every(packed, 1)) == data


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("beyond", [-1, 0, 1, 100, 258, MEGABYTE])
def test_nothing_is_lost_at_the_inflation_step(coding: str, beyond: int) -> None:
    name, compress = CODINGS[coding]
    data = b"a" * (MEGABYTE + beyond)
    assert decode(name, [compress(data)]) == data


@pytest.mark.parametrize("coding", CODINGS)
def test_nothing_after_the_end_is_no_fault(coding: str) -> None:
    name, compress = CODINGS[coding]
    assert decode(name, [b"", compress(b"hello"), b"", b""]) == b"hello"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_flushed_pieces_come_out_at_once(coding: str) -> None:
    packers = {
        "gzip": lambda: zlib.compressobj(wbits=31),
        "deflate": zlib.compressobj,
        "br": brotli.Compressor,
        "zstd": lambda: zstandard.ZstdCompressor().compressobj(),
    }
    packer, decoder = packers[coding](), decoder_for(coding)
    for word in (b"data: 1\n\n", b"data: 2\n\n"):
        if coding == "br":
            packed = packer.process(word) + packer.flush()
        elif coding == "zstd":
            packed = packer.compress(word) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        else:
            packed = packer.compress(word) + packer.flush(zlib.Z_SYNC_FLUSH)
        assert decoder.decode(packed) == word


@given(words=st.lists(st.binary(max_size=50), min_size=1, max_size=5), places=PLACES)
def test_zstd_in_several_frames(words: list[bytes], places: list[int]) -> None:
    packed = b"".join(zstandard.ZstdCompressor().compress(word) for word in words)
    assert decode("zstd", cut(packed, places)) == b"".join(words)


@pytest.mark.parametrize("header", [None, "", "identity", " Identity , identity", ","])
def test_plain(header) -> None:
    assert decoder_for(header) is None


@pytest.mark.parametrize("header", ["GZIP", " gzip ", "gzip,identity"])
def test_header_spellings(header: str) -> None:
    assert decode(header, [gzip.compress(b"x")]) == b"x"


def test_codings_are_undone_last_first() -> None:
    assert decode("deflate, gzip", [gzip.compress(zlib.compress(b"x"))]) == b"x"


@pytest.mark.parametrize("header", ["compress", "gzip, rot13"])
def test_unknown_codings(header: str) -> None:
    with pytest.raises(DecodeError, match="not known"):
        decoder_for(header)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_bytes_that_are_not_in_the_coding(coding: str) -> None:
    with pytest.raises(DecodeError):
        decode(coding, [b"\x07 certainly plain text, and rather more of it than a header has"] * 3)


@pytest.mark.parametrize("coding", ["deflate", "gzip"])
def test_bytes_that_go_wrong_later(coding: str) -> None:
    packed = {"deflate": zlib.compress, "gzip": gzip.compress}[coding](bytes(range(256)) * 40)
    with pytest.raises(DecodeError):
        decode(coding, [packed[:-8], bytes(8)])  # the checksum is wrong


@pytest.mark.parametrize(("coding", "packages"), [("br", "brotli"), ("zstd", "zstd")])
def test_packages_that_are_not_installed(coding: str, packages: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(encoding.importlib, "import_module", missing)
    with pytest.raises(DecodeError, match=f"{packages}.* is installed"):
        decoder_for(coding)


class Frame:
    """Stands for the decompressors of the packages that are not installed here."""

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor().decompressobj()

    eof = property(lambda self: self._inner.eof)
    unused_data = property(lambda self: self._inner.unused_data)

    def decompress(self, data):
        """Decompress."""
        return self._inner.decompress(data)


class Brotli:
    """The same for brotlicffi."""

    def __init__(self) -> None:
        self._inner = brotli.Decompressor()

    def decompress(self, data):
        """Decompress."""
        return self._inner.process(data)


@pytest.mark.parametrize(
    ("coding", "package", "module"),
    [
        ("br", "brotlicffi", types.SimpleNamespace(Decompressor=Brotli)),
        ("zstd", "compression.zstd", types.SimpleNamespace(ZstdDecompressor=Frame)),
        ("zstd", "backports.zstd", types.SimpleNamespace(ZstdDecompressor=Frame)),
        ("zstd", "zstandard", zstandard),
    ],
)
def test_any_of_the_packages_will_do(coding: str, package: str, module, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.import_module

    def only(name):
        if name == package:
            return module
        if name in {"brotli", "compression.zstd", "backports.zstd", "zstandard"}:
            raise ImportError(name)
        return found(name)

    monkeypatch.setattr(encoding.importlib, "import_module", only)
    assert decode(coding, every(CODINGS[coding][1](b"hello" * 100), 3)) == b"hello" * 100
