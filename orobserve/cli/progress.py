"""A progress bar on standard error, for people: where it is no terminal, or rich is not installed, there is none."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orobserve.telemetry.console import is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_INTERVAL = 0.1  # seconds: telling rich of each call would cost more than many a call


@contextmanager
def progress(total: int | None, label: str, *, is_wanted: bool = True) -> Iterator[Callable[[int], None]]:
    """Show how far something is, as long as the block lasts; nothing is left of it then.

    Args:
        total: how many there are; None is not known.
        label: what is done, as `exporting`.
        is_wanted: False: show nothing after all.

    Yields:
        What is called with the number of those that were done since the last time.
    """
    try:
        from rich import progress as bars  # noqa: PLC0415 - an extra
        from rich.console import Console  # noqa: PLC0415
    except ModuleNotFoundError:
        yield _unseen
        return
    if not is_wanted or not is_terminal(sys.stderr) or os.environ.get("TERM") == "dumb":
        yield _unseen
        return
    columns = (bars.TextColumn("{task.description}", markup=False), bars.BarColumn(), bars.MofNCompleteColumn())
    console = Console(stderr=True, no_color="NO_COLOR" in os.environ)
    with bars.Progress(*columns, bars.TimeRemainingColumn(), console=console, transient=True) as shown:
        task = shown.add_task(label, total=total)
        waiting, due = 0, 0.0

        def advance(count: int) -> None:
            nonlocal waiting, due
            waiting += count
            if (now := time.monotonic()) >= due:
                shown.advance(task, waiting)
                waiting, due = 0, now + _INTERVAL

        yield advance
        shown.advance(task, waiting)


def _unseen(count: int) -> None:
    """Show nothing."""
