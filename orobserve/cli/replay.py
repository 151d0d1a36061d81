"""`orobserve replay`: calls of the ledger to a destination: a new one, one that was repaired, or what is still due."""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, Any

from orobserve import config
from orobserve.cli import selection, table
from orobserve.cli.probe import chosen
from orobserve.cli.progress import progress
from orobserve.delivery.assembly import place_of
from orobserve.delivery.clock import Clock
from orobserve.delivery.destination import Destination
from orobserve.delivery.policy import policy_for
from orobserve.delivery.sender import Sender
from orobserve.errors import ConfigurationError
from orobserve.ledger import replay
from orobserve.ledger.assembly import path_of
from orobserve.ledger.database import LedgerError
from orobserve.ledger.filters import Filter
from orobserve.telemetry.console import plain

if TYPE_CHECKING:
    from pathlib import Path

    from orobserve.delivery.settings import DestinationSettings

_PATIENCE = 60.0  # seconds for all attempts at a batch
_EPILOG = """\
examples:
  orobserve replay --to langfuse --since 2h         what it missed while its key was wrong
  orobserve replay --to clickhouse                  what is still due for it, at once
  orobserve replay --to audit --since 2026-11-01 --until 2026-11-02 --user ada --dry-run
  orobserve replay --to audit --dead                what it has refused, once more

With a time or a filter, all such calls of the ledger are sent, also those that the destination has had: products that
know calls by their ids keep one of each. Filters, sampling and privacy of the destination hold as always. Records are
sent as the ledger has them: without what was said where `ledger_content` is off, and masked.
Ctrl-C ends it; what is not sent then stays due: the same command without a time goes on, and so does any running
process with this destination. Exit status 1: something was refused, or is still due.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "replay",
        help="send calls of the ledger to a destination",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--to", required=True, metavar="DEST", help="the destination's name, or a type")
    selection.add_filters(command)
    command.add_argument("--dead", action="store_true", help="the dead letters of the destination, and only those")
    command.add_argument("--dry-run", action="store_true", help="only say how many calls there are")
    command.add_argument("--json", action="store_true", help="machine-readable output")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    settings = config.load({})
    path, wanted = path_of(settings), selection.wanted(options, settings)
    target = chosen(options.to, "--to")
    if options.dead and wanted != Filter():
        fix = "leave out the time and the filters"
        raise ConfigurationError("--dead", "a filter", allowed="without a time or a filter", fix=fix)
    with selection.reader(settings):  # the error that says how a ledger begins
        pass
    try:
        if options.dry_run:
            count = replay.due(path, target.name, dead=options.dead)
            count = count if wanted == Filter() else replay.count(path, wanted)
            return _tell(options, {"destination": target.name, "calls": count, "dry_run": True})
        return _tell(options, _send(path, target, wanted, dead=options.dead))
    except (LedgerError, sqlite3.Error) as error:
        fix = "try again when less is written to it"
        raise ConfigurationError("ledger", str(path), allowed=f"one that can be written ({error})", fix=fix) from None


def _send(path: Path, target: DestinationSettings, wanted: Filter, *, dead: bool) -> dict[str, Any]:
    clock = Clock()
    exporter = target.make()
    sender = Sender(timeout=exporter.LIMITS.timeout, patience=_PATIENCE, clock=clock)
    destination = Destination(target.name, exporter, policy_for(target), linger=0.0, sender=sender, clock=clock)
    destination.place = place_of(target)
    now = time.time_ns()
    if wanted != Filter():
        replay.post(path, destination, wanted, now)
    else:
        replay.collect(path, destination, now, dead=dead)
    total = replay.due(path, target.name, dead=False)
    is_ended = False
    with progress(total, f"to {plain(target.name)}") as advance:
        try:
            replay.Replay(path, destination, clock).run(advance)
            is_ended = True
        except KeyboardInterrupt:
            pass
    state = destination.state
    return {
        "destination": target.name,
        "calls": total,
        "sent": state.delivered,
        "withheld": state.withheld,
        "dead": sum(state.dropped.values()),
        "rejected": state.rejected,
        "due": replay.due(path, target.name, dead=False),
        "reason": state.last_error,
        "interrupted": not is_ended,
    }


def _tell(options: argparse.Namespace, done: dict[str, Any]) -> int:
    if options.json:
        sys.stdout.write(json.dumps(done) + "\n")
    elif options.dry_run:
        sys.stdout.write(f"would send {table.counted(done['calls'], 'call')} to {plain(done['destination'])}\n")
    else:
        sys.stdout.write(_summary(done) + "\n")
    if done.get("interrupted"):
        return 130
    return int(any(done.get(name) for name in ("dead", "rejected", "due")))


def _summary(done: dict[str, Any]) -> str:
    name = plain(done["destination"])
    parts = [f"{table.counted(done['sent'], 'call')} sent"]
    if done["withheld"]:
        parts.append(f"{done['withheld']} withheld by its filters, sampling or keys")
    if done["rejected"]:
        parts.append(f"{done['rejected']} rejected in batches that were taken otherwise")
    if done["dead"]:
        parts.append(f"{done['dead']} refused (orobserve destinations dead {name})")
    if done["due"]:
        parts.append(f"{done['due']} still due (orobserve replay --to {name} goes on)")
    why = f"\n{plain(done['reason'])}" if done["reason"] and len(parts) > 1 else ""
    is_bad = any(done[each] for each in ("dead", "rejected", "due"))
    return table.style(f"{name}: {', '.join(parts)}{why}", "bad" if is_bad else "good", sys.stdout)
