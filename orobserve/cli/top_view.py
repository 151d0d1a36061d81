"""What `orobserve top` shows: read from the ledger, each question no more often than it is cheap to ask."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from orobserve.budget_settings import bounds
from orobserve.budgets.places import spent_by_group
from orobserve.cli import selection
from orobserve.ledger.filters import Filter
from orobserve.ledger.flights import InFlight, in_flight

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal
    from pathlib import Path

    from orobserve.budget_settings import Budget
    from orobserve.ledger.query import Reader, Row
    from orobserve.ledger.sums import Sum

GROUPS = {"model": "model", "provider": "provider", "key": "api_key", "user": "user", "tag": "tag"}
WINDOW = 5  # minutes that rates are of
MINUTES = 60  # that are drawn
_MINUTE = 60 * 10**9
_LATEST = 20
_REST = 19  # times as long as a question took, until it is asked again: a twentieth of a core at most
_BARS = 3  # of one budget: the dearest groups

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One model, provider, key, user or tag: what its calls of the last minutes come to, and those of today."""

    name: str | None
    window: Sum | None
    today: Sum | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A budget, whose spend it is, and how much: USD of the period so far, and how many calls are unpriced."""

    budget: Budget
    group: str | None
    spent: Decimal | None
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One moment.

    Attributes:
        now: nanoseconds since the epoch.
        by: a name of `GROUPS`.
        window: all calls that began in the last `WINDOW` minutes; None: there are none.
        minutes: USD of each of the last `MINUTES` minutes, the running one last; None: no call tells.
        latest: the newest first.
    """

    now: int
    by: str
    window: Sum | None
    today: Sum | None
    month: Sum | None
    minutes: Sequence[Decimal | None]
    flying: InFlight
    groups: Sequence[Group]
    bars: Sequence[Bar]
    latest: Sequence[Row]


class Source:
    """Where views come from.

    Args:
        path: of the ledger.
        budgets: whose bars are shown.
        labels: the user's names of keys, by their hash.
    """

    def __init__(self, path: Path, budgets: Sequence[Budget], labels: Mapping[str, str]) -> None:
        self._path, self._budgets, self._labels = path, budgets, labels
        self._known: dict[tuple[Any, ...], tuple[float, Any]] = {}

    def view(self, reader: Reader, by: str, now: int) -> View:
        """Return the view of a moment.

        Args:
            reader: an open ledger.
            by: a name of `GROUPS`.
            now: nanoseconds since the epoch.
        """
        column = GROUPS[by]
        since = now - WINDOW * _MINUTE
        today, month = (bounds(period, now)[0] for period in ("day", "month"))

        def summed(start: int) -> Sum | None:
            return next(iter(reader.sums((), Filter(since=start))), None)

        def grouped(start: int) -> list[Sum]:
            return reader.sums((column,), Filter(since=start))

        return View(
            now=now,
            by=by,
            window=self._ask(("window",), lambda: summed(since)),
            today=self._ask(("today",), lambda: summed(today)),
            month=self._ask(("month",), lambda: summed(month)),
            minutes=self._ask(("minutes",), lambda: _minutes(reader, now)),
            flying=in_flight(self._path, now),
            groups=self._groups(
                column,
                self._ask(("window", by), lambda: grouped(since)),
                self._ask(("today", by), lambda: grouped(today)),
            ),
            bars=[bar for budget in self._budgets for bar in self._bars(reader, budget, now)],
            latest=reader.rows(limit=_LATEST),
        )

    def _ask(self, name: tuple[Any, ...], question: Callable[[], _Found]) -> _Found:
        began = time.monotonic()
        until, found = self._known.get(name, (0.0, None))
        if began >= until:
            found = question()
            ended = time.monotonic()
            self._known[name] = ended + _REST * (ended - began), found
        return cast("_Found", found)

    def _groups(self, column: str, window: list[Sum], today: list[Sum]) -> list[Group]:
        """Return the groups, those first that burn the most now, then those that cost the most today."""
        now, day = ({each.group[column]: each for each in found} for found in (window, today))
        return [
            Group(name=self._named(column, name), window=now.get(name), today=day.get(name))
            for name in dict.fromkeys([*now, *day])
        ]

    def _bars(self, reader: Reader, budget: Budget, now: int) -> list[Bar]:
        start, _ = bounds(budget.period, now)
        found = self._ask(("bar", budget), lambda: spent_by_group(reader, budget, start, self._labels))
        named = [
            (None if group is None else self._named(GROUPS[budget.by or ""], group), each) for group, each in found
        ]
        bars = [Bar(budget=budget, group=name, spent=each.cost, unpriced=each.unpriced) for name, each in named]
        return bars[:_BARS] or [Bar(budget=budget, group=None, spent=None, unpriced=0)]

    def _named(self, column: str, value: str | None) -> str | None:
        return selection.key_name(value, self._labels) if column == "api_key" else value


def _minutes(reader: Reader, now: int) -> list[Decimal | None]:
    first = now // _MINUTE - MINUTES + 1
    found = {
        point.start // _MINUTE: point.sums.cost
        for point in reader.series("minute", None, Filter(since=first * _MINUTE))
    }
    return [found.get(first + minute) for minute in range(MINUTES)]
