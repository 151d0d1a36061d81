"""Sums of calls, exact to the last digit of money.

They are read from kept sums where the grouping and the filter allow (see `sources`). Days are UTC.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from orobserve.ledger import money
from orobserve.ledger.columns import DAY, TOKENS
from orobserve.ledger.rollups import SUMS
from orobserve.ledger.sources import KINDS, sums_from

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from orobserve.ledger.filters import Filter
    from orobserve.ledger.sources import Source

GROUPS = ("day", *KINDS)
_BEGINNING = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """What a group of calls comes to. None is unknown: no call of the group tells.

    Attributes:
        group: its values, by what was grouped by; `day` is a `date`, of UTC.
        unpriced: calls whose cost is not known, though they did not fail. A call that failed and has no cost is most
            likely free, and nobody's mistake: it is no gap in the bill, so it is not counted here.
        cost: USD, of the calls whose cost is known. Unknown, and not 0, where no call of the group tells: also where
            all of them have failed, for nobody has said that these are free.
        cache_saving: USD that the providers' prompt caches have saved; negative where writing them cost more.
        response_cache_hits: calls that were answered out of OpenRouter's own cache of responses.
        told_tokens: input tokens of the calls that tell how many of theirs were cached.
    """

    group: Mapping[str, Any]
    calls: int
    errors: int
    unpriced: int
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost: Decimal | None
    cache_saving: Decimal | None
    response_cache_hits: int
    told_tokens: int

    @property
    def prompt_cache_rate(self) -> float | None:
        """The part of the input tokens that came out of a provider's prompt cache, of the calls that tell; 0 to 1."""
        return (self.cache_read_tokens or 0) / self.told_tokens if self.told_tokens else None


def sums(connection: sqlite3.Connection, by: tuple[str, ...], wanted: Filter) -> list[Sum]:
    """Return a sum for each group, the dearest first.

    Args:
        connection: to a ledger.
        by: names of `GROUPS`, none or several. By `tag`, a call counts once for each of its tags.
        wanted: which calls.

    Raises:
        ValueError: one of the names is none of `GROUPS`.
    """
    if unknown := [name for name in by if name not in GROUPS]:
        raise ValueError(f"calls are summed by {', '.join(GROUPS)}, not by {', '.join(unknown)}")
    return _ask(connection, by, sums_from(by, wanted))


def sums_of(connection: sqlite3.Connection, sessions: list[str], wanted: Filter) -> list[Sum]:
    """Return a sum for each of these sessions, of the calls that a filter finds."""
    source = sums_from(("session",), wanted, among="names")
    return _ask(connection, ("session",), source, {"names": json.dumps(sessions)})


def _ask(
    connection: sqlite3.Connection, by: tuple[str, ...], source: Source, given: Mapping[str, Any] = MappingProxyType({})
) -> list[Sum]:
    groups = [f"g{number}" for number in range(len(by))]
    rows = connection.execute(summing(groups, source), {**source.values, **given})
    return sorted((summed(by, each) for each in rows if each[len(by)]), key=_dearest_first)


def summing(groups: Sequence[str], source: Source) -> str:
    """Return the SQL of the sums by these groups; rows without a call are to be left out."""
    numbers = ", ".join(str(number) for number in range(1, len(groups) + 1))
    return f"""SELECT {", ".join([*groups, *(f"sum({name})" for name in SUMS)])}
        FROM ({" UNION ALL ".join(source.kept + source.calls)}) {f"GROUP BY {numbers}" if groups else ""}"""  # noqa: S608


def _dearest_first(found: Sum) -> tuple[Any, ...]:
    return found.cost is None, -(found.cost or 0), -found.calls, [str(value) for value in found.group.values()]


def summed(by: tuple[str, ...], values: Sequence[Any]) -> Sum:
    """Return the sum of a row: the values of the groups, then one for each of `SUMS`."""
    found = dict(zip(SUMS, values[len(by) :], strict=True))
    return Sum(
        group={name: _group(name, value) for name, value in zip(by, values, strict=False)},
        calls=found["calls"],
        errors=found["errors"],
        unpriced=found["unpriced"],
        response_cache_hits=found["response_cache_hits"],
        told_tokens=found["told_tokens"],
        cost=_amount(found, "cost"),
        cache_saving=_amount(found, "saving"),
        **{name: found[name] if found[f"{name}_known"] else None for name in TOKENS},
    )


def _amount(found: Mapping[str, int], name: str) -> Decimal | None:
    nano, upper, lower, known = (found[column] for column in money.sums(name))
    return money.total(nano, upper, lower) if known else None


def _group(name: str, value: Any) -> Any:  # noqa: ANN401 - a column's
    return date.fromordinal(_BEGINNING + value) if name == "day" else value


def beginning_of(day: date) -> int:
    """Return when a day begins, in nanoseconds since the epoch."""
    return (day.toordinal() - _BEGINNING) * DAY
