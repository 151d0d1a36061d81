"""`orobserve prune`: remove calls from the ledger, and give their room back."""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orobserve import config
from orobserve.cli import selection, table
from orobserve.cli.progress import progress
from orobserve.config_values import size
from orobserve.errors import ConfigurationError
from orobserve.ledger import prune
from orobserve.ledger.assembly import path_of
from orobserve.ledger.database import LedgerError
from orobserve.ledger.filters import Filter
from orobserve.ledger.query import Reader
from orobserve.telemetry.console import is_terminal

if TYPE_CHECKING:
    from pathlib import Path

_EPILOG = """\
examples:
  orobserve prune --older-than 30d --dry-run        what would go
  orobserve prune --older-than 30d --yes            for cron
  orobserve prune --to-size 500MB                   the oldest, until the rest takes up 500 MB
  orobserve prune --user ada --yes                  forget a user

What several options say must all be true of a call that goes. Processes that record calls go on meanwhile. A ledger can
keep itself small too: OROBSERVE_LEDGER_DAYS, OROBSERVE_LEDGER_SIZE. `orobserve export` first keeps a copy. Room is
given back in whole pages of the file: calls picked from among others that stay leave gaps, and give back less.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "prune",
        help="remove calls from the ledger",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--older-than", metavar="WHEN", help="calls before 30d ago, or before a day (as --until)")
    command.add_argument("--to-size", metavar="SIZE", help="only as many, the oldest first, as are too much: 500MB")
    selection.add_filters(command)
    command.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.add_argument("--json", action="store_true", help="machine-readable output")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    settings = config.load({})
    path = path_of(settings)
    wanted = selection.wanted(options, settings)
    before = selection.moment("--older-than", options.older_than, time.time_ns())
    if before is not None:
        wanted = replace(wanted, until=before if wanted.until is None else min(before, wanted.until))
    limit = None if options.to_size is None else size("--to-size", options.to_size)
    if wanted == Filter() and limit is None:
        fix = "say which calls may go, for example --older-than 30d"
        raise ConfigurationError("prune", None, allowed="--older-than, --to-size, or a filter", fix=fix)
    try:
        with selection.reader(settings):  # the error that says how a ledger begins
            planned = prune.plan(path, wanted, limit)
        if options.dry_run or not planned.calls:
            _tell(options, {"calls": planned.calls, "left": planned.all - planned.calls, "bytes": planned.bytes})
            return 0
        if not options.yes and not _agreed(planned):
            sys.stderr.write("nothing was removed\n")
            return 1
        _tell(options, _remove(path, wanted, limit, planned))
    except (LedgerError, sqlite3.Error) as error:
        fix = "try again when less is written to it"
        raise ConfigurationError("ledger", str(path), allowed=f"one that can be written ({error})", fix=fix) from None
    return 0


def _remove(path: Path, wanted: Filter, limit: int | None, planned: prune.Plan) -> dict[str, Any]:
    before, _ = prune.room(path)
    with progress(planned.calls, "removing calls") as advance:
        removed = prune.prune(path, wanted, limit, advance=advance)
    _, free = prune.room(path)
    with progress(free, "giving room back") as advance:
        prune.shrink(path, advance=advance)
    after, _ = prune.room(path)
    with Reader(path) as reader:
        left = sum(each.calls for each in reader.sums())
    return {"calls": removed, "left": left, "bytes": max(0, before - after)}


def _agreed(planned: prune.Plan) -> bool:
    """Ask; on standard error, as the answer to the command is not known yet."""
    if not is_terminal(sys.stdin):
        raise ConfigurationError(
            "--yes", None, allowed="--yes where nobody can be asked", fix="add --yes, or --dry-run"
        )
    sys.stderr.write(
        f"Remove {table.counted(planned.calls, 'call')} of {planned.all} for good, about {_size(planned.bytes)}? [y/N] "
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _tell(options: argparse.Namespace, done: dict[str, Any]) -> None:
    if options.json:
        table.write_json(sys.stdout, {**done, "dry_run": options.dry_run})
        return
    calls, left = table.counted(done["calls"], "call"), done["left"]
    if options.dry_run:
        sys.stdout.write(f"would remove {calls}, about {_size(done['bytes'])}; {left} would be left\n")
    else:
        sys.stdout.write(f"removed {calls}, {_size(done['bytes'])} given back; {left} left\n")


def _size(count: int) -> str:
    if count < 1000:  # noqa: PLR2004
        return table.counted(count, "byte")
    power = min(3, (len(str(count)) - 1) // 3)
    return f"{count / 1000**power:.3g} {('KB', 'MB', 'GB')[power - 1]}"
