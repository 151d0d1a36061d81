"""`orobserve export`: calls out of the ledger, as JSON lines, CSV, Parquet or OTLP."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orobserve import config
from orobserve.cli import formats, selection, table
from orobserve.cli.output import opened
from orobserve.cli.progress import progress
from orobserve.ledger.assembly import path_of
from orobserve.ledger.money import EXACT
from orobserve.telemetry.console import is_terminal, money, plain

if TYPE_CHECKING:
    from orobserve.ledger.query import Row

_EPILOG = """\
examples:
  orobserve export --since 7d | jq .request.user    whole records, one JSON object a line
  orobserve export --format csv -o november.csv --since 2026-11-01 --until 2026-12-01
  orobserve export --format parquet -o calls.parquet
  orobserve export --format otlp -o spans.jsonl     for a Collector's otlpjsonfile receiver

jsonl    everything that is known of a call, and what was said
csv      a row a call, nothing of what was said; costs in USD to the last digit, times in UTC and seconds
parquet  the same in typed columns: decimal costs, timestamps; needs pip install 'orobserve[parquet]'
otlp     spans as OTLP/JSON, as the destination `file` writes them

A file is written beside its place and moved there when it is whole, for you alone to read (mode 0600).
"""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "export",
        help="calls as JSON lines, CSV, Parquet or OTLP",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    selection.add_filters(command)
    command.add_argument(
        "--format", choices=tuple(formats.FORMATS), default="jsonl", metavar="FORMAT", help=", ".join(formats.FORMATS)
    )
    command.add_argument("-o", "--output", metavar="FILE", default="-", help="where to (default: standard output)")
    command.add_argument("--force", action="store_true", help="replace FILE if it is there")
    command.add_argument("--no-content", action="store_true", help="leave out what was said, and errors' messages")
    command.add_argument("--json", action="store_true", help="the summary on standard error as JSON")
    command.set_defaults(run=run)


@dataclass
class _Total:
    """What was exported: how many calls, what they cost in USD, and of how many that is not known."""

    calls: int = 0
    cost: Decimal | None = None
    unpriced: int = 0

    def add(self, row: Row) -> None:
        self.calls += 1
        if row.cost is None:
            self.unpriced += not row.failed
        else:
            self.cost = EXACT.add(self.cost or Decimal(0), row.cost)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    settings = config.load({})
    wanted = selection.wanted(options, settings)
    source = formats.Source(path_of(settings), wanted, content=not options.no_content)
    total = _Total()
    is_shown = options.output == "-" and is_terminal(sys.stdout)  # between whose lines no bar must come
    with (
        selection.reader(settings) as reader,
        opened(options.output, force=options.force, is_text=options.format != "parquet") as output,
        progress(sum(each.calls for each in reader.sums((), wanted)), "exporting", is_wanted=not is_shown) as advance,
    ):

        def count(row: Row) -> None:
            total.add(row)
            advance(1)

        formats.FORMATS[options.format](source, output, count)
    _summarise(total, options)
    return 0


def _summarise(total: _Total, options: argparse.Namespace) -> None:
    """Say what was exported on standard error: standard output may be the export."""
    if options.json:
        found = {"calls": total.calls, "cost": total.cost, "unpriced": total.unpriced, "output": options.output}
        table.write_json(sys.stderr, found)
        return
    where = "" if options.output == "-" else f" to {plain(options.output)}"
    unknown = f", {total.unpriced} of unknown cost" if total.unpriced else ""
    sys.stderr.write(f"exported {table.counted(total.calls, 'call')}{where}: {money(total.cost)}{unknown}\n")
