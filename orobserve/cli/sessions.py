"""`orobserve sessions`: the conversations in the ledger and what each cost; with an ID, the calls of one in order."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orobserve import config
from orobserve.cli import calls, selection, table
from orobserve.errors import ConfigurationError
from orobserve.generation import Outcome
from orobserve.ledger import scan
from orobserve.ledger.assembly import path_of
from orobserve.ledger.columns import TOKENS
from orobserve.ledger.money import EXACT
from orobserve.telemetry.console import money, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve.config import Config
    from orobserve.ledger.filters import Filter
    from orobserve.ledger.query import Session

_HEAD = (
    *("session", "user", "began", "last call", "took", "calls", "errors", "tokens in", "cached", "out", "cost"),
    *("switches", "served by"),
)
_SPARED = ("served by", "began", "out", "tokens in", "took", "errors", "user")  # where a terminal is too narrow for all
_TURN_HEAD = ("#", "time", "model", "provider", "tokens in", "cached", "out", "cost", "so far", "took", "result", "id")
_TURN_SPARED = ("out", "tokens in", "took", "model", "id", "cached")
_USUAL = Outcome.COMPLETE.value
_EPILOG = """\
examples:
  orobserve sessions                                the last twenty
  orobserve sessions --since 24h --user ada
  orobserve sessions --csv --limit 0 > sessions.csv
  orobserve sessions s-42                           each call of one, with the cost so far

A session is what the request says (session_id, or the header x-session-id), or orobserve.context(session_id=...).
"cached" (prompt_cache_rate) is the share of the input that was read from a prompt cache. A switch is a call that
another provider served than the one before it of the same model: such a call does not find what the other has cached.
Costs are what OpenRouter billed, in USD, exact; "?" is not known (null, or empty). Times are local; in --json and --csv
they are UTC, and spans are seconds. A narrow terminal shows fewer columns.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "sessions",
        help="conversations, and what each cost",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("id", nargs="?", metavar="ID", help="of one session, to see its calls")
    selection.add_filters(command)
    command.add_argument(
        "--limit", type=selection.count, default=20, metavar="N", help="how many at most, 0: all (default: 20)"
    )
    selection.add_formats(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    settings = config.load({})
    wanted = selection.wanted(options, settings)
    if options.id is None:
        found, show = _listed(settings, wanted, options.limit or None), _show_sessions
    else:
        found, show = _turns(settings, wanted, options.id), _show_turns
    if options.json:
        table.write_json(sys.stdout, found)
    elif options.csv:
        table.write_records(sys.stdout, found, ("session",))
    elif found:
        show(found)
    else:
        sys.stdout.write("no sessions\n")
    return 0


def _listed(settings: Config, wanted: Filter, limit: int | None) -> list[dict[str, Any]]:
    with selection.reader(settings) as reader:
        found = reader.sessions(wanted, limit=limit)
        histories = scan.histories(path_of(settings), [each.id for each in found], wanted)
    return [_session(each, histories[each.id]) for each in found if each.id in histories]


def _session(found: Session, history: scan.History) -> dict[str, Any]:
    sums = found.sums
    return {
        "session": found.id,
        "user": found.user,
        "began_at": selection.utc(found.began_at),
        "last_at": selection.utc(found.last_at),
        "seconds": (history.ended_at - found.began_at) / 1e9,
        **{name: getattr(sums, name) for name in ("calls", "errors", "unpriced")},
        **{name: getattr(sums, name) for name in TOKENS},
        "prompt_cache_rate": sums.prompt_cache_rate,
        "cost": sums.cost,
        "cache_saving": sums.cache_saving,
        "models": list(history.models),
        "providers": list(history.providers),
        "provider_switches": history.switches,
    }


def _turns(settings: Config, wanted: Filter, session: str) -> list[dict[str, Any]]:
    """Return the calls of a session in order, each with what they cost together up to it."""
    with selection.reader(settings) as reader:
        rows = reader.rows(replace(wanted, session=session), limit=None)
    if not rows:
        fix = "`orobserve sessions` lists them"
        raise ConfigurationError("ID", session, allowed="a session that is in the ledger, in full", fix=fix)
    so_far, unpriced, found = None, 0, []
    providers: dict[str | None, str] = {}
    for row in reversed(rows):
        if row.cost is not None:
            so_far = EXACT.add(so_far or Decimal(0), row.cost)
        unpriced += row.cost is None and not row.failed
        before = providers.get(row.model)
        if row.provider:
            providers[row.model] = row.provider
        found.append(
            {
                **calls.as_json(row),
                "cost_so_far": so_far,
                "unpriced_so_far": unpriced,
                "prompt_cache_rate": calls.rate(row.cache_read_tokens, row.input_tokens),
                "switched_from": before if row.provider and before != row.provider else None,
            }
        )
    return found


def _show_sessions(found: Sequence[dict[str, Any]]) -> None:
    rows = [
        (
            each["session"],
            each["user"],
            _local(each["began_at"], "%m-%d %H:%M"),
            _local(each["last_at"], "%m-%d %H:%M"),
            _took(each["seconds"]),
            str(each["calls"]),
            _some(each["errors"]),
            *_tokens(each),
            table.priced(each["cost"], each["unpriced"]),
            _some(each["provider_switches"]),
            " via ".join(filter(None, (", ".join(each["models"]), ", ".join(each["providers"])))),
        )
        for each in found
    ]
    _write(_HEAD, rows, ["" for _ in rows], ("user", "served by"), _SPARED)


def _show_turns(found: Sequence[dict[str, Any]]) -> None:
    days = {_local(each["started_at"], "%m-%d") for each in found}
    form = "%H:%M:%S" if len(days) == 1 else "%m-%d %H:%M:%S"
    rows = [
        (
            str(number),
            _local(each["started_at"], form),
            each["model"] or each["operation"],
            (each["provider"] or "-") + (f" (was {each['switched_from']})" if each["switched_from"] else ""),
            *_tokens(each),
            money(each["cost"]),
            table.priced(each["cost_so_far"], each["unpriced_so_far"]),
            _took(each["seconds"]),
            each["error"] or ("" if each["outcome"] == _USUAL else each["outcome"]),
            calls.shown_id(each["generation_id"], sys.stdout),
        )
        for number, each in enumerate(found, 1)
    ]
    styles = ["bad" if each["failed"] else "" for each in found]
    _write(_TURN_HEAD, rows, styles, ("model", "provider", "result"), _TURN_SPARED)


def _write(
    head: Sequence[str],
    rows: Sequence[Sequence[str | None]],
    styles: Sequence[str],
    names: Sequence[str],
    spared: Sequence[str],
) -> None:
    shown, *cells = table.fitting([head, *([plain(cell) for cell in row] for row in rows)], names, spared)
    left = {*names, "session", "id"}
    table.write(sys.stdout, shown, cells, styles, [place for place, title in enumerate(shown) if title not in left])


def _local(at: str, form: str) -> str:
    """Return a time of ours by the clock on the wall."""
    return datetime.fromisoformat(at.replace("Z", "+00:00")).astimezone().strftime(form)


def _took(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{seconds:.2f} s"


def _tokens(each: dict[str, Any]) -> tuple[str, str, str]:
    rate = each["prompt_cache_rate"]
    return _known(each["input_tokens"]), "" if rate is None else f"{rate:.0%}", _known(each["output_tokens"])


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)


def _some(count: int) -> str:
    return str(count) if count else ""
