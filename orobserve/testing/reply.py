"""A reply ready for the wire: status, headers, the bytes in writing order and how the connection ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from orobserve.testing import sse
from orobserve.testing.sse import Part

if TYPE_CHECKING:
    from orobserve.testing.ledger import Entry
    from orobserve.testing.request import Payload
    from orobserve.testing.scenarios import Scenario

Headers = list[tuple[str, str]]
JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """An HTTP request as it arrived; header names are lower case, the path is without query."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True, kw_only=True)
class Reply:
    """What the connection writes. ``streamed`` chooses chunked transfer; ``ending`` other than complete is a fault."""

    status: int = 200
    content_type: str = JSON_TYPE
    headers: Headers = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    streamed: bool = False
    ending: Literal["complete", "torn", "reset"] = "complete"
    encoding: str = ""
    endpoint: str = ""
    generation_id: str = ""
    scenario: Scenario | None = None
    entry: Entry | None = None


def json_reply(payload: Payload, status: int = 200, headers: Headers | None = None) -> Reply:
    """Build a plain JSON reply."""
    return Reply(status=status, headers=headers or [], parts=[Part(sse.dumps(payload).encode())])
