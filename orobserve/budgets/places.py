"""Which budgets a call counts for, and what was spent where: by this process, or by all that share a ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from orobserve.budget_settings import bounds
from orobserve.ledger import money
from orobserve.ledger.columns import columns
from orobserve.ledger.filters import Filter
from orobserve.ledger.money import EXACT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orobserve.budget_settings import Budget
    from orobserve.generation import Generation
    from orobserve.ledger.query import Reader
    from orobserve.ledger.sums import Sum

COLUMNS = {"user": "user", "key": "api_key", "tag": "tag"}  # what a budget is `by`, as the ledger calls it
_REMEMBERED = 50_000  # calls whose cost may still come or change


class Place(NamedTuple):
    """A budget (its number), the start of one of its periods, and whose spend it is there."""

    budget: int
    start: int
    group: str | None


@dataclass(slots=True)
class Spent:
    """USD of the calls whose cost is known, and how many others there are that did not fail."""

    cost: Decimal = Decimal(0)
    unpriced: int = 0


def value_of(budget: Budget, labels: Mapping[str, str]) -> str | None:
    """Return the one user, key or tag that a budget is for, as calls have it: a key by its hash."""
    if budget.by != "key":
        return budget.value
    return next((hash_ for hash_, label in labels.items() if label == budget.value), budget.value)


def places_of(row: Mapping[str, Any], budgets: Sequence[Budget], labels: Mapping[str, str]) -> list[Place]:
    """Return where a call counts, by its columns."""
    found = []
    for number, budget in enumerate(budgets):
        start, _ = bounds(budget.period, row["started_at"])
        groups: list[str | None] = [None]
        if budget.by is not None:
            only = value_of(budget, labels)
            given = json.loads(row["tags"] or "[]") if budget.by == "tag" else [row[COLUMNS[budget.by]]]
            groups = [group for group in given if group is not None and only in {None, group}]
        found += [Place(number, start, group) for group in groups]
    return found


class _Call(NamedTuple):
    spent: Spent
    places: list[Place]
    is_priced: bool


class Seen:
    """What this process has seen since its start. What is learnt of a call later counts by its difference."""

    def __init__(self, budgets: Sequence[Budget], labels: Mapping[str, str]) -> None:
        self._budgets, self._labels = budgets, labels
        self._calls: dict[str, _Call] = {}
        self._sums: dict[Place, Spent] = {}

    def take(self, generation: Generation) -> list[Place]:
        """Count a call, unless nothing of it is new; returns where it belongs."""
        row = columns(generation)
        places = places_of(row, self._budgets, self._labels)
        is_late = generation.enrichment is not None and generation.enrichment.is_late
        is_priced = row["cost_nano"] is not None
        before = self._calls.get(row["key"])
        if before is None and is_late:  # it is not remembered, and was counted as it was known then
            return places
        if before is not None and not (is_priced and (is_late or not before.is_priced)):
            return places
        told = _Call(Spent(unpriced=int(not is_priced and not row["failed"])), places, is_priced)
        if is_priced:
            told.spent.cost = money.total(row["cost_nano"], *divmod(row["cost_rest"], money.HALF))
        if before is not None:
            self._add(before.places, before.spent.cost.copy_negate(), -before.spent.unpriced)
        self._add(places, told.spent.cost, told.spent.unpriced)
        self._calls[row["key"]] = told
        if len(self._calls) > _REMEMBERED:
            del self._calls[next(iter(self._calls))]
        return places

    def _add(self, places: Iterable[Place], cost: Decimal, unpriced: int) -> None:
        for place in places:
            found = self._sums.setdefault(place, Spent())
            found.cost = EXACT.add(found.cost, cost)
            found.unpriced += unpriced

    def spent(self, places: Iterable[Place]) -> dict[Place, Spent]:
        """Return what was spent in some places."""
        return {place: self._sums[place] for place in places if place in self._sums}

    def forget(self, is_over: Callable[[Place], bool]) -> None:
        """Forget the sums of periods that are over."""
        self._sums = {place: spent for place, spent in self._sums.items() if not is_over(place)}


def stored(
    reader: Reader, places: Iterable[Place], budgets: Sequence[Budget], labels: Mapping[str, str]
) -> dict[Place, Spent]:
    """Return what all processes of a ledger have spent in some places: a question for each budget and period."""
    found = {}
    wanted = set(places)
    for number, start in {(place.budget, place.start) for place in wanted}:
        for group, each in spent_by_group(reader, budgets[number], start, labels):
            place = Place(number, start, group)
            if place in wanted:
                found[place] = Spent(each.cost or Decimal(0), each.unpriced)
    return found


def spent_by_group(
    reader: Reader, budget: Budget, start: int, labels: Mapping[str, str]
) -> list[tuple[str | None, Sum]]:
    """Return whose calls of a period come to what; a single one without a group for a budget of everything."""
    since, until = bounds(budget.period, start)
    only = value_of(budget, labels)
    if budget.by is None or only is not None:
        wanted = Filter(since=since, until=until)
        if budget.by is not None:
            one: dict[str, Any] = {COLUMNS[budget.by]: only}
            wanted = replace(wanted, **one)
        return [(only, each) for each in reader.sums((), wanted)]
    name = COLUMNS[budget.by]
    return [(each.group[name], each) for each in reader.sums((name,), Filter(since=since, until=until))]
