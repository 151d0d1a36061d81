"""Plain aligned tables: colours only on a terminal, and cut to its width."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, TextIO

from orobserve.telemetry.console import money

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve import spend
    from orobserve.ledger import sums

_STYLES = {"head": "\x1b[1m", "bad": "\x1b[31m", "dim": "\x1b[2m", "good": "\x1b[32m"}
_RESET = "\x1b[0m"


def coloured(stream: TextIO) -> bool:
    """Tell whether colours are welcome (https://no-color.org)."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def style(text: str, name: str, stream: TextIO) -> str:
    """Return a text in a style, where colours are welcome."""
    return f"{_STYLES[name]}{text}{_RESET}" if name and coloured(stream) else text


def write(
    stream: TextIO, head: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str], right: Sequence[int]
) -> None:
    """Write a table.

    Args:
        stream: where to.
        head: the column titles.
        rows: the cells.
        styles: the style of each row, empty for none.
        right: the columns that are aligned to the right.
    """
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    limit = shutil.get_terminal_size().columns if stream.isatty() else 0
    for row, name in zip((head, *rows), ("head", *styles), strict=True):
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(cells).rstrip()
        if limit and len(line) > limit:
            line = line[: limit - 1] + "…"
        stream.write(style(line, name, stream) + "\n")


def cost(found: spend.Sum | sums.Sum) -> str:
    """Return what calls cost; `?` stands for what is not known of it."""
    return money(found.cost) + (" + ?" if found.unpriced and found.cost is not None else "")


def summarise(stream: TextIO, total: spend.Sum | sums.Sum) -> None:
    """Write the line below a table: how many calls, what they cost in USD, and of how many that is not known."""
    line = f"{counted(total.calls, 'call')}, {counted(total.errors, 'error')}, total spend {money(total.cost)}"
    if total.unpriced:
        line += f", and {counted(total.unpriced, 'call')} whose cost is unknown (?)"
    stream.write("\n" + style(line, "head", stream) + "\n")


def counted(count: int, noun: str) -> str:
    """Return a number and what is counted, in the plural where there is not one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
