"""`orobserve report`: what the calls in the ledger have cost, by model, provider, key, user, session, tag or day."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from typing import TYPE_CHECKING, Any

from orobserve import config
from orobserve.cli import selection, table
from orobserve.errors import ConfigurationError
from orobserve.ledger.sums import GROUPS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orobserve.ledger.sums import Sum

_KEY = "api_key"
_WORDS = {**{name: name for name in GROUPS}, "key": _KEY}
_HEAD = ("calls", "errors", "tokens in", "cached", "out", "reasoning", "cost")
_FIGURES = ("input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens")
_EPILOG = """\
examples:
  orobserve report                                  the last seven days by model
  orobserve report --by day,model --since 30d
  orobserve report --by user --tag team=search --since 2026-11-01
  orobserve report --by key --csv > keys.csv

costs are what OpenRouter billed, exact; "+ ?" says that the cost of some calls is not known. Days are UTC.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "report",
        help="what the calls in the ledger have cost",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--by", default="model", metavar="LIST", help=f"of {', '.join(_WORDS)} (default: model)")
    selection.add_filters(command, since="7d")
    command.add_argument("--json", action="store_true", help="machine-readable output")
    command.add_argument("--csv", action="store_true", help="comma-separated values")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    settings = config.load({})
    by = _groups(options.by)
    wanted = selection.wanted(options, settings)
    with selection.reader(settings) as reader:
        found, total = reader.sums(by, wanted), reader.sums((), wanted)
    names = [tuple(_named(name, each.group[name], settings.api_key_labels) for name in by) for each in found]
    if options.json:
        rows = [{**dict(zip(by, name, strict=True)), **_figures(each)} for name, each in zip(names, found, strict=True)]
        sys.stdout.write(json.dumps({"rows": rows, "total": _figures(total[0]) if total else None}) + "\n")
    elif options.csv:
        _write_csv(by, names, found)
    else:
        _show(by, names, found, total)
    return 0


def _groups(text: str) -> tuple[str, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in _WORDS]
    if unknown or not words:
        raise ConfigurationError("--by", text, allowed=", ".join(_WORDS), fix="for example: --by day,model")
    return tuple(dict.fromkeys(_WORDS[word] for word in words))


def _named(name: str, value: Any, labels: Mapping[str, str]) -> str | None:  # noqa: ANN401 - of any column
    if name == _KEY:
        return selection.key_name(value, labels)
    return None if value is None else str(value)


def _figures(found: Sum) -> dict[str, Any]:
    figures = {name: getattr(found, name) for name in ("calls", "errors", "unpriced", *_FIGURES)}
    return {**figures, "cost": None if found.cost is None else float(found.cost)}


def _write_csv(by: Sequence[str], names: Sequence[tuple[str | None, ...]], found: Sequence[Sum]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*by, "calls", "errors", "unpriced", *_FIGURES, "cost"])
    for name, each in zip(names, found, strict=True):
        figures = (getattr(each, field) for field in _FIGURES)
        cost = None if each.cost is None else f"{each.cost:f}"
        writer.writerow([*name, each.calls, each.errors, each.unpriced, *figures, cost])


def _show(
    by: Sequence[str], names: Sequence[tuple[str | None, ...]], found: Sequence[Sum], total: Sequence[Sum]
) -> None:
    out = sys.stdout
    if not total:
        out.write("no calls\n")
        return
    rows = [(*name, *_cells(each)) for name, each in zip(names, found, strict=True)]
    head = (*("key" if name == _KEY else name for name in by), *_HEAD)
    table.write(out, head, rows, [""] * len(rows), range(len(by), len(head)))
    table.summarise(out, total[0])


def _cells(found: Sum) -> tuple[str, ...]:
    counts = (found.calls, found.errors, *(getattr(found, name) for name in _FIGURES))
    shown = ["?" if count is None else str(count) if count else "" for count in counts]
    return (*shown, table.cost(found))
