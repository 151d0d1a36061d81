"""What panels must show of the load, reckoned from its records: exact, by panel."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orobserve import Generation


def cost(calls: Iterable[Generation]) -> Decimal:
    """Return the sum of the costs that are known."""
    known = (call.cost.total for call in calls if call.cost is not None and call.cost.total is not None)
    return sum((Decimal(str(total)) for total in known), Decimal(0))


def by(calls: Iterable[Generation], key: Callable[[Generation], str | None]) -> dict[str | None, Decimal]:
    """Return the sum of the known costs by something, without what cost nothing."""
    groups: dict[str | None, list[Generation]] = {}
    for call in calls:
        groups.setdefault(key(call), []).append(call)
    return {name: total for name, found in groups.items() if (total := cost(found))}


def unpriced(calls: Iterable[Generation]) -> int:
    """Return how many calls did not fail and have no cost."""
    return sum(not call.error and (call.cost is None or call.cost.total is None) for call in calls)


def errors(calls: Iterable[Generation]) -> dict[str, int]:
    """Return how many calls failed, by type."""
    return dict(Counter(call.error.type for call in calls if call.error))


def tokens_in(calls: Iterable[Generation]) -> int:
    """Return the sum of the input tokens."""
    return sum((call.usage.input_tokens or 0) for call in calls if call.usage)


def saved(calls: Iterable[Generation]) -> Decimal:
    """Return what the prompt caches saved."""
    known = (call.cost.cache_discount for call in calls if call.cost and call.cost.cache_discount is not None)
    return sum((Decimal(str(discount)) for discount in known), Decimal(0))


def failed_attempts(calls: Iterable[Generation]) -> int:
    """Return how many attempts failed before another one was served."""
    return sum(len(call.routing.attempts[:-1]) for call in calls if call.routing)


def switches(calls: Iterable[Generation]) -> int:
    """Return how many calls of a session were served by another provider than the one before, of the same model."""
    last: dict[tuple[str | None, str | None], str] = {}
    found = 0
    for call in sorted(calls, key=lambda one: one.timing.started_at):
        if call.provider and call.request.session_id:
            place = (call.request.session_id, call.request.model)
            found += last.get(place, call.provider) != call.provider
            last[place] = call.provider
    return found
