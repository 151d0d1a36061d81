"""What the page asks the ledger for, as JSON. Each answer takes an open reader and a question."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal, localcontext
from itertools import islice
from typing import TYPE_CHECKING, Any

from orobserve.errors import ConfigurationError
from orobserve.ledger.filters import Filter
from orobserve.ledger.money import EXACT
from orobserve.viewer import record
from orobserve.viewer.plain import plain
from orobserve.viewer.questions import STEPS, step_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve.generation import Generation
    from orobserve.ledger.query import Reader, Row
    from orobserve.ledger.series import Point
    from orobserve.ledger.sums import Sum
    from orobserve.viewer.questions import Question

_ROWS, _MOST_ROWS = 100, 1_000
_TURNS = 1_000  # of a session that are shown, the last ones
_GROUPS = 500
_MOST_DRAWN = 400 * STEPS["day"]
_MILLION = 10**6  # nanoseconds of a millisecond


class NotFoundError(Exception):
    """There is no such call or session in the ledger."""


def sums(reader: Reader, asked: Question) -> dict[str, Any]:
    """Return the sum of all calls that are asked for, and one for each group, the dearest first."""
    total, groups = reader.sums((), asked.wanted), reader.sums((asked.by,), asked.wanted)
    shown = [{**plain(each), "name": each.group[asked.by]} for each in groups[:_GROUPS]]
    return {"total": plain(total[0]) if total else None, "groups": shown, "group_count": len(groups)}


def series(reader: Reader, asked: Question) -> dict[str, Any]:
    """Return sums and latencies over time: of all calls (`points`), and of each group (`parts`).

    `since` and `until` are those of the axis: of the first step and of the end of the last one, in milliseconds.
    """
    since, until = _axis(reader, asked)
    step = step_of(since, until)
    points = reader.series(step, None, asked.wanted)
    parts = reader.series(step, asked.by, asked.wanted)
    told = _point if asked.given.get("each") == "1" else _part
    length = STEPS[step]
    return {
        "step": length // _MILLION,
        "since": since // length * length // _MILLION,
        "until": -(-until // length) * length // _MILLION,
        "points": [_point(each) for each in points],
        "parts": [told(each) for each in parts],
    }


def calls(reader: Reader, asked: Question) -> dict[str, Any]:
    """Return the newest calls; `cursor` is where the ledger ended then, `older` what to ask `until` for the next."""
    limit = asked.number("limit", _ROWS, _MOST_ROWS)
    cursor = reader.cursor()
    rows = reader.rows(asked.wanted, limit=limit)
    older = str(rows[-1].started_at + 1) if rows and len(rows) == limit else None
    return {"rows": [plain(row) for row in rows], "cursor": cursor, "older": older}


def follow(reader: Reader, asked: Question) -> dict[str, Any]:
    """Return the calls that were written since a cursor, oldest first."""
    end = reader.cursor()
    rows = list(islice(reader.follow(asked.number("cursor", end), asked.wanted), _MOST_ROWS))
    is_all = len(rows) < _MOST_ROWS
    cursor = max(end if is_all else 0, rows[-1].id if rows else 0)
    return {"rows": [plain(row) for row in rows], "cursor": cursor}


def call(reader: Reader, asked: Question) -> dict[str, Any]:
    """Return a call's whole record, long texts cut; with `before`, only the messages before that one."""
    found = the_call(reader, asked)
    before = asked.number("before", 0) if "before" in asked.given else None
    return record.page(found, before)


def part(reader: Reader, asked: Question) -> dict[str, Any]:
    """Return a piece of a long text of a call: from `offset` on, of the text at `path` (a JSON list)."""
    offset = asked.number("offset", 0)
    text = record.text_at(the_call(reader, asked), path_of(asked))
    if text is None:
        raise NotFoundError
    return {"text": text[offset : offset + record.PIECE], "length": len(text)}


def sessions(reader: Reader, asked: Question) -> dict[str, Any]:
    """Return the sessions that were heard of last."""
    limit = asked.number("limit", _ROWS, _MOST_ROWS)
    return {"sessions": [plain(each) for each in reader.sessions(asked.wanted, limit=limit)]}


def session(reader: Reader, asked: Question) -> dict[str, Any]:
    """Return the last calls of a session, oldest first, each with what the session had cost by then."""
    wanted = Filter(session=asked.text("id"))
    rows = list(reversed(reader.rows(wanted, limit=_TURNS)))
    if not rows:
        raise NotFoundError
    until = replace(wanted, until=rows[-1].started_at + 1)  # what has come since the rows were read does not count
    total = reader.sums((), until)[0]
    return {"turns": _turns(rows, total), "total": plain(total)}


def values(reader: Reader, asked: Question) -> dict[str, Any]:
    """Return the names that calls have in one field, those of most spend first."""
    wanted = Filter(since=asked.wanted.since, until=asked.wanted.until)
    found = (each.group[asked.by] for each in reader.sums((asked.by,), wanted))
    return {"values": list(islice((name for name in found if name is not None), 200))}


def the_call(reader: Reader, asked: Question) -> Generation:
    """Return the call that is asked for.

    Raises:
        NotFoundError: it is not in the ledger.
    """
    found = reader.call(asked.text("id"))
    if found is None:
        raise NotFoundError
    return found


def path_of(asked: Question) -> list[str | int]:
    """Return the path of a text inside a record, as `record.page` has given it."""
    text = asked.text("path")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(step, (str, int)) for step in found):
        raise ConfigurationError("path", text, allowed="a JSON list of names and numbers", fix='for example: ["$raw"]')
    return found


def _axis(reader: Reader, asked: Question) -> tuple[int, int]:
    """Return the time that is drawn: what is asked for; from the ledger's first day on, if that is very long."""
    until = asked.now if asked.wanted.until is None else asked.wanted.until
    if asked.wanted.since is not None and until - asked.wanted.since < _MOST_DRAWN:
        return min(asked.wanted.since, until), until
    days = [each.group["day"] for each in reader.sums(("day",), Filter(until=until))]
    first = min(days, default=None)
    if first is None:
        return until, until
    return int(datetime(first.year, first.month, first.day, tzinfo=timezone.utc).timestamp()) * 10**9, until


def _point(found: Point) -> dict[str, Any]:
    point = plain(found)
    return {**point, **point.pop("sums"), "start": found.start // _MILLION, "name": found.group}


def _part(found: Point) -> dict[str, Any]:
    """Return what is drawn of a group, unless all is asked for: little, since there are many."""
    start, counted = found.start // _MILLION, found.sums
    told = {"cost": plain(counted.cost), "calls": counted.calls, "errors": counted.errors, "unpriced": counted.unpriced}
    return {"start": start, "name": found.group, **told}


def _turns(rows: Sequence[Row], total: Sum) -> list[dict[str, Any]]:
    """Return the rows with the sums until then: what `total` holds besides these rows came before them."""
    known = [row.cost for row in rows if row.cost is not None]
    unpriced = total.unpriced - len([row for row in rows if row.cost is None and not row.failed])
    turns, provider = [], None
    with localcontext(EXACT):
        cost = None if total.calls == len(rows) else (total.cost or 0) - sum(known, Decimal(0))
        for row in rows:
            cost = cost if row.cost is None else (cost or 0) + row.cost
            unpriced += row.cost is None and not row.failed
            switched = None not in {provider, row.provider} and row.provider != provider
            told = {"running_cost": plain(cost), "running_unpriced": unpriced, "switched": switched}
            turns.append({**plain(row), **told})
            provider = row.provider or provider
    return turns
