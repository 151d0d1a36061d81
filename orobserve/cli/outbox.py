"""`orobserve destinations status`, `dead` and `discard`: what is still to be delivered, and what was refused."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from orobserve import config
from orobserve.cli import selection, table
from orobserve.errors import ConfigurationError
from orobserve.ledger import replay
from orobserve.ledger.assembly import path_of
from orobserve.ledger.database import LedgerError
from orobserve.ledger.outbox import DeliveryState, delivery_states

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from orobserve.config import Config

_SECOND = 10**9
_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def add(actions: Any) -> list[argparse.ArgumentParser]:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the actions, and return those that have still to get their `--json`."""
    status = actions.add_parser("status", help="what each destination has taken, what is due, and what it refused")
    status.set_defaults(run=_status)
    dead = actions.add_parser("dead", help="the calls that destinations have refused, and why")
    dead.add_argument("name", metavar="DEST", nargs="?", help="only of this destination")
    dead.set_defaults(run=_dead)
    discarding = actions.add_parser("discard", help="do without what a destination has refused")
    discarding.add_argument("name", metavar="DEST", help="the destination's name")
    discarding.add_argument("--due", action="store_true", help="also what is still to be sent to it")
    discarding.set_defaults(run=_discard)
    for parser in (status, dead):
        selection.add_formats(parser)
    return [discarding]


def _status(options: argparse.Namespace) -> int:
    settings = config.load({})
    with _usable(settings):
        known = {each.destination: each for each in delivery_states(path_of(settings))}
    for each in settings.destinations:
        if each.enabled:
            known.setdefault(each.name, _unheard(each.name))
    found = [known[name] for name in sorted(known)]
    if _is_written(options, [_timed(asdict(each)) for each in found]):
        return 0
    if not found:
        sys.stdout.write("no destination has been sent anything yet\n")
        return 0
    head = ("destination", "delivered", "last", "due", "oldest", "dead", "last failure")
    now = time.time_ns()
    rows = [
        (
            each.destination,
            str(each.delivered),
            _ago(each.last_delivered_at, now),
            str(each.due or ""),
            _ago(each.oldest_due_at, now),
            str(each.dead or ""),
            each.last_reason or "",
        )
        for each in found
    ]
    table.write(sys.stdout, head, rows, ["bad" if each.dead else "" for each in found], range(1, 6))
    if any(each.dead for each in found):
        sys.stdout.write("\norobserve destinations dead DEST lists what was refused.\n")
    if any(each.due for each in found):
        sys.stdout.write("\nWhat is due is sent by itself; orobserve replay --to DEST does so now.\n")
    return 0


def _dead(options: argparse.Namespace) -> int:
    settings = config.load({})
    with _usable(settings):
        found = replay.dead_letters(path_of(settings), options.name)
    if _is_written(options, [_timed(asdict(each)) for each in found]):
        return 0
    if not found:
        sys.stdout.write("no dead letters\n")
        return 0
    head = ("time", "destination", "model", "generation", "reason")
    rows = [
        (
            selection.clock(each.started_at),
            each.destination,
            each.model or "?",
            each.generation_id or "?",
            each.reason or "",
        )
        for each in found
    ]
    table.write(sys.stdout, head, rows, [""] * len(rows), ())
    sys.stdout.write(
        "\norobserve replay --to DEST --dead tries them once more; orobserve destinations discard DEST forgets them.\n"
    )
    return 0


def _discard(options: argparse.Namespace) -> int:
    settings = config.load({})
    with _usable(settings):
        known = [each.destination for each in delivery_states(path_of(settings))]
        if options.name not in known:
            allowed = ", ".join(known) or "none, as nothing was sent yet"
            raise ConfigurationError("DEST", options.name, allowed=allowed, fix="orobserve destinations status")
        count = replay.discard(path_of(settings), options.name, due=options.due)
    if options.json:
        sys.stdout.write(json.dumps({"destination": options.name, "discarded": count}) + "\n")
    else:
        what = "waiting call" if options.due else "dead letter"
        sys.stdout.write(f"{table.counted(count, what)} discarded; the ledger keeps the calls themselves\n")
    return 0


def _is_written(options: argparse.Namespace, found: list[dict[str, Any]]) -> bool:
    """Write what machines are to get, if any."""
    if options.json:
        table.write_json(sys.stdout, found)
    elif options.csv:
        table.write_records(sys.stdout, found, ("destination",))
    return bool(options.json or options.csv)


def _timed(found: dict[str, Any]) -> dict[str, Any]:
    """Return a record with its times as all commands tell them."""
    return {
        name: selection.utc(value) if name.endswith("_at") and value is not None else value
        for name, value in found.items()
    }


@contextmanager
def _usable(settings: Config) -> Iterator[None]:
    try:
        yield
    except (LedgerError, sqlite3.Error) as error:
        raise selection.no_ledger(settings, error) from None


def _unheard(name: str) -> DeliveryState:
    return DeliveryState(
        destination=name,
        due=0,
        dead=0,
        oldest_due_at=None,
        last_reason=None,
        last_delivered_at=None,
        delivered=0,
    )


def _ago(at: int | None, now: int) -> str:
    if at is None:
        return ""
    seconds = max(0, (now - at) // _SECOND)
    size, unit = next((each for each in _UNITS if seconds >= each[0]), (1, "s"))
    return f"{seconds // size}{unit} ago"
