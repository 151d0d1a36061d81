"""A response on its way in, whatever the protocol: kept within bounds until it is read, and watched for silence."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from orobserve.proxy.failures import UpstreamTimeoutError

if TYPE_CHECKING:
    from orobserve.proxy.headers import Headers


class Incoming:
    """What has come of a response and was not yet read.

    Attributes:
        complete: whether nothing is to come any more after what `read` has returned.
    """

    def __init__(self, idle_timeout: float) -> None:
        """Take the seconds that the upstream may be silent."""
        self._idle_timeout = idle_timeout
        self._loop = asyncio.get_running_loop()
        self._reset()

    def _reset(self) -> None:
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._error: Exception | None = None
        self._status = 0
        self._headers: Headers = []
        self._parts: list[bytes] = []
        self._size = 0
        self._heard_at = self._loop.time()
        self.complete = False

    async def head(self) -> tuple[int, Headers]:
        """Return the status and the headers.

        Raises:
            ProxyError: they do not come.
        """
        while not self._status:
            await self._wait()
        return self._status, self._headers

    async def read(self) -> bytes:
        """Return what has come of the body; empty at its end.

        Raises:
            ProxyError: the rest does not come.
        """
        while not self._parts and not self.complete:
            await self._wait()
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        self._make_room()
        return data

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _take(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def fail(self, error: Exception) -> None:
        """Have whoever waits for more run into an error; a response that is complete stays so."""
        if self._error is None and not self.complete:
            self._error = error
        self._wake()
        self._break()

    def _watch(self) -> None:
        left = self._heard_at + self._idle_timeout - self._loop.time()
        if left <= 0:
            self.fail(UpstreamTimeoutError(f"the upstream was silent for {self._idle_timeout:g} s"))
        else:
            self._timer = self._loop.call_later(left, self._watch)

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _make_room(self) -> None:
        """Have the upstream go on, if it was told to wait."""

    def _break(self) -> None:
        """Close what cannot be used any more."""
