"""`orobserve run -- CMD`: any command observed with no change to its code, and what it cost when it is done."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orobserve
from orobserve import config, spend
from orobserve._autoload import FOLDER, RECORDS
from orobserve.cli import child, table
from orobserve.cli.client_variables import led, upstream_of
from orobserve.errors import ConfigurationError
from orobserve.ledger.assembly import on_by_default

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_NO_CLIENT = (
    "orobserve: no key of OpenRouter's is in the environment, so only clients that read OPENROUTER_BASE_URL are led to "
    "the sidecar; export OPENROUTER_API_KEY=...\n"
)
_NOT_FOUND, _NOT_STARTED = 127, 126  # as a shell has it
_HEAD = ("model", "calls", "errors", "tokens in", "cached", "out", "cost")
_RIGHT = (1, 2, 3, 4, 5, 6)
_EPILOG = """\
a Python program is observed in its own process, as if it began with orobserve.instrument():
  orobserve run -- python app.py
  orobserve run -- pytest -k agent

anything else gets a sidecar on a free port of this machine, and the variables that lead its client there
(OPENROUTER_BASE_URL, OPENAI_BASE_URL, ANTHROPIC_BASE_URL and their keys, where they are meant for OpenRouter):
  export OPENROUTER_API_KEY=...
  orobserve run -- claude
  orobserve run -- node agent.js

the command's output, signals and exit status are its own; the summary goes to standard error
"""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    import argparse  # noqa: PLC0415 - for its constants

    command = commands.add_parser(
        "run",
        help="run any command, observed, and say what it cost",
        usage="orobserve run [--proxy] [--quiet] [--json] -- CMD [ARG ...]",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--proxy", action="store_true", help="use the sidecar for a Python program too")
    command.add_argument("--quiet", action="store_true", help="no summary")
    command.add_argument("--json", action="store_true", help="the summary as one line of JSON")
    command.add_argument("words", nargs=argparse.REMAINDER, metavar="CMD", help=argparse.SUPPRESS)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    command = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not command:
        raise ConfigurationError("CMD", None, allowed="a command", fix="for example: orobserve run -- python app.py")
    config.load({})  # what is wrong with the settings is said before anything begins
    if not child.exists(command[0]):
        sys.stderr.write(f"orobserve: {command[0]}: command not found\n")
        return _NOT_FOUND
    python = None if options.proxy else child.python_of(command)
    is_inside = python is not None and child.can_import(python, os.environ)
    calls: list[spend.Facts] = []
    with (_inside if is_inside else _beside)(calls) as environ:
        try:
            status = child.run(command, environ)
        except OSError as error:
            sys.stderr.write(f"orobserve: {command[0]}: {error.strerror}\n")
            return _NOT_STARTED
    if not options.quiet:
        _summarise(calls, as_json=options.json)
    return child.end_as(status)


@contextmanager
def _inside(calls: list[spend.Facts]) -> Iterator[dict[str, str]]:
    """Yield the environment of a Python program that observes itself, and then collect what its processes have told."""
    descriptor, path = tempfile.mkstemp(prefix="orobserve-run-")  # which nobody else can read
    places = [FOLDER, *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        ledger = {"OROBSERVE_LEDGER": "true"} if on_by_default(config.load({})) else {}
        yield {**os.environ, **ledger, "PYTHONPATH": os.pathsep.join(places), RECORDS: path}
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            calls += [json.loads(line) for line in file if line.endswith(b"\n")]
    finally:
        os.close(descriptor)
        Path(path).unlink()


@contextmanager
def _beside(calls: list[spend.Facts]) -> Iterator[dict[str, str]]:
    """Yield the environment of a command that is led to a sidecar in this process, and collect what that has seen."""
    from orobserve.proxy import serve, settings  # noqa: PLC0415 - brings a server

    upstream = upstream_of(os.environ)
    where = settings.load({"listen": "127.0.0.1:0", "upstream": upstream})
    proxy = serve.Proxy(where, console=False, **on_by_default(config.load({})))
    serving = threading.Thread(target=proxy.run, name="orobserve-proxy")
    remove = orobserve.on_generation(lambda generation: calls.append(spend.facts(generation)), updates=True)
    serving.start()
    try:
        variables = led(os.environ, proxy.url, upstream)
        if "OPENAI_BASE_URL" not in variables and "ANTHROPIC_BASE_URL" not in variables:
            sys.stderr.write(_NO_CLIENT)
        yield {**os.environ, **variables}
    finally:
        proxy.server.stop()  # it waits for the records of the last calls
        serving.join()
        remove()


def _summarise(calls: list[spend.Facts], *, as_json: bool) -> None:
    """Write what the calls have cost to standard error: standard output is the command's."""
    out = sys.stderr
    models = spend.by_model(calls)
    total = spend.total(models.values())
    if as_json:
        rows = [{"model": name, **each.as_json()} for name, each in models.items()]
        table.write_json(out, {"rows": rows, "total": total.as_json()})
        return
    if not total.calls:
        out.write("orobserve: no OpenRouter call was seen\n")
        return
    out.write("\n")
    table.write(out, _HEAD, [_row(name, each) for name, each in models.items()], [""] * len(models), _RIGHT)
    table.summarise(out, total)
    if out.isatty() and config.load({}).ledger is not False:
        out.write("orobserve ui shows every call\n")


def _row(model: str, found: spend.Sum) -> tuple[str, ...]:
    counts = (found.calls, found.errors, found.input_tokens, found.cache_read_input_tokens, found.output_tokens)
    return (model, *(str(count) if count else "" for count in counts), table.cost(found))
