"""`orobserve ui`: a local web page over the ledger: what calls cost, live calls, conversations, sessions."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import webbrowser
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orobserve import config
from orobserve.errors import ConfigurationError
from orobserve.ledger.assembly import path_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_EPILOG = """\
examples:
  orobserve ui                        opens a browser, where there is a screen
  orobserve ui --no-open --port 9000  prints the address only
  OROBSERVE_LEDGER=team.db orobserve ui

the address holds a random token: only who has it may look. The page is served from the package, on this machine's
loopback interface alone, and works offline. Calls appear on it as they end; fill the ledger with
  orobserve run -- python app.py
"""
_LARGEST = 65_535


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "ui",
        help="a local web page over the ledger",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--host", default="127.0.0.1", help="127.0.0.1, ::1 or localhost (default: 127.0.0.1)")
    command.add_argument("--port", metavar="PORT", help="default: 4142, or the next that is free; 0: any")
    command.add_argument("--no-open", action="store_true", help="do not open a browser")
    command.add_argument("--json", action="store_true", help="the address as one line of JSON; opens no browser")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    port = _port(options.port)
    settings = config.load({})
    try:
        from orobserve.viewer.serve import Page  # noqa: PLC0415 - it needs what only the extra brings
    except ModuleNotFoundError as error:
        fix = "pip install 'orobserve[ui]'"
        raise ConfigurationError("ui", error.name, allowed="a Python with this package", fix=fix) from None
    page = Page(path_of(settings), settings.api_key_labels, host=options.host, port=port)
    if options.json:
        sys.stdout.write(json.dumps({"event": "listening", "url": page.url, "ledger": str(path_of(settings))}) + "\n")
    else:
        sys.stdout.write(f"orobserve ui on {page.url}\n  over {path_of(settings)}; Ctrl-C ends it\n")
    sys.stdout.flush()
    with ExitStack() as stack:
        if sys.stdout.isatty() and _has_screen() and not (options.no_open or options.json):
            stack.enter_context(_opened(page.url))  # the socket is bound: its first request waits until the server runs
        page.run()
    return 0


@contextmanager
def _opened(url: str) -> Iterator[None]:
    """Open a browser, by a file of this user's that leads on: others of this machine can read a browser's arguments.

    The file is in the home folder, and not a hidden one: browsers in a sandbox see no other.
    """
    try:
        descriptor, path = tempfile.mkstemp(prefix="orobserve-ui-", suffix=".html", dir=Path.home())
    except OSError:
        yield  # the address is printed
        return
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={url}"><title>orobserve</title>\n')
        webbrowser.open(Path(path).as_uri())
        yield
    finally:
        Path(path).unlink(missing_ok=True)


def _has_screen() -> bool:
    """Tell whether a browser would have a window: one without would take the terminal for itself."""
    return sys.platform in {"win32", "darwin"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= _LARGEST):
        raise ConfigurationError("--port", text, allowed=f"0 to {_LARGEST}", fix="for example: --port 4142")
    return int(text)
