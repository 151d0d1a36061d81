"""Imported by Python itself, before the program: instruments, then lets another `sitecustomize` have its turn."""

import sys
from pathlib import Path


def _begin() -> None:
    try:
        from orobserve._autoload import start  # noqa: PLC0415 - what it raises must not reach the program
    except ImportError as error:  # another environment's Python, which the command has started in turn
        sys.stderr.write(f"orobserve: not observing this process ({error})\n")
        return
    start.begin()


def _next() -> None:
    """Import the `sitecustomize` that stands behind ours on the path, if there is one."""
    folder = str(Path(__file__).parent)
    rest = [place for place in sys.path if place != folder]
    ours, sys.path[:] = sys.modules.pop(__name__, None), rest
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401, PLC0415 - for what it does
    except ImportError:
        if ours is not None:
            sys.modules[__name__] = ours


_begin()
_next()
