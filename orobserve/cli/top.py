"""`orobserve top`: what OpenRouter costs right now, and who is spending it; live, from the ledger."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orobserve import config
from orobserve.budget_settings import parse
from orobserve.cli import calls, selection, table
from orobserve.cli.keys import keys
from orobserve.cli.top_frame import frame
from orobserve.cli.top_view import GROUPS, WINDOW, Source
from orobserve.config_values import positive
from orobserve.errors import ConfigurationError
from orobserve.ledger.assembly import path_of
from orobserve.telemetry.console import coloured, is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orobserve.cli.top_frame import Line
    from orobserve.cli.top_view import View
    from orobserve.ledger.sums import Sum

_HINT = "b: by  q: quit"
_WIDTH, _HEIGHT = 80, 24  # where it is not known
_EPILOG = f"""\
examples:
  orobserve top                       live; b changes what it is by, q ends it
  orobserve top --by user             who is burning money right now
  orobserve top --budget 50           a bar for 50 USD a day; or --budget 50/day,600/month
  orobserve top --once                one frame as plain text, for a mail or a ticket
  orobserve top --json --interval 10  a JSON object every ten seconds; --csv: a line for each model

rates are of the calls that began in the last {WINDOW} minutes. "in flight" are calls of all processes with this ledger
that last longer than a second. Amounts are USD; "?" is not known, and is in no sum. Days and months are UTC; amounts
are rounded here: --json, --csv and `orobserve report` have every digit. Without --budget, the `budgets` of the settings
have bars.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "top",
        help="what is being spent right now, live",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--by", default="model", metavar="WHAT", help=f"one of {', '.join(GROUPS)} (default: model)")
    command.add_argument("--budget", metavar="USD", help="show a bar: 50 a day, or as 600/month; several with commas")
    command.add_argument("--interval", default="1", metavar="SECONDS", help="between two refreshes (default: 1)")
    command.add_argument("--once", action="store_true", help="one frame as plain text, then end")
    selection.add_formats(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    settings = config.load({})
    if options.by not in GROUPS:
        raise ConfigurationError("--by", options.by, allowed=", ".join(GROUPS), fix="for example: --by user")
    interval = positive("--interval", options.interval)
    budgets = settings.budgets if options.budget is None else parse("--budget", options.budget)
    source = Source(path_of(settings), budgets, settings.api_key_labels)

    def look(by: str) -> View:
        with selection.reader(settings) as reader:
            return source.view(reader, by, time.time_ns())

    if options.json or options.csv:
        _stream(look, options, None if options.once else interval)
    elif options.once or not is_terminal(sys.stdout):
        size = shutil.get_terminal_size((_WIDTH, _HEIGHT))
        lines = frame(look(options.by), size.columns, size.lines)
        sys.stdout.write("".join(f"{line.text.rstrip()}\n" for line in lines))
    else:
        _live(look, options.by, interval)
    return 0


def _stream(look: Callable[[str], View], options: argparse.Namespace, interval: float | None) -> None:
    """Write a JSON object, or the lines of CSV of each group, for each refresh."""
    is_first = True
    while True:
        view = look(options.by)
        if options.json:
            table.write_json(sys.stdout, as_json(view))
        else:
            table.write_records(sys.stdout, _rows(view), ("at", view.by), head=is_first)
        is_first = False
        sys.stdout.flush()
        if interval is None:
            return
        time.sleep(interval)


def _live(look: Callable[[str], View], by: str, interval: float) -> None:
    """Show frames until a key, a signal or an error ends it; the screen is as before then."""
    try:
        from rich.console import Console  # noqa: PLC0415 - an extra
        from rich.live import Live  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fix = "pip install 'orobserve[cli]', or use --once or --json"
        raise ConfigurationError("top", error.name, allowed="a Python with this package", fix=fix) from None
    console = Console(no_color=not coloured(sys.stdout))
    order = list(GROUPS)

    def drawn(lines: list[Line]) -> Text:
        text = Text(no_wrap=True, overflow="crop", end="")
        for number, (line, style) in enumerate(lines):
            text.append("\n" * bool(number) + line, style=table.RICH_STYLES[style])
        return text

    view = look(by)  # what is wrong with the ledger is said on the screen that was there
    with _ended_by_sigterm(), keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                lines = frame(view, console.width, console.height, hint=_HINT)
                live.update(drawn(lines), refresh=True)
                key = pressed(interval)
                if key in {"q", "Q"}:
                    return
                if key in {"b", "B"}:
                    by = order[(order.index(by) + 1) % len(order)]
                view = look(by)
        except KeyboardInterrupt:
            return


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as an exception does: so that what it has changed is restored."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def as_json(view: View) -> dict[str, Any]:
    """Return a view for machines: USD as numbers, null where it is not known."""
    return {
        "at": selection.utc(view.now),
        "window_seconds": WINDOW * 60,
        "window": _figures(view.window),
        "today": _figures(view.today),
        "month": _figures(view.month),
        "minutes": view.minutes,
        "in_flight": view.flying._asdict(),
        "by": view.by,
        "groups": [
            {"name": each.name, "window": _figures(each.window), "today": _figures(each.today)} for each in view.groups
        ],
        "budgets": [
            {
                "name": bar.budget.name,
                "period": bar.budget.period,
                "group": bar.group,
                "amount": bar.budget.amount,
                "spent": bar.spent,
                "unpriced": bar.unpriced,
            }
            for bar in view.bars
        ],
        "latest": [calls.as_json(row) for row in view.latest],
    }


def _rows(view: View) -> list[dict[str, Any]]:
    """Return a line of CSV for each group: what it does now, and its cost of today."""
    return [
        {
            "at": selection.utc(view.now),
            view.by: each.name,
            **_figures(each.window),
            "today_cost": _figures(each.today)["cost"],
        }
        for each in view.groups
    ]


def _figures(found: Sum | None) -> dict[str, Any]:
    names = ("calls", "errors", "unpriced", "input_tokens", "output_tokens", "cost")
    return dict.fromkeys(names, 0) if found is None else {name: getattr(found, name) for name in names}
