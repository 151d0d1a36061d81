"""Exporters with a payload that tests can read, and the records they deliver."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orobserve.delivery import DirectExporter, HTTPExporter, HTTPRequest, Limits, Result, Verdict
from orobserve.generation import Content, Generation, Message, Outcome, Request, Text, Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.delivery.servers import Received


def generation(name: str = "one", *, said: str | None = None) -> Generation:
    """Return a small record; `said` is its content."""
    content = None if said is None else Content(input=(Message(role="user", parts=(Text(content=said),)),))
    return Generation(
        api_type="chat",
        operation="chat",
        outcome=Outcome.COMPLETE,
        timing=Timing(started_at=1, ended_at=2),
        request=Request(model="openai/gpt-4o"),
        server_address="openrouter.ai",
        server_port=443,
        name=name,
        content=content,
    )


class Names(HTTPExporter):
    """Sends the names of the generations; one that is named "bad" cannot be encoded."""

    TYPE = "names"
    TITLE = "Names"

    def __init__(self, url: str, **request: Any) -> None:
        super().__init__({"url": url})
        self._url = url
        self._request = request

    def encode(self, batch: Sequence[Generation]) -> HTTPRequest:
        rows = [{"name": each.name, "content": repr(each.content) if each.content else None} for each in batch]
        if any(each.name == "bad" for each in batch):
            raise ValueError("secret prompt")
        return HTTPRequest(url=self._url, body=json.dumps(rows).encode(), **self._request)

    def probe(self) -> HTTPRequest:
        return HTTPRequest(url=self._url, method="GET", **self._request)


class Updating(Names):
    UPDATES = True


class Sizes(Names):
    """Takes batches of three, and bodies of 400 bytes."""

    LIMITS = Limits(items=3, bytes=400)


class Tables(DirectExporter):
    """Hands batches to a function, which may raise."""

    TYPE = "tables"
    TITLE = "Tables"

    def __init__(self, take: Callable[[list[str | None]], Result | None]) -> None:
        super().__init__({})
        self._take = take
        self.closed = 0

    def export(self, batch: Sequence[Generation]) -> Result:
        return self._take([each.name for each in batch]) or Result(verdict=Verdict.DELIVERED)

    def check(self) -> Result:
        return self._take([]) or Result(verdict=Verdict.DELIVERED)

    def close(self) -> None:
        self.closed += 1


def names(request: Received) -> list[str]:
    """Return what a request delivered."""
    return [row["name"] for row in json.loads(request.body)]
