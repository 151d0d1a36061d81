"""The one place where errors of ours are swallowed: counted, logged once per cause, never shown to the caller.

The log line names the kind of error and the place, not its message: that may quote a prompt or a key.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")

_log = logging.getLogger("orobserve")
_lock = threading.RLock()  # the garbage collector may end a call, and something in that may fail, while it is held
swallowed: Counter[str] = Counter()


class _Guard:
    """A context manager that lets no `Exception` of the block out. Stateless, so one object serves every use."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if kind is None or not issubclass(kind, Exception):
            return False
        _note(kind, traceback)
        return True


def _note(kind: type[BaseException], traceback: TracebackType | None) -> None:
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    place = "unknown place"
    if traceback is not None:
        place = f"{traceback.tb_frame.f_globals.get('__name__', '?')}:{traceback.tb_lineno}"
    cause = f"{kind.__module__}.{kind.__qualname__} at {place}"
    with _lock:
        swallowed[cause] += 1
        is_new = swallowed[cause] == 1
    if is_new:
        _log.warning("orobserve could not observe something (%s); your call is not affected", cause)


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - a thread that is not here may hold the old one
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # pragma: no branch - it is missing on Windows
    os.register_at_fork(after_in_child=_after_fork)
guard = _Guard()


def guarded(function: Callable[[_Argument], _Result]) -> Callable[[_Argument], _Result | None]:
    """Return the function with its errors swallowed, None instead: `guard` for where every microsecond counts."""

    def call(argument: _Argument) -> _Result | None:
        try:
            return function(argument)
        except Exception as error:  # noqa: BLE001 - this is the place
            _note(type(error), error.__traceback__)
            return None

    return call


def reset() -> None:
    """Forget what was swallowed (for tests)."""
    with _lock:
        swallowed.clear()
