"""Transcripts: what went over the wire in one call, and the record it must make.

A transcript is a folder `tests/transcripts/<dialect>/<case>/` with `request.json` (method, url, headers, body),
`response.json` (status, headers), the response's body as received (`body.json`, `.sse`, `.bin`, ...) and
`expected.json`: the `Generation` without its timing, leaving out every field that has its default.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from enum import Enum
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orobserve.wire.exchange import Exchange
from orobserve.wire.route import Hosts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orobserve.generation import Generation

ROOT = Path(__file__).parent.parent / "transcripts"
EPOCH = 1_787_400_000  # the second in which every replayed call begins: 2026-08-22T12:00:00Z


def clock() -> Callable[[], int]:
    """Return a clock that moves on by one second each time it is read."""
    ticks = count()
    return lambda: (EPOCH + next(ticks)) * 1_000_000_000


@dataclass(frozen=True)
class Transcript:
    """One recorded call."""

    folder: Path

    @property
    def name(self) -> str:
        """`dialect/case`."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @cached_property
    def request(self) -> dict[str, Any]:
        """Method, URL, headers and body."""
        return json.loads((self.folder / "request.json").read_text("utf-8"))

    @cached_property
    def response(self) -> dict[str, Any]:
        """Status and headers."""
        return json.loads((self.folder / "response.json").read_text("utf-8"))

    @cached_property
    def request_body(self) -> bytes:
        """The request's body as sent."""
        raw = self.folder / "request.bin"
        if raw.exists():
            return raw.read_bytes()
        return json.dumps(self.request["body"]).encode() if "body" in self.request else b""

    @cached_property
    def body(self) -> bytes:
        """The response's body as received."""
        found = list(self.folder.glob("body.*"))
        return found[0].read_bytes() if found else b""

    @property
    def streamed(self) -> bool:
        """Whether the response is a stream of events."""
        return (self.folder / "body.sse").exists()

    @cached_property
    def expected(self) -> dict[str, Any]:
        """The record, encoded, with its content."""
        return json.loads((self.folder / "expected.json").read_text("utf-8"))


def transcripts(*, streamed: bool | None = None) -> list[Transcript]:
    """Return all transcripts, or only those that are streams or not."""
    found = [Transcript(path.parent) for path in sorted(ROOT.glob("*/*/request.json"))]
    return [item for item in found if streamed is None or item.streamed is streamed]


def exchange_for(method: str, url: str, **options: Any) -> Exchange:
    """Begin an exchange for a URL that must be one of OpenRouter's inference endpoints."""
    parts = urlsplit(url)
    route = Hosts(["gateway.test:8080/or"]).route(method, parts.hostname or "", parts.port, parts.path)
    assert route is not None, url
    return Exchange(route, clock=clock(), **options)


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers as an edge hands them over."""
    return {name.lower(): value for name, value in headers.items()}


def play(
    transcript: Transcript,
    chunks: Iterable[bytes] | None = None,
    *,
    wants_content: bool = True,
    headers: Mapping[str, str] | None = None,
    decoded: bool = False,
    reason: BaseException | None = None,
) -> Generation:
    """Run a transcript through an exchange, its body in these chunks, and return the record."""
    request, response = transcript.request, transcript.response
    exchange = exchange_for(request["method"], request["url"], wants_content=wants_content)
    made: list[Generation] = []
    exchange.on_end(made.append)
    exchange.request(lower(request["headers"]), transcript.request_body, urlsplit(request["url"]).query.encode())
    exchange.response(response["status"], {**lower(response["headers"]), **(headers or {})}, decoded=decoded)
    for chunk in [transcript.body] if chunks is None else chunks:
        exchange.feed(chunk)
    exchange.end(reason)
    assert exchange.ended
    return made[0]


def untimed(generation: Generation) -> Generation:
    """Return a record that can be compared whatever its chunks were: only whether a first chunk came stays."""
    timing = generation.timing
    first = None if timing.first_chunk_at is None else 0
    return replace(generation, timing=replace(timing, started_at=0, ended_at=0, first_chunk_at=first, chunks_at=()))


def encode(value: Any) -> Any:
    """Encode a record as JSON, leaving out every field that has its default, and the timing."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if not is_dataclass(value):
        return value
    found = {"type": value.type} if hasattr(type(value), "type") and isinstance(type(value).type, str) else {}
    for field in fields(value):
        item = getattr(value, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if field.name == "timing":
            if item.first_chunk_at is not None:
                found["first_chunk"] = True
        elif item is not default and (item, type(item)) != (default, type(default)):
            found[field.name] = encode(item)
    return found
