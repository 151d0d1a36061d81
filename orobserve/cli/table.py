"""Aligned tables. On a terminal they fit its width, and rich draws them where it is there: it knows wide characters."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TextIO
from uuid import uuid4

from orobserve.telemetry.console import coloured, escaped, is_terminal, money, no_formula, plain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from _typeshed import SupportsWrite

    from orobserve import spend
    from orobserve.ledger import sums

_STYLES = {"head": "\x1b[1m", "bad": "\x1b[31m", "dim": "\x1b[2m", "good": "\x1b[32m"}
_RESET = "\x1b[0m"
_LEAST = 12  # characters of a name that a table shows at least
_MARK = uuid4().hex  # around a number in JSON that is to lose its quotes; no text of others can hold it
_NUMBER = re.compile(f'"{_MARK}(.*?){_MARK}"')
RICH_STYLES = {"head": "bold", "bad": "red", "dim": "dim", "good": "green", "": ""}


def style(text: str, name: str, stream: TextIO) -> str:
    """Return a text in a style, where colours are welcome."""
    return f"{_STYLES[name]}{text}{_RESET}" if name and coloured(stream) else text


def write(
    stream: TextIO,
    head: Sequence[str],
    rows: Sequence[Sequence[str | None]],
    styles: Sequence[str],
    right: Sequence[int],
    *,
    whole: Sequence[int] = (),
) -> None:
    """Write a table.

    Args:
        stream: where to.
        head: the column titles.
        rows: the cells, as they are: what a terminal would obey is taken out here. None is `-`.
        styles: the style of each row, empty for none.
        right: the columns that are aligned to the right; they are not cut while others can be.
        whole: others that are not.
    """
    shown = [[plain(cell) for cell in row] for row in rows]
    if is_terminal(stream):
        with suppress(ModuleNotFoundError):
            _write_rich(stream, head, shown, styles, (right, {*right, *whole}))
            return
    widths = [max(len(row[column]) for row in (head, *shown)) for column in range(len(head))]
    limit = shutil.get_terminal_size().columns if is_terminal(stream) else 0
    for row, name in zip((head, *shown), ("head", *styles), strict=True):
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(cells).rstrip()
        if limit and len(line) > limit:
            line = line[: limit - 1] + "…"
        stream.write(style(line, name, stream) + "\n")


def _write_rich(
    stream: TextIO,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str],
    columns: tuple[Sequence[int], Collection[int]],
) -> None:
    from rich.console import Console  # noqa: PLC0415 - an extra
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    right, whole = columns

    def cell(text: str) -> Text:
        return Text(text, no_wrap=True, overflow="ellipsis")

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=RICH_STYLES["head"])
    for column, title in enumerate(head):
        justify: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(cell(title), justify=justify, no_wrap=column in whole, overflow="ellipsis")
    for row, name in zip(rows, styles, strict=True):
        table.add_row(*map(cell, row), style=RICH_STYLES[name])
    width = shutil.get_terminal_size().columns
    console = Console(
        file=stream,
        width=width,
        force_terminal=True,
        color_system="standard" if coloured(stream) else None,
        legacy_windows=False,
    )
    console.print(table)


def fitting(rows: Sequence[Sequence[str]], names: Collection[str], spared: Sequence[str]) -> list[tuple[str, ...]]:
    """Return a table as a terminal can show it: the names shortened, and then without what can best be spared.

    What has no cell at all has no column.

    Args:
        rows: the titles, and then the cells.
        names: the titles of the columns that may be shortened, to a dozen characters at least.
        spared: the titles of those that are left out where that is not enough, the first one first.
    """
    room = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else sys.maxsize
    told = [column for column, (_, *cells) in enumerate(zip(*rows, strict=True)) if any(cells)]
    found = [tuple(row[column] for column in told) for row in rows]
    for out in ("", *spared):
        kept = [column for column, title in enumerate(found[0]) if title != out or not out]
        found = [tuple(row[column] for column in kept) for row in found]
        widths = [max(map(len, cells)) for cells in zip(*found, strict=True)]
        named = [column for column, title in enumerate(found[0]) if title in names]
        while sum(widths) + 2 * (len(widths) - 1) > room and max((widths[each] for each in named), default=0) > _LEAST:
            widths[max(named, key=widths.__getitem__)] -= 1
        if sum(widths) + 2 * (len(widths) - 1) <= room:
            break
    return [tuple(shortened(cell, width) for cell, width in zip(row, widths, strict=True)) for row in found]


def shortened(text: str, width: int) -> str:
    """Return a text without its middle: a model's vendor and version tell most."""
    return text if len(text) <= width else f"{text[: (width - 1) // 2]}…{text[len(text) - width // 2 :]}"


def cost(found: spend.Sum | sums.Sum) -> str:
    """Return what calls cost; `?` stands for what is not known of it."""
    return priced(found.cost, found.unpriced)


def priced(known: Decimal | None, unpriced: int) -> str:
    """Return what is known of a cost, in USD, and whether that of some calls is not."""
    return money(known) + (" + ?" if unpriced and known is not None else "")


def summarise(stream: TextIO, total: spend.Sum | sums.Sum) -> None:
    """Write the line below a table: how many calls, what they cost in USD, and of how many that is not known."""
    line = f"{counted(total.calls, 'call')}, {counted(total.errors, 'error')}, total spend {money(total.cost)}"
    if total.unpriced:
        line += f", and {counted(total.unpriced, 'call')} whose cost is unknown (?)"
    stream.write("\n" + style(line, "head", stream) + "\n")


def counted(count: int, noun: str) -> str:
    """Return a number and what is counted, in the plural where there is not one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def write_json(stream: TextIO, found: object) -> None:
    """Write a line of JSON: decimals as numbers with all their digits, and nothing that a terminal would obey."""
    text = json.dumps(found, default=lambda number: f"{_MARK}{number:f}{_MARK}")
    stream.write(escaped(_NUMBER.sub(r"\1", text)) + "\n")


def write_csv(stream: SupportsWrite[str], head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write comma-separated values, a line a row: None is empty, several values are a JSON list.

    A text has nothing in it that a terminal would obey, and an apostrophe before what a spreadsheet would.
    """
    writer = csv.writer(stream, lineterminator="\n")
    if head:
        writer.writerow(head)
    for row in rows:
        writer.writerow(map(_cell, row))


def write_records(
    stream: SupportsWrite[str], found: Sequence[Mapping[str, Any]], names: Sequence[str], *, head: bool = True
) -> None:
    """Write flat JSON objects as comma-separated values.

    Args:
        stream: where to.
        found: the objects, which all have the same names.
        names: the first columns, where there is no object.
        head: whether it begins with a line of names.
    """
    columns = list(found[0]) if found else names
    write_csv(stream, columns if head else (), (list(each.values()) for each in found))


def _cell(value: Any) -> Any:  # noqa: ANN401 - of any column
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (list, tuple)):
        return plain(json.dumps(value, ensure_ascii=False))
    if isinstance(value, str):
        return plain(no_formula(value))
    return value
