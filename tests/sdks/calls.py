"""The table of what is called: one row for each way in which people use each client."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from orobserve.testing import Scenario

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from orobserve.testing import Simulator
    from tests.sdks.sides import Side

# Which clients a tox environment does not have, on purpose. Any other one that is missing fails its tests.
ABSENT: Mapping[str, frozenset[str]] = MappingProxyType(
    {"httpx": frozenset({"langchain_openrouter", "pydantic_ai"})},
)
ENVIRONMENT = os.environ.get("TOX_ENV_NAME", "main")

TURN = [{"role": "user", "content": "hello there"}]
MODEL = "openai/gpt-4o"
CLAUDE = "anthropic/claude-sonnet-4"
OPERATIONS: Mapping[str, str] = MappingProxyType(
    {
        "chat_completions": "chat",
        "responses": "chat",
        "messages": "chat",
        "completions": "text_completion",
        "embeddings": "embeddings",
        "speech": "generate_content",
        "transcriptions": "transcription",
        "rerank": "rerank",
        "images": "generate_content",
    }
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of call: how to make the client, what to do with it, and what the span is to say.

    `make` returns something to be entered with `Side.opened`; `call` returns all that the caller gets to see.
    """

    name: str
    module: str
    make: Callable[[Simulator, Side], Any]
    call: Callable[[Side, Any], Awaitable[Any]]
    api: str = "chat_completions"
    model: str = MODEL
    streamed: bool = False
    priced: bool = True
    scenario: Scenario = field(default_factory=Scenario)

    def __str__(self) -> str:
        return self.name

    @property
    def operation(self) -> str:
        """The `gen_ai.operation.name`."""
        return OPERATIONS[self.api]

    async def use(self, side: Side, sim: Simulator) -> Any:
        """Make the client, call, and close the client."""
        async with side.opened(self.make(sim, side)) as client:
            return await self.call(side, client)


_FAMILIES = ("openai_calls", "anthropic_calls", "openrouter_calls", "framework_calls", "http_calls")


def rows() -> list[Row]:
    """Return the rows of all clients of this environment."""
    absent = ABSENT.get(ENVIRONMENT, frozenset())
    families = [importlib.import_module(f"tests.sdks.{name}") for name in _FAMILIES]
    return [row for family in families for row in family.ROWS if row.module not in absent]
