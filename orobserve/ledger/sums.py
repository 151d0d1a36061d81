"""Sums of calls, exact to the last digit of money.

Whole days come from the table `daily`, where the grouping and the filter allow; a part of a day at either end, and
everything else, from the calls themselves. Days are UTC.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from orobserve.ledger import money, schema
from orobserve.ledger.columns import DAY, TOKENS
from orobserve.ledger.filters import Filter, where

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

GROUPS = ("day", "model", "provider", "api_key", "user", "session", "tag")
_NAMES = tuple(schema.SUMS)
_BEGINNING = date(1970, 1, 1).toordinal()
_LAST = 2**62 // DAY


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
    is_daily = set(by) <= set(schema.GROUPS) and wanted.user is None and wanted.session is None
    parts = _parts(by, wanted) if is_daily and wanted.tag is None and wanted.error is None else [_calls(by, wanted)]
    return _ask(connection, by, parts)


def sums_of(connection: sqlite3.Connection, sessions: list[str], wanted: Filter) -> list[Sum]:
    """Return a sum for each of these sessions, of the calls that a filter finds."""
    sql, values = _calls(("session",), wanted)
    known = "session IN (SELECT value FROM json_each(:names))"
    part = f"{sql} AND {known}", {**values, "names": json.dumps(sessions)}
    return _ask(connection, ("session",), [part])


def _ask(connection: sqlite3.Connection, by: tuple[str, ...], parts: list[tuple[str, dict[str, Any]]]) -> list[Sum]:
    values = {name: value for _, given in parts for name, value in given.items()}
    groups = [f"g{number}" for number in range(len(by))]
    sql = f"""SELECT {", ".join([*groups, *(f"sum({name})" for name in _NAMES)])}
        FROM ({" UNION ALL ".join(part for part, _ in parts)}) {"GROUP BY " + ", ".join(groups) if groups else ""}"""  # noqa: S608
    found = [summed(by, each) for each in connection.execute(sql, values) if each[len(by)]]
    return sorted(found, key=_dearest_first)


def _dearest_first(found: Sum) -> tuple[Any, ...]:
    return found.cost is None, -(found.cost or 0), -found.calls, [str(value) for value in found.group.values()]


def _parts(by: tuple[str, ...], wanted: Filter) -> list[tuple[str, dict[str, Any]]]:
    """Return the questions that together see each call once: whole days, and what is left at either end."""
    first = 0 if wanted.since is None else -(-wanted.since // DAY)
    last = _LAST if wanted.until is None else wanted.until // DAY  # the first day that is not whole
    if first >= last:
        return [_calls(by, wanted)]
    parts = [_daily(by, wanted, first, last)]
    if wanted.since is not None and wanted.since % DAY:
        parts.append(_calls(by, replace(wanted, until=first * DAY), "head_"))
    if wanted.until is not None and wanted.until % DAY:
        parts.append(_calls(by, replace(wanted, since=last * DAY), "tail_"))
    return parts


def _daily(by: tuple[str, ...], wanted: Filter, first: int, last: int) -> tuple[str, dict[str, Any]]:
    given = {name: getattr(wanted, name) for name in ("model", "provider", "api_key")}
    known = {name: value for name, value in given.items() if value is not None}
    condition = " AND ".join(["day >= :first AND day < :last", *(f"{name} = :{name}" for name in known)])
    groups = ["day" if name == "day" else f"nullif({name}, '')" for name in by]
    sql = f"SELECT {_listed(groups, _NAMES)} FROM daily WHERE {condition}"  # noqa: S608 - names of ours
    return sql, {**known, "first": first, "last": last}


def _calls(by: tuple[str, ...], wanted: Filter, prefix: str = "") -> tuple[str, dict[str, Any]]:
    condition, values = where(wanted)
    for name in ("since", "until"):
        condition = condition.replace(f":{name}", f":{prefix}{name}")
    source = "calls, json_each(calls.tags) AS given" if "tag" in by else "calls"
    groups = ["given.value" if name == "tag" else f"calls.{name}" for name in by]
    sql = f"SELECT {_listed(groups, schema.SUMS.values())} FROM {source} WHERE {condition}"  # noqa: S608 - names of ours
    ends = {"since": wanted.since, "until": wanted.until}
    return sql, {**values, **{f"{prefix}{name}": value for name, value in ends.items()}}


def _listed(groups: list[str], values: Any) -> str:  # noqa: ANN401 - texts
    named = [f"{group} AS g{number}" for number, group in enumerate(groups)]
    return ", ".join([*named, *(f"{value} AS {name}" for name, value in zip(_NAMES, values, strict=True))])


def summed(by: tuple[str, ...], values: Sequence[Any]) -> Sum:
    """Return the sum of a row: the values of the groups, then one for each of `schema.SUMS`."""
    found = dict(zip(_NAMES, values[len(by) :], strict=True))
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
