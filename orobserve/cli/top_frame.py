"""A view of `orobserve top` as lines that fit a terminal. It writes nothing, and knows no ledger."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from orobserve.cli.table import counted
from orobserve.cli.top_view import WINDOW
from orobserve.telemetry.console import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve.cli.top_view import Bar, View
    from orobserve.ledger.query import Row
    from orobserve.ledger.sums import Sum

_BLOCKS = "▁▂▃▄▅▆▇█"
_FULL, _EMPTY = "█", "░"
_WARN = Decimal("0.8")
_WIDE = 100  # characters from which on there is room for the provider
_LEAST = 3  # rows of a table, if there is any room
_TITLES = ("$/min", "share", "calls/min", "out tok/s", "errors", "today")


class Line(NamedTuple):
    """A line, and its style as in `table.style`."""

    text: str
    style: str = ""


def frame(view: View, width: int, height: int, *, hint: str = "") -> list[Line]:
    """Return the lines, at most `height` of at most `width` characters."""
    when = f"{datetime.fromtimestamp(view.now // 10**9, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    flying = f"in flight {view.flying.calls}"
    if view.flying.processes > 1:
        flying += f" ({view.flying.processes} processes)"
    head = [_ends(f"orobserve top  {when}  {flying}", hint, width), *_now(view), *_history(view, width)]
    bars = [_bar(each, width) for each in view.bars]
    room = height - len(head) - 4  # two blank lines, two titles
    bars = bars[: max(0, room - 2 * _LEAST)]
    groups = _groups(view, width)
    latest = [_call(row, width) for row in view.latest]
    room = max(0, room - len(bars) - (1 if bars else 0))
    shown = min(len(groups) - 1, max(_LEAST, room - min(len(latest), max(_LEAST, room // 3))))
    body = [*groups[: shown + 1], Line(""), Line("latest calls", "head"), *latest]
    lines = [*head, *([Line(""), *bars] if bars else []), Line(""), *body][:height]
    return [Line(_cut(text, width), style) for text, style in lines]


def dollars(amount: Decimal | None) -> str:
    """Return an amount rounded to what a glance takes in: cents, or three digits of less. Unknown is `?`, never 0."""
    if amount is None:
        return "?"
    if amount == 0 or abs(amount) >= 1:
        return f"${amount:,.2f}"
    return f"${amount:.{min(2 - amount.adjusted(), 12)}f}"


def _now(view: View) -> list[Line]:
    found = view.window
    cost = Decimal(0) if found is None else found.cost
    per_minute = None if cost is None else cost / WINDOW
    parts = [
        f"{dollars(per_minute)}{' + ?' if per_minute is not None and found and found.unpriced else ''}/min",
        f"({dollars(None if per_minute is None else per_minute * 60)}/h)",
        f"{_rate(found.calls if found else 0, WINDOW)} calls/min",
        f"{_rate(_tokens(found), WINDOW * 60)} tok/s",
        counted(found.errors if found else 0, "error"),
    ]
    style = "bad" if found is not None and found.errors else "head"
    unpriced = f", {view.today.unpriced} unpriced" if view.today and view.today.unpriced else ""
    calls = f"({counted(view.today.calls if view.today else 0, 'call')}{unpriced})"
    sums = f"today  {_total(view.today)} {calls}   month  {_total(view.month)}"
    return [Line(f"now    {'  '.join(parts)}", style), Line(sums, "head")]


def _total(found: Sum | None) -> str:
    if found is None:
        return dollars(Decimal(0))
    return dollars(found.cost) + (" + ?" if found.unpriced and found.cost is not None else "")


def _tokens(found: Sum | None) -> int | None:
    return 0 if found is None else found.output_tokens


def _rate(count: int | None, length: int) -> str:
    return "?" if count is None else f"{count / length:,.1f}"


def _history(view: View, width: int) -> list[Line]:
    known = [cost or Decimal(0) for cost in view.minutes][-max(10, width - 30) :]
    most = max(known)
    marks = [" " if not cost else _BLOCKS[int(cost / most * (len(_BLOCKS) - 1))] for cost in known]
    return [Line(f"$/min  {''.join(marks)}  {len(known)} min, peak {dollars(most)}", "good")]


def _bar(bar: Bar, width: int) -> Line:
    spent, amount = bar.spent or Decimal(0), bar.budget.amount
    part = spent / amount
    size = max(10, min(30, width - 60))
    full = min(size, int(part * size))
    name = (f"{plain(bar.group)}: " if bar.group is not None else "") + plain(bar.budget.name)
    unknown = f" + {bar.unpriced} ?" if bar.unpriced else ""
    said = f"[{_FULL * full}{_EMPTY * (size - full)}] {dollars(spent)}{unknown} of {dollars(amount)} ({part:.0%})"
    style = "bad" if part >= 1 else "head" if part >= _WARN else ""
    return Line(f"{_fit(name, max(8, width - size - 37))} {said}", style)


def _groups(view: View, width: int) -> list[Line]:
    whole = view.window.cost if view.window is not None else None
    rows = []
    for group in view.groups:
        now, cost = group.window, group.window.cost if group.window is not None else None
        rates = ("", "", "", "", "")
        if now is not None:
            share = f"{cost / whole:.0%}" if cost is not None and whole else ""
            per_minute = dollars(None if cost is None else cost / WINDOW)
            speed = _rate(_tokens(now), WINDOW * 60)
            rates = (per_minute, share, _rate(now.calls, WINDOW), speed, str(now.errors or ""))
        rows.append((plain(group.name), *rates, _total(group.today)))
    widths = [max(len(row[place]) for row in (("", *_TITLES), *rows)) for place in range(1, len(_TITLES) + 1)]
    first = max(8, width - sum(widths) - 2 * len(widths))

    def line(row: Sequence[str]) -> str:
        cells = [cell.rjust(size) for cell, size in zip(row[1:], widths, strict=True)]
        return "  ".join([_fit(row[0], first), *cells])

    styles = ["bad" if row[5] else "" for row in rows]
    title = Line(line((f"by {view.by}, last {WINDOW} min", *_TITLES)), "head")
    return [title, *(Line(line(row), style) for row, style in zip(rows, styles, strict=True))]


def _call(row: Row, width: int) -> Line:
    when = f"{datetime.fromtimestamp(row.started_at // 10**9, timezone.utc):%H:%M:%S}"
    tokens = f"{_known(row.input_tokens)}→{_known(row.output_tokens)}"
    took = "?" if row.duration is None else f"{row.duration / 1e9:.1f} s"
    who = plain(row.error or row.user or row.name or "")
    is_wide = width >= _WIDE
    name = plain(row.model or row.operation) + (f" via {plain(row.provider)}" if row.provider and is_wide else "")
    size = 30 if is_wide else 19  # of the last column
    rest = f"{tokens:>11} {dollars(row.cost):>9} {took:>6}  {_cut(who, size)}".rstrip()
    return Line(f"{when} {_fit(name, max(12, width - 40 - size))} {rest}", "bad" if row.failed else "")


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)


def _ends(left: str, right: str, width: int) -> Line:
    return Line(left + right.rjust(max(0, width - len(left))), "head")


def _fit(text: str, size: int) -> str:
    return _cut(text, size).ljust(size)


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"
