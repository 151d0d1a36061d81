"""`orobserve tail`: the last calls in the ledger, and then each new one as it is written; or the dearest ones."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from orobserve import config
from orobserve.cli import calls, selection, table
from orobserve.telemetry.console import describe, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orobserve.ledger.filters import Filter
    from orobserve.ledger.query import Reader, Row

_INTERVAL = 0.5  # seconds between two looks
_REMEMBERED = 50_000  # calls that are known again when they are completed
_EPILOG = """\
examples:
  orobserve tail                                    the last ten calls, and new ones until Ctrl-C
  orobserve tail --errors --user ada
  orobserve tail -n 50 --no-follow --session s-42
  orobserve tail --dearest --since 24h              what was it that cost so much?
  orobserve tail --json | jq 'select(.cost > 0.01)'

A call of which more is learnt later (its cost, say) comes again, marked "(update)". "?" is not known, never 0. A line
ends with the generation id, or its beginning: `orobserve show ID` tells the rest. Costs are USD. Times are local; in
--json and --csv they are UTC, and spans are seconds.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "tail",
        help="the last calls, and new ones as they come",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    selection.add_filters(command)
    command.add_argument(
        "-n", "--lines", type=selection.count, default=10, metavar="N", help="how many to begin with (default: 10)"
    )
    command.add_argument("--no-follow", action="store_true", help="end after them")
    command.add_argument("--dearest", action="store_true", help="those that cost the most instead, the dearest first")
    selection.add_formats(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace, wait: Callable[[], bool] | None = None) -> int:
    """Run the command.

    Args:
        options: of the command line.
        wait: called when there is nothing new: waits, and returns False to end.
    """
    settings = config.load({})
    wanted = selection.wanted(options, settings)
    with selection.reader(settings) as reader:
        write = _write_json if options.json else _write_csv if options.csv else _write
        follows = None if options.no_follow else wait or _wait
        found = (
            _dearest(reader, wanted, options.lines)
            if options.dearest
            else _calls(reader, wanted, options.lines, follows)
        )
        for number, (row, is_update) in enumerate(found):
            write(row, is_update=is_update, is_first=not number)
    return 0


def _dearest(reader: Reader, wanted: Filter, count: int) -> Iterator[tuple[Row, bool]]:
    return ((row, False) for row in reader.rows(wanted, limit=count, dearest=True))


def _calls(reader: Reader, wanted: Filter, count: int, wait: Callable[[], bool] | None) -> Iterator[tuple[Row, bool]]:
    """Yield each call, and whether it was here before: the last ones, then those that are written."""
    cursor = reader.cursor()  # first: what is written between these two questions is then told by both, not by none
    seen: dict[object, int] = {}
    for row in reversed(reader.rows(wanted, limit=count)):
        seen[_identity(row)] = row.id
        yield row, False
    for row in () if wait is None else reader.follow(cursor, wanted, wait=wait):
        before = seen.pop(_identity(row), None)
        seen[_identity(row)] = row.id
        if before != row.id:
            yield row, before is not None
        if len(seen) > _REMEMBERED:
            del seen[next(iter(seen))]


def _identity(row: Row) -> object:
    """Return what stays the same when a call is completed: it may get its generation id only then."""
    return (row.span_id, row.started_at) if row.span_id else row.key


def _wait() -> bool:
    time.sleep(_INTERVAL)
    return True


def _write(row: Row, *, is_update: bool, is_first: bool) -> None:  # noqa: ARG001 - as the others
    out = sys.stdout
    at, today = selection.clock(row.started_at), selection.clock(time.time_ns())[:10]
    begins = table.style(at.removeprefix(f"{today} "), "dim", out) + (" (update) " if is_update else " ")
    id_ = calls.shown_id(row.generation_id, out)
    ends = f" · {id_}" if id_ else ""
    text = plain(describe(calls.told(row)) + ends)
    out.write(f"{begins}{table.style(text, 'bad' if row.failed else '', out)}\n")
    out.flush()


def _write_json(row: Row, *, is_update: bool, is_first: bool) -> None:  # noqa: ARG001 - as the others
    table.write_json(sys.stdout, {**calls.as_json(row), "update": is_update})
    sys.stdout.flush()


def _write_csv(row: Row, *, is_update: bool, is_first: bool) -> None:
    table.write_records(sys.stdout, [{**calls.as_json(row), "update": is_update}], (), head=is_first)
    sys.stdout.flush()
