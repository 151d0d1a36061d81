"""`orobserve reconcile`: the ledger of a day beside what OpenRouter says it has billed, and the difference."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from orobserve import account, config, reconcile
from orobserve.cli import reconcile_machines, selection, table
from orobserve.cli.progress import progress
from orobserve.config_values import integer
from orobserve.errors import ConfigurationError
from orobserve.ledger.assembly import assemble, path_of
from orobserve.ledger.columns import DAY
from orobserve.ledger.doubtful import doubtful
from orobserve.ledger.filters import Filter
from orobserve.lookup import Client, Source
from orobserve.telemetry.console import money, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve.account import Activity, Credits
    from orobserve.config import Config
    from orobserve.reconcile import Comparison, Figures, Finding

_API_KEY = "OPENROUTER_API_KEY"
_OLDEST = 30  # days that OpenRouter's activity goes back
_WRITTEN = 60.0  # seconds that the ledger may take
_MIDNIGHT = 60 * 10**9  # nanoseconds to either side of it
_LISTED = 20  # calls
_HEAD = ("model", "calls", "theirs", "tokens in", "theirs", "out", "theirs", "cost", "theirs", "difference")
_EPILOG = """\
examples:
  orobserve reconcile                     yesterday (UTC)
  orobserve reconcile --day 2026-11-01 --key production
  orobserve reconcile --fix               and write the costs that were found into the ledger

needs OPENROUTER_MANAGEMENT_KEY (https://openrouter.ai/settings/management-keys), and OPENROUTER_API_KEY for the records
of single calls: those whose cost the ledger does not know, and those of models that differ.

what OpenRouter can tell: its activity is added up by day, model and endpoint, for the last 30 completed days, so
calls that only OpenRouter knows (another program's, say, or lost ones) are counted here, not named. Calls that
failed may or may not be in its counts. Tokens are shown, and decide nothing. A call around midnight may be on either
day.

exit status: 0 both agree; 1 they differ (in calls, or in the cost of a model by more than --tolerance), or OpenRouter
cannot be asked; 2 wrong use.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What is asked, of whom."""

    settings: Config
    day: date
    key: str | None
    tolerance: Decimal
    limit: int
    api: str
    client: Client

    @property
    def wanted(self) -> Filter:
        start = (self.day.toordinal() - date(1970, 1, 1).toordinal()) * DAY
        return Filter(since=start, until=start + DAY, api_key=self.key)


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "reconcile",
        help="the ledger beside OpenRouter's bill",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--day", metavar="DAY", help="of UTC, as 2026-11-01 (default: yesterday)")
    command.add_argument("--key", metavar="HASH", help="only this API key, by its SHA-256 or your label for it")
    command.add_argument(
        "--tolerance",
        default="0.0001",
        metavar="USD",
        help="by which a model's cost may differ: OpenRouter's sums are floating point (default: %(default)s)",
    )
    command.add_argument(
        "--limit", default="500", metavar="N", help="records of single calls that are asked for (default: 500)"
    )
    command.add_argument("--fix", action="store_true", help="write the costs that were found into the ledger")
    base = os.environ.get("OPENROUTER_BASE_URL", account.BASE)
    command.add_argument("--base-url", default=base, help=f"of OpenRouter's API ({account.BASE})")
    selection.add_formats(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    settings = config.load({})
    key = account.management_key()
    with closing(Client()) as client:
        task = _Task(
            settings=settings,
            day=_day(options.day, datetime.now(timezone.utc).date()),
            key=selection.key_hash(options.key, settings.api_key_labels),
            tolerance=_amount(options.tolerance),
            limit=integer("--limit", options.limit),
            api=options.base_url.rstrip("/"),
            client=client,
        )
        try:
            rows = account.activity(client, Source(task.api, key), task.day, task.key)
            credits_ = account.credits_of(client, Source(task.api, key))
        except ConnectionError as error:
            sys.stderr.write(f"orobserve: {error}\n")
            return 1
        compared = _compared(task, rows)
        findings, more = _findings(task, compared)
    fixed = _fix(task, findings) if options.fix else 0
    if fixed:
        compared = _compared(task, rows)
    agrees = not any(each.reasons(task.tolerance) for each in compared)
    if options.json:
        told = reconcile_machines.as_json(compared, findings, credits_, task.tolerance)
        told = {"day": task.day.isoformat(), "api_key": task.key, **told}
        table.write_json(sys.stdout, {**told, "not_asked": more, "fixed": fixed, "agrees": agrees})
    elif options.csv:
        table.write_records(
            sys.stdout, [reconcile_machines.flat(each, task.tolerance) for each in compared], ("model",)
        )
    else:
        _show(task, compared, credits_)
        _show_findings(findings, more, fixed)
    return 0 if agrees else 1


def _day(given: str | None, today: date) -> date:
    allowed = f"a completed day of the last {_OLDEST}, UTC: {today - timedelta(_OLDEST)} to {today - timedelta(1)}"
    try:
        found = date.fromisoformat(given) if given is not None else today - timedelta(1)
    except ValueError:
        found = today
    if not timedelta(1) <= today - found <= timedelta(_OLDEST):
        raise ConfigurationError("--day", given, allowed=allowed, fix=f"for example: --day {today - timedelta(1)}")
    return found


def _amount(given: str) -> Decimal:
    try:
        found = Decimal(given)
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or found < 0:
        raise ConfigurationError("--tolerance", given, allowed="USD, 0 or more", fix="for example: --tolerance 0.001")
    return found


def _compared(task: _Task, rows: Sequence[Activity]) -> list[Comparison]:
    with selection.reader(task.settings) as reader:
        return reconcile.compare(reader.sums(("model",), task.wanted), rows)


def _findings(task: _Task, compared: Sequence[Comparison]) -> tuple[list[Finding], int]:
    """Ask for the calls in doubt; returns what was found, and how many calls were not asked for."""
    differing = [name for each in compared if each.reasons(task.tolerance) for name in each.names if name is not None]
    with selection.reader(task.settings) as reader:
        calls, number = doubtful(path_of(task.settings), task.wanted, differing, task.limit)
        key = os.environ.get(_API_KEY)
        if not key or not calls:
            return [], number
        with progress(len(calls), "asking for records") as advance:
            found = reconcile.look_up(calls, task.client, Source(task.api, key), reader, advance)
        return found, number - len(calls)


def _fix(task: _Task, findings: Sequence[Finding]) -> int:
    """Write what was found into the ledger, as what is learnt of a call late; returns how many calls that is."""
    records = [each.record for each in findings if each.record is not None]
    if records:
        ledger = assemble(task.settings)
        for record in records:
            ledger.offer(record)
        ledger.flush(_WRITTEN)
        ledger.close(_WRITTEN)
        return ledger.state.delivered
    return 0


def _show(task: _Task, compared: Sequence[Comparison], credits_: Credits) -> None:
    out = sys.stdout
    ours, theirs = (reconcile.total(getattr(each, side) for each in compared) for side in ("ours", "theirs"))
    reasons = {each.model: each.reasons(task.tolerance) for each in compared}
    if compared:
        rows = [(each.model, *_cells(each.ours, each.theirs, each.difference)) for each in compared]
        rows.append(("all", *_cells(ours, theirs, (theirs.cost or Decimal(0)) - (ours.cost or Decimal(0)))))
        styles = [*("bad" if reasons[each.model] else "" for each in compared), "head"]
        table.write(out, _HEAD, rows, styles, range(1, len(_HEAD)))
        out.write("\n")
    whose = "" if task.key is None else f", key {selection.key_name(task.key, task.settings.api_key_labels)}"
    wrong = [f"  {plain(model)}: {'; '.join(each)}" for model, each in reasons.items() if each]
    verdict = "they differ:" if wrong else f"ledger and OpenRouter agree within {money(task.tolerance)} a model"
    out.write(f"{task.day} (UTC){whose}: {verdict}\n")
    out.write("".join(f"{line}\n" for line in wrong))
    if any((each.theirs or reconcile.Figures()).calls > (each.ours or reconcile.Figures()).calls for each in compared):
        out.write("OpenRouter adds its calls up by day, model and endpoint: those that only it knows have no names\n")
    if ours.unpriced:
        out.write(f"{table.counted(ours.unpriced, 'call')} of the ledger without a known cost (?)\n")
    if wrong and (near := _near_midnight(task)):
        out.write(
            f"{table.counted(near, 'call')} within a minute of midnight: OpenRouter may have it on the other day\n"
        )
    out.write(f"credits: {money(credits_.used)} used of {money(credits_.total)} since the account began\n")


def _near_midnight(task: _Task) -> int:
    found = 0
    with selection.reader(task.settings) as reader:
        for midnight in (task.wanted.since or 0, task.wanted.until or 0):
            near = Filter(since=midnight - _MIDNIGHT, until=midnight + _MIDNIGHT, api_key=task.key)
            found += sum(each.calls for each in reader.sums((), near))
    return found


def _cells(ours: Figures | None, theirs: Figures | None, difference: Decimal) -> tuple[str, ...]:
    pairs = []
    for name in ("calls", "input_tokens", "output_tokens"):
        for side in (ours, theirs):
            value = None if side is None else getattr(side, name)
            pairs.append("-" if side is None else "?" if value is None else str(value))
    known = "-" if ours is None else table.priced(ours.cost, ours.unpriced)
    sign = "-" if difference < 0 else "+" if difference > 0 else ""
    return (*pairs, known, "-" if theirs is None else money(theirs.cost), f"{sign}{money(abs(difference))}")


def _show_findings(findings: Sequence[Finding], more: int, fixed: int) -> None:
    out = sys.stdout
    for status, what in (
        ("found", "whose cost was unknown, and is found"),
        ("other", "that cost something else than the ledger has"),
        ("same", "that cost what the ledger has"),
        ("not_found", f"of which OpenRouter has no record for {_API_KEY}: another key's, or gone"),
        ("unauthorized", f"not asked for: OpenRouter refuses {_API_KEY}"),
        ("error", "that OpenRouter did not answer for"),
    ):
        those = [each for each in findings if each.status == status]
        if those:
            out.write(f"{table.counted(len(those), 'call')} {what}\n")
        for each in those[:_LISTED] if status in {"found", "other", "not_found"} else ():
            out.write(f"  {plain(each.call.generation_id)}  {money(each.call.cost)} -> {money(each.cost)}\n")
    if more and not findings and not os.environ.get(_API_KEY):
        out.write(f"set {_API_KEY} to ask for the records of {table.counted(more, 'call')}\n")
    elif more:
        out.write(f"{table.counted(more, 'call')} more not asked for: see --limit\n")
    if fixed:
        out.write(f"{table.counted(fixed, 'call')} corrected in the ledger; the figures above are those after it\n")
    elif any(each.record is not None for each in findings):
        out.write("--fix writes these costs into the ledger\n")
