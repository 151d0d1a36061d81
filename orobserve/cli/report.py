"""`orobserve report`: what the calls in the ledger have cost, by model, provider, key, user, session, tag or day."""

from __future__ import annotations

import argparse
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orobserve import config
from orobserve.cli import selection, table
from orobserve.errors import ConfigurationError
from orobserve.ledger.sums import GROUPS
from orobserve.telemetry.console import money, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orobserve.ledger.sums import Sum

_KEY = "api_key"
_WORDS = {**{name: name for name in GROUPS}, "key": _KEY}
_ALLOWED = ", ".join(name for name in _WORDS if name != _KEY)
_HEAD = ("calls", "errors", "tokens in", "cached", "out", "reasoning", "hits", "saved", "cost")
_TITLES = {_KEY: "key", "day": "day (UTC)"}
_SPARED = ("reasoning", "out", "hits", "tokens in", "saved")  # where a terminal is too narrow for all
_FIGURES = (
    *("calls", "errors", "unpriced", "input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens"),
    *("prompt_cache_rate", "cache_saving", "response_cache_hits", "cost"),
)
_EPILOG = """\
examples:
  orobserve report                                  the last seven days by model
  orobserve report --by day,model --since 30d
  orobserve report --by user --tag team=search --since 2026-11-01
  orobserve report --by key --csv > keys.csv

costs are what OpenRouter billed, exact; "+ ?" says that the cost of some calls is not known.
cached: the part of the tokens in that came out of the providers' prompt caches, of the calls that tell;
saved: what that has saved, in USD, rounded (negative: writing the caches cost more); hits: calls
that OpenRouter's own cache of responses has answered. What no call tells has no column, and a narrow
terminal shows fewer; --json and --csv have all, with all digits.
In --json and --csv amounts are USD, rates parts of 1, and what is unknown is null, or empty; in --csv a text with
which a spreadsheet would begin to compute has an apostrophe before it.
Days are UTC, as those of OpenRouter's own activity page are.
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
    command.add_argument("--by", default="model", metavar="LIST", help=f"of {_ALLOWED} (default: model)")
    selection.add_filters(command, since="7d")
    selection.add_formats(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    settings = config.load({})
    by = _groups(options.by)
    wanted = selection.wanted(options, settings)
    with selection.reader(settings) as reader:
        found, total = reader.sums(by, wanted), reader.sums((), wanted)
    if by[0] == "day":  # of each day still the dearest first
        found.sort(key=lambda each: each.group["day"])
    names = [tuple(_named(name, each.group[name], settings.api_key_labels) for name in by) for each in found]
    if options.json:
        rows = [{**dict(zip(by, name, strict=True)), **_figures(each)} for name, each in zip(names, found, strict=True)]
        table.write_json(sys.stdout, {"rows": rows, "total": _figures(total[0]) if total else None})
    elif options.csv:
        lines = [(*name, *_figures(each).values()) for name, each in zip(names, found, strict=True)]
        table.write_csv(sys.stdout, (*by, *_FIGURES), lines)
    else:
        _show(by, names, found, total)
    return 0


def _groups(text: str) -> tuple[str, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in _WORDS]
    if unknown or not words:
        raise ConfigurationError("--by", text, allowed=_ALLOWED, fix="for example: --by day,model")
    return tuple(dict.fromkeys(_WORDS[word] for word in words))


def _named(name: str, value: Any, labels: Mapping[str, str]) -> str | None:  # noqa: ANN401 - of any column
    if name == _KEY:
        return selection.key_name(value, labels)
    return None if value is None else str(value)


def _figures(found: Sum) -> dict[str, Any]:
    return {name: getattr(found, name) for name in _FIGURES}


def _show(
    by: Sequence[str], names: Sequence[tuple[str | None, ...]], found: Sequence[Sum], total: Sequence[Sum]
) -> None:
    out = sys.stdout
    if not total:
        out.write("no calls\n")
        return
    names_of = [_TITLES.get(name, name) for name in by]
    rows = [(*map(plain, name), *_cells(each)) for name, each in zip(names, found, strict=True)]
    rows.insert(0, (*names_of, *_HEAD))
    told = [column for column, cells in enumerate(zip(*rows, strict=True)) if column < len(by) or _is_told(cells)]
    head, *rows = table.fitting([[row[column] for column in told] for row in rows], names_of, _SPARED)
    table.write(out, head, rows, [""] * len(rows), range(len(by), len(head)))
    table.summarise(out, total[0])


def _is_told(cells: Sequence[str]) -> bool:
    return cells[0] == _HEAD[-1] or not {*cells[1:]} <= {"", "?"}


def _cells(found: Sum) -> tuple[str, ...]:
    rate, saved = found.prompt_cache_rate, found.cache_saving
    return (
        *(_count(count) for count in (found.calls, found.errors, found.input_tokens)),
        "?" if rate is None else f"{rate:.0%}",
        *(_count(count) for count in (found.output_tokens, found.reasoning_tokens, found.response_cache_hits)),
        "?" if saved is None else money(saved.quantize(Decimal(1).scaleb(min(-4, saved.adjusted() - 1)))),
        table.cost(found),
    )


def _count(count: int | None) -> str:
    return "?" if count is None else str(count) if count else ""
