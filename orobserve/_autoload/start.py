"""What `orobserve run` does in each Python process: instrument, and tell the runner of every call."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import orobserve
from orobserve import _runtime
from orobserve._autoload import RECORDS, WAIT
from orobserve.errors import ConfigurationError
from orobserve.spend import facts

if TYPE_CHECKING:
    from orobserve.generation import Generation


def begin() -> None:
    """Instrument this process; a mistake in the settings is told, and the program runs all the same."""
    try:
        orobserve.instrument()
    except ConfigurationError as error:  # the runner has told it already, unless the program's folder is another
        sys.stderr.write(f"orobserve is off: {error}\n")
        return
    path = os.environ.get(RECORDS)
    if path:
        orobserve.on_generation(lambda generation: _tell(path, generation), updates=True)
        _runtime.wait_at_exit(WAIT)


def _tell(path: str, generation: Generation) -> None:
    """Add a line, in one write: several processes do so."""
    line = json.dumps(facts(generation), separators=(",", ":")) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
