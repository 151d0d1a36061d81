"""Where sums of calls are read from: the kept sums of whole days and hours, as far as they go, else the calls.

A question is SQL that selects the groups as `g0`, `g1` and so on, and then what is to be summed by its name. Together
the questions of one answer see every call once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orobserve.ledger.filters import Filter, where
from orobserve.ledger.rollups import BINS, COUNTED, DAILY, HOUR, SUMMED, SUMS, column_of, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DAY = 24 * HOUR
TIMES = {"minute": HOUR // 60, "hour": HOUR, "day": DAY}  # groups by when a call started; nanoseconds
KINDS = tuple(SUMMED)
_WHOLE = "api_key"  # of this kind there are the fewest sums: what all calls come to is read from them


@dataclass(frozen=True, slots=True)
class Source:
    """What an answer is read from.

    Attributes:
        kept: questions to kept sums.
        calls: questions to calls, by row.
        values: of both.
    """

    kept: list[str]
    calls: list[str]
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A table of kept sums: what time a row is of, which rows are meant, and the columns of the kinds."""

    table: str
    hours: int
    time: str  # the column, and of how many hours it is a count
    unit: int
    condition: str
    columns: Mapping[str, str]


def sums_from(by: tuple[str, ...], wanted: Filter, among: str | None = None) -> Source:
    """Return where the sums are read from.

    Args:
        by: the groups: names of `TIMES` and `KINDS`.
        wanted: which calls.
        among: the name of a value that is a JSON list: only those values of the last group.
    """
    return _source(_kept_sums(by, wanted), by, wanted, SUMS, among)


def bins_from(by: tuple[str, ...], wanted: Filter) -> Source:
    """Return where the bins of durations are read from: numbers of calls, JSON of histograms of kept sums."""
    return _source(_kept_bins(by, wanted), by, wanted, dict(zip(BINS, BINS, strict=True)))


def _kept_sums(by: tuple[str, ...], wanted: Filter) -> list[_Kept]:
    needed, step = _needed(by, wanted)
    if needed is None:
        return []
    kind = next(iter(needed), _WHOLE)
    if len(needed) <= 1:
        hours = SUMMED[kind]
        fitting = [hours] if hours * HOUR <= step else []
        return [_Kept("rollup", hours, "hour", 1, f"kind = '{kind}'", {kind: "value"}) for hours in fitting]
    if needed <= {*DAILY} and step == DAY:
        return [_Kept("daily", 24, "day", 24, "1", {name: name for name in DAILY})]
    return []


def _kept_bins(by: tuple[str, ...], wanted: Filter) -> list[_Kept]:
    needed, step = _needed(by, wanted)
    if needed is None or len(needed) > 1:
        return []
    kind = next(iter(needed), _WHOLE)
    condition = f"kind = '{kind}' AND hours = "
    return [
        _Kept("histogram", hours, "hour", 1, f"{condition}{hours}", {kind: "value"})
        for hours in COUNTED.get(kind, ())
        if hours * HOUR <= step
    ]


def _needed(by: tuple[str, ...], wanted: Filter) -> tuple[set[str] | None, int]:
    """Return the kinds that sums must tell apart (None: kept ones cannot tell), and the time that one may be of."""
    asked, given = {*by} - {*TIMES}, {kind for kind in KINDS if getattr(wanted, kind) is not None}
    is_told = wanted.error is None and "tag" not in asked & given  # a call with that tag counts for its other tags too
    return asked | given if is_told else None, min((TIMES[name] for name in by if name in TIMES), default=DAY)


def _source(
    tables: list[_Kept], by: tuple[str, ...], wanted: Filter, named: Mapping[str, str], among: str | None = None
) -> Source:
    kept, calls, spans = [], [], []
    for table, since, until in _split(tables, wanted.since, wanted.until):
        part = replace(wanted, since=since, until=until)
        if table is None:
            calls.append(_from_calls("calls", by, part, named, among))
        else:
            kept.append(_from_kept(table, by, part, named, among))
            spans.append((since, until))
    if spans:  # together they are one
        since = min((since for since, _ in spans), key=lambda at: -1 if at is None else at)
        until = max((until for _, until in spans), key=lambda at: math.inf if at is None else at)
        calls.append(_from_calls("fresh", by, replace(wanted, since=since, until=until), named, among))
    return Source(kept, calls, where(wanted)[1])


def _split(
    tables: list[_Kept], since: int | None, until: int | None
) -> Iterator[tuple[_Kept | None, int | None, int | None]]:
    """Yield the parts of a time: what each table can tell of it, and what is left for the calls (None)."""
    if not tables:
        yield None, since, until
        return
    kept, rest = tables[0], tables[1:]
    length = kept.hours * HOUR
    first = None if since is None else -(-since // length) * length
    last = None if until is None else until // length * length
    if first is not None and last is not None and first >= last:
        yield from _split(rest, since, until)
        return
    yield kept, first, last
    if since != first:
        yield from _split(rest, since, first)
    if until != last:
        yield from _split(rest, last, until)


def _from_kept(kept: _Kept, by: tuple[str, ...], wanted: Filter, named: Mapping[str, str], among: str | None) -> str:
    length = kept.unit * HOUR
    groups = [
        f"{kept.time} * {length} / {TIMES[name]}" if name in TIMES else f"nullif({kept.columns[name]}, '')"
        for name in by
    ]
    conditions = [kept.condition]
    conditions += [f"{kept.time} >= {wanted.since // length}"] if wanted.since is not None else []
    conditions += [f"{kept.time} < {wanted.until // length}"] if wanted.until is not None else []
    conditions += [f"{column} = :{kind}" for kind, column in kept.columns.items() if getattr(wanted, kind) is not None]
    conditions += [_among(kept.columns[by[-1]], among)] if among else []
    listed = _listed(groups, {name: name for name in named})
    return f"SELECT {listed} FROM {kept.table} WHERE {' AND '.join(conditions)}"  # noqa: S608 - names of ours


def _from_calls(table: str, by: tuple[str, ...], wanted: Filter, named: Mapping[str, str], among: str | None) -> str:
    """Return the question to `calls`, or to `fresh`, of which some are to be taken away."""
    condition, _ = where(replace(wanted, since=None, until=None), table)
    conditions = [condition]
    conditions += [f"started_at >= {wanted.since}"] if wanted.since is not None else []
    conditions += [f"started_at < {wanted.until}"] if wanted.until is not None else []
    conditions += [_among(column_of(by[-1]), among)] if among else []
    groups = [f"started_at / {TIMES[name]}" if name in TIMES else column_of(name) for name in by]
    if table == "fresh" and named is SUMS:
        named = {name: f"sign * ({value})" for name, value in named.items()}
    elif named is not SUMS:
        named = {**named, "sign": "sign" if table == "fresh" else "1"}
    return f"SELECT {_listed(groups, named)} FROM {source_of(table, by)} WHERE {' AND '.join(conditions)}"  # noqa: S608


def _among(column: str, values: str) -> str:
    return f"{column} IN (SELECT value FROM json_each(:{values}))"  # noqa: S608 - names of ours


def _listed(groups: list[str], named: Mapping[str, str]) -> str:
    numbered = [f"{group} AS g{number}" for number, group in enumerate(groups)]
    return ", ".join([*numbered, *(f"{value} AS {name}" for name, value in named.items())])
