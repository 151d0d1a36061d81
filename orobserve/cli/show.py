"""`orobserve show ID`: everything that is known of one call."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from orobserve import config
from orobserve.cli import selection, show_content, show_facts, table
from orobserve.errors import ConfigurationError
from orobserve.ledger import codec, scan
from orobserve.ledger.assembly import path_of
from orobserve.telemetry.console import escaped, is_terminal, line, plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from orobserve.config import Config
    from orobserve.generation import Generation

_WIDTH = 40  # characters of the whole call in the timeline
_FAILED = 400  # the first HTTP status of an error
_TOTALS = {"input", "output", "total"}
_KEYS = {  # of titles, in JSON
    "cost (USD)": "cost",
    "response cache": "response_cache",
    "OpenRouter's record": "openrouter_record",
}
_SAID = "what was said is not in the ledger"
_EPILOG = """\
examples:
  orobserve show gen-1764126029                     the beginning of an id is enough, where there is one such call
  orobserve show 0a1b2c3d4e5f6071                   by its span
  orobserve show gen-1764126029 --context           what fills the context: system, tools, history, in characters
  orobserve show gen-1764126029 --raw | jq .cost    the whole record as it is stored

`orobserve tail` shows the ids. On a terminal long texts are cut: --full shows all of them. Costs are what OpenRouter
billed: "charged", and "upstream" besides where the key was your own; "?" is not known, and "why" says why.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "show",
        help="everything that is known of one call",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("id", metavar="ID", help="generation id (or its beginning), or span id")
    command.add_argument("--context", action="store_true", help="what fills the model's context")
    command.add_argument("--full", action="store_true", help="long texts too, on a terminal")
    command.add_argument("--json", action="store_true", help="machine-readable output")
    command.add_argument("--raw", action="store_true", help="the whole record, as JSON")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    settings = config.load({})
    generation = _find(settings, options.id.strip())
    out = sys.stdout
    if options.raw:
        out.write(escaped(codec.text_of(codec.encode(generation))) + "\n")
    elif options.json:
        table.write_json(out, _report(generation, settings.api_key_labels, options))
    elif options.context:
        _write_context(out, generation)
    else:
        _write(out, generation, settings.api_key_labels, full=options.full or not is_terminal(out))
    return 0


def _find(settings: Config, given: str) -> Generation:
    with selection.reader(settings) as reader:
        if (found := reader.call(given)) is not None:
            return found
        ids = scan.ids(path_of(settings), given, limit=5) if given else []
        if len(ids) == 1 and (found := reader.call(ids[0])) is not None:
            return found
    if ids:
        fix = "give more of it: " + ", ".join(map(plain, ids))
        raise ConfigurationError("ID", given, allowed="the beginning of one generation id", fix=fix)
    fix = "`orobserve tail` shows the ids of the last calls"
    raise ConfigurationError("ID", given, allowed="a generation id or span id that is in the ledger", fix=fix)


def _report(generation: Generation, labels: Mapping[str, str], options: argparse.Namespace) -> dict[str, Any]:
    content = generation.content
    if options.context:
        return {} if content is None else show_content.context(content)
    said = json.loads(codec.text_of(codec.encode(generation))).get("content")
    times = show_facts.timeline(generation)
    told = {_KEYS.get(title, title): each for title, each in show_facts.sections(generation, labels).items()}
    return {**told, "timeline": times, "content": said}


def _write_context(out: TextIO, generation: Generation) -> None:
    if generation.content is None:
        out.write(_SAID + "\n")
        return
    tokens = generation.usage.input_tokens if generation.usage else None
    show_content.write_context(out, show_content.context(generation.content), tokens)


def _write(out: TextIO, generation: Generation, labels: Mapping[str, str], *, full: bool) -> None:
    at = selection.clock(generation.timing.started_at)
    out.write(f"{at}  {table.style(line(generation), 'bad' if generation.error else 'head', out)}\n")
    _write_timeline(out, generation)
    for title, values in show_facts.sections(generation, labels).items():
        _title(out, title)
        width = max(map(len, values))
        for name, value in values.items():
            if title == "tokens" and value == 0 and name not in _TOTALS:
                continue  # of a dozen kinds most are 0
            label = name.replace("_", " ").ljust(width)
            said = show_facts.text(name, value)
            shown = said if full else show_content.beginning(said)
            more = "" if shown == said else table.style(show_content.rest(said, shown), "dim", out)
            out.write(f"  {table.style(label, 'dim', out)}  {shown}{more}\n")
    _title(out, "messages")
    if generation.content is None:
        out.write(f"  {_SAID}\n")
    else:
        show_content.write(out, generation.content, full=full)


def _title(out: TextIO, title: str) -> None:
    out.write("\n" + table.style(title, "head", out) + "\n")


def _write_timeline(out: TextIO, generation: Generation) -> None:
    _title(out, "timeline")
    whole = generation.timing.duration or 1.0
    found = show_facts.bars(generation)
    width = max(len(each["what"]) for each in found)
    for each in found:
        seconds, status = each["seconds"], each.get("status")
        begins = min(_WIDTH, round(_WIDTH * each["start"] / whole))
        length = 0 if seconds is None else max(1, round(_WIDTH * seconds / whole))
        bar = " " * begins + "█" * min(length, max(1, _WIDTH - begins))
        style = "bad" if status is not None and status >= _FAILED else "good"
        took = "?" if seconds is None else f"{seconds:.2f} s"
        told = f"HTTP {status}" if status is not None else ""
        label = plain(each["what"].ljust(width))
        out.write(f"  {label}  {took:>9}  {table.style(bar.ljust(_WIDTH), style, out)}  {told}".rstrip() + "\n")
