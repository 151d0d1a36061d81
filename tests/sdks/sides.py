"""Sync and async: each call of an SDK is written once, as a coroutine, and run in both colours.

In the sync colour nothing in it ever waits, so it runs to its end without an event loop.
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine


@dataclass(frozen=True)
class Side:
    """One colour."""

    is_async: bool

    def __str__(self) -> str:
        return "async" if self.is_async else "sync"

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run to the end."""
        if self.is_async:
            return asyncio.run(coroutine)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("a sync client waited")

    async def get(self, value: Any) -> Any:
        """Return a result, awaited if need be."""
        return await value if inspect.isawaitable(value) else value

    async def items(self, stream: Any) -> list[Any]:
        """Read a stream to its end."""
        stream = await self.get(stream)
        if self.is_async:
            return [item async for item in stream]
        return list(stream)

    @asynccontextmanager
    async def opened(self, manager: Any) -> AsyncIterator[Any]:
        """Enter a context manager of either colour."""
        if self.is_async:
            async with manager as entered:
                yield entered
        else:
            with manager as entered:
                yield entered


BOTH = (Side(is_async=False), Side(is_async=True))
