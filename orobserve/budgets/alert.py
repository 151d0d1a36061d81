"""What is told when a threshold is reached. No content, no API key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orobserve.telemetry.console import money, plain

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from orobserve.budget_settings import Budget

_LONGEST = 80  # characters of a name


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A threshold of a budget that was reached.

    Attributes:
        budget: the budget.
        period_start: of the period in question, UTC.
        threshold: the part of the amount.
        spent: USD, of the calls whose cost is known.
        amount: USD, of the budget.
        group: whose spend it is, for a budget `by` something; a key by your label for it or the start of its SHA-256.
        unpriced: calls of the same period and group whose cost is not known: they are not in `spent`.
    """

    budget: Budget
    period_start: datetime
    threshold: float
    spent: Decimal
    amount: Decimal
    group: str | None
    unpriced: int

    @property
    def title(self) -> str:
        """The budget and the threshold."""
        return f"OpenRouter budget {shown(self.budget.name)}: {self.threshold * 100:g}% reached"

    @property
    def details(self) -> str:
        """What was spent, by whom, since when, and what is not known."""
        whose = "" if self.group is None else f" by {self.budget.by} {shown(self.group)}"
        since = f"{self.period_start:%Y-%m-%d %H:%M} UTC"
        calls = "1 call" if self.unpriced == 1 else f"{self.unpriced} calls"
        unknown = f"; the cost of {calls} more is unknown (?)" if self.unpriced else ""
        return f"{money(self.spent)} of {money(self.amount)} spent{whose} since {since}{unknown}"

    def as_json(self) -> dict[str, Any]:
        """Return all of it, with the text that Slack shows."""
        text = f"{self.title}: {self.details}"
        return {
            "text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),  # Slack's own marks
            "budget": self.budget.name,
            "period": self.budget.period,
            "period_start": self.period_start.isoformat(),
            "threshold": self.threshold,
            "spent": float(self.spent),
            "amount": float(self.amount),
            "by": self.budget.by,
            "group": self.group,
            "unpriced": self.unpriced,
        }


def shown(name: str) -> str:
    """Return a name that harms no terminal, log or chat, whoever made it up."""
    found = plain(name)
    return found if len(found) <= _LONGEST else found[: _LONGEST - 1] + "…"
