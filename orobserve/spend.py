"""What calls cost, added up: for people at a terminal, and for machines. Unknown costs are counted, never 0."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orobserve.generation import Generation

Facts = dict[str, Any]


def facts(generation: Generation) -> Facts:
    """Return what a sum needs of a call, as JSON; None is unknown. No content."""
    usage, cost = generation.usage, generation.cost
    return {
        "key": generation.span_id or generation.id,
        "model": generation.model or generation.request.model or generation.operation,
        "provider": generation.provider,
        "input_tokens": usage and usage.input_tokens,
        "output_tokens": usage and usage.output_tokens,
        "cache_read_input_tokens": usage and usage.cache_read_input_tokens,
        "cost": None if cost is None or cost.total is None else repr(cost.total),
        "error": (generation.error.type if generation.error else "failed") if generation.failed else None,
    }


@dataclass
class Sum:
    """Calls added up, by the ledger's rule (`orobserve.ledger.sums.Sum`): `unpriced` did not fail, but have no cost."""

    calls: int = 0
    errors: int = 0
    unpriced: int = 0
    priced: int = 0
    paid: Decimal = field(default_factory=Decimal)
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0

    @property
    def cost(self) -> Decimal | None:
        """USD, of the calls whose cost is known; None where there are calls, and no cost is known, failed or not."""
        return self.paid if self.priced or not self.calls else None

    def add(self, call: Mapping[str, Any]) -> None:
        """Add a call."""
        self.calls += 1
        self.errors += call["error"] is not None
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens"):
            setattr(self, name, getattr(self, name) + (call[name] or 0))
        if call["cost"] is not None:
            self.priced += 1
            self.paid += Decimal(call["cost"])
        elif call["error"] is None:
            self.unpriced += 1

    def as_json(self) -> Facts:
        """Return all figures, as all commands name them; the cost in USD, exact."""
        names = ("calls", "errors", "unpriced", "input_tokens", "output_tokens")
        figures = {name: getattr(self, name) for name in names}
        return {**figures, "cache_read_tokens": self.cache_read_input_tokens, "cost": self.cost}


def by_model(calls: Iterable[Mapping[str, Any]]) -> dict[str, Sum]:
    """Return sums by model, the dearest first. What is told of a call again replaces what was told before."""
    latest = {call["key"]: call for call in calls}
    sums: dict[str, Sum] = {}
    for call in latest.values():
        sums.setdefault(call["model"], Sum()).add(call)
    return dict(sorted(sums.items(), key=lambda item: (item[1].cost is None, -item[1].paid)))


def total(sums: Iterable[Sum]) -> Sum:
    """Return the sum of sums."""
    found = Sum()
    for each in sums:
        for name, value in vars(each).items():
            setattr(found, name, getattr(found, name) + value)
    return found
