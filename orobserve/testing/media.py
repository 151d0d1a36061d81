"""Tiny real media files, so that clients which decode them are satisfied."""

from __future__ import annotations

import base64
import struct
import zlib


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PICTURE = (
    b"\x89PNG\r\n\x1a\n"
    + _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _png_chunk(b"IDAT", zlib.compress(b"\0\xff\x80\0"))
    + _png_chunk(b"IEND", b"")
)
PICTURE_BASE64 = base64.b64encode(PICTURE).decode()
PICTURE_URL = f"data:image/png;base64,{PICTURE_BASE64}"

FILM = struct.pack(">I", 24) + b"ftypisom\0\0\2\0isomiso2" + struct.pack(">I", 8) + b"mdat"

_PCM_BYTES_PER_TOKEN = 480


def speech(kind: str, tokens: int) -> bytes:
    """Make silence: raw PCM, or something that starts like an MP3 file."""
    silence = bytes(_PCM_BYTES_PER_TOKEN * max(1, tokens))
    return silence if kind == "pcm" else b"ID3\x04\0\0\0\0\0\0\xff\xfb\x90\0" + silence
