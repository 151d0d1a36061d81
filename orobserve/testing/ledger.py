"""Remembers what was generated and billed. Thread-safe; knows nothing of HTTP."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from orobserve.testing.pricing import ZERO, Charge, charge

if TYPE_CHECKING:
    from orobserve.testing.answers import Answer
    from orobserve.testing.scenarios import Failure


@dataclass(slots=True, kw_only=True)
class Entry:
    """One generation in the books. ``share`` is the part of the completion that was delivered before an end."""

    answer: Answer
    failure: Failure | None = None
    cancelled: bool = False
    finished_at: float | None = None
    lookups: int = 0
    share: Decimal = Decimal(1)

    @property
    def charge(self) -> Charge:
        """What is billed for it, by the scenario's rule."""
        scenario = self.answer.scenario
        rule = scenario.billing or ("none" if self.failure else "full")
        if rule == "none":
            return Charge()
        if rule == "full" or self.answer.source_id:
            return self.answer.charge
        tokens = self.answer.tokens
        tokens = replace(tokens, completion=int(tokens.completion * self.share))
        return charge(self.answer.model, tokens, scenario.byok)


class Ledger:
    """All entries by generation id, and the sums over them."""

    def __init__(self) -> None:
        """Open empty books."""
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def add(self, entry: Entry) -> Entry:
        """Write an entry; it counts in the bill from now on."""
        with self._lock:
            self._entries[entry.answer.generation_id] = entry
        return entry

    def get(self, generation_id: str) -> Entry | None:
        """Find an entry."""
        return self._entries.get(generation_id)

    def look_up(self, generation_id: str) -> Entry | None:
        """Find an entry and count that it was asked for."""
        with self._lock:
            entry = self._entries.get(generation_id)
            if entry is not None:
                entry.lookups += 1
            return entry

    def entries(self) -> list[Entry]:
        """All entries, oldest first."""
        with self._lock:
            return list(self._entries.values())

    @property
    def total(self) -> Decimal:
        """The exact sum billed: what OpenRouter charged and what BYOK providers billed."""
        return sum((entry.charge.total for entry in self.entries()), ZERO)

    @property
    def charged(self) -> Decimal:
        """The exact sum OpenRouter charged."""
        return sum((entry.charge.charged for entry in self.entries()), ZERO)
