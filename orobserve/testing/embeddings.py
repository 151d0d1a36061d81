"""Embeddings: deterministic little vectors, as numbers or base64."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING

from orobserve.testing import usage

if TYPE_CHECKING:
    from orobserve.testing.answers import Answer
    from orobserve.testing.request import Payload

_DIMENSIONS = 8


def result(answer: Answer) -> Payload:
    """Build the body; its id is the generation id."""
    asked = answer.request.body
    vectors = [_vector(item, int(asked.get("dimensions") or _DIMENSIONS)) for item in _inputs(asked.get("input"))]
    as_text = asked.get("encoding_format") == "base64"
    payload: Payload = {
        "id": answer.generation_id,
        "object": "list",
        "model": answer.model,
        "data": [
            {"object": "embedding", "embedding": _base64(vector) if as_text else vector, "index": index}
            for index, vector in enumerate(vectors)
        ],
    }
    return usage.attach(payload, usage.embeddings(answer), answer)


def _inputs(given: object) -> list[object]:
    """Tell one input from many: a list of numbers is one tokenised text."""
    if isinstance(given, list) and given and not isinstance(given[0], int | float):
        return given
    return [given]


def _vector(item: object, dimensions: int) -> list[float]:
    """Derive numbers from the input that are exact in single precision."""
    seed = zlib.crc32(repr(item).encode())
    return [((seed >> index % 24) % 256 - 128) / 128 for index in range(dimensions)]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
