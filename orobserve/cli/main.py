"""Reads the command line and calls the command. Exit status: 0 done, 1 something failed, 2 wrong use."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from orobserve._version import __version__
from orobserve.cli import (
    dashboards,
    demo,
    destinations,
    doctor,
    export,
    probe,
    proxy,
    prune,
    receive,
    reconcile,
    replay,
    report,
    run,
    sessions,
    show,
    tail,
    ui,
)
from orobserve.cli import top as live
from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOG = """\
in your own code, one line traces every OpenRouter call of the process:

  import orobserve
  orobserve.instrument()

spans and metrics go where the standard OTEL_* variables say, for example
  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 python app.py
"""


def parser() -> argparse.ArgumentParser:
    """Return the whole command line."""
    top = argparse.ArgumentParser(
        prog="orobserve",
        description="See what every OpenRouter call did: tokens, billed cost, provider, cache hits, latency, errors.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"orobserve {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    dashboards.add(commands)
    demo.add(commands)
    destinations.add(commands)
    doctor.add(commands)
    export.add(commands)
    probe.add(commands)
    proxy.add(commands)
    prune.add(commands)
    receive.add(commands)
    reconcile.add(commands)
    replay.add(commands)
    report.add(commands)
    run.add(commands)
    sessions.add(commands)
    show.add(commands)
    tail.add(commands)
    live.add(commands)
    ui.add(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command."""
    top = parser()
    options = top.parse_args(arguments)
    if options.command is None:
        top.print_help()
        return 0
    try:
        status = int(options.run(options))
        sys.stdout.flush()  # here, where what goes wrong can be told
    except ConfigurationError as error:
        sys.stderr.write(f"orobserve: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # else who reads has seen enough
            sys.stderr.write(f"orobserve: {error}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter must not try to flush the rest
        return 1
    return status
