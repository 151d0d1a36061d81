"""What a connection to the upstream is given, and what it gives: the same for HTTP/1 and HTTP/2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orobserve.proxy.headers import Headers


@dataclass(frozen=True, slots=True)
class Call:
    """The head of a request, as it goes on. `chunked`: its body has no length."""

    method: bytes
    target: bytes
    headers: Headers
    chunked: bool


class Stream(Protocol):
    """A call on a connection: takes the request's body and gives the response.

    Attributes:
        complete: whether nothing is to come any more after what `read` has returned.
    """

    complete: bool

    async def send(self, data: bytes) -> None:
        """Send a piece of the request's body."""

    def finish(self) -> None:
        """End the request's body."""

    async def head(self) -> tuple[int, Headers]:
        """Return the response's status and headers."""

    async def read(self) -> bytes:
        """Return what has come of the response's body; empty at its end."""

    def release(self) -> None:
        """End the call; one that is not complete is cancelled at once."""
