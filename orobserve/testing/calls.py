"""What the simulator saw: one `Call` per HTTP request, in order of arrival."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orobserve.testing.scenarios import Scenario


@dataclass(slots=True, kw_only=True)
class Call:
    """One HTTP request and what was sent back. ``endpoint`` is the dialect of an inference call, else the path.

    ``sent`` grows while the response is written; it holds the body as it went out, encoded but without chunk sizes.
    """

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    endpoint: str
    status: int
    generation_id: str = ""
    scenario: Scenario | None = None
    sent: bytearray = field(default_factory=bytearray)

    @property
    def response(self) -> bytes:
        """The body bytes sent so far."""
        return bytes(self.sent)

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON may be anything
        """The request body, parsed."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Find a request header by name, the first if it was sent more than once."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)
