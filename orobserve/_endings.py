"""The ends of a process at which what is still held must leave it: exit, worker processes, SIGTERM."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_state: dict[str, Any] = {}


def at_exit(action: Callable[[], None]) -> None:
    """Do something at the interpreter's exit, before all that was registered up to now."""
    atexit.unregister(action)
    atexit.register(action)


def with_workers(action: Callable[[], None]) -> None:
    """Do something when a worker process of multiprocessing or billiard (celery) ends: those skip `atexit`."""
    for name in ("multiprocessing.util", "billiard.util"):
        util = sys.modules.get(name)
        if util is not None and _state.get(name) != os.getpid():
            _state[name] = os.getpid()  # what the parent has registered is forgotten in the child
            util.Finalize(None, _at_worker_end, args=(action,), exitpriority=100)


def _at_worker_end(action: Callable[[], None]) -> None:
    _state["ending"] = True
    action()
    del _state["ending"]
    if "terminated" in _state:
        _terminate(_state["terminated"])


def at_sigterm(action: Callable[[], None], budget: float) -> None:
    """Do something at SIGTERM, for `budget` seconds at most, where nobody handles it and it would end the process."""
    if _in_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        _state["action"] = (action, budget)
        with suppress(ValueError):  # a sub-interpreter has a main thread too, and may set none
            signal.signal(signal.SIGTERM, _on_sigterm)


def leave_sigterm() -> None:
    """Take our handler off again."""
    if _in_main_thread() and signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()  # no other may set handlers


def _on_sigterm(number: int, _frame: object) -> None:
    if "ending" in _state:  # it interrupts that very action, on this thread: let it finish
        _state["terminated"] = number
        return
    action, budget = _state["action"]
    acting = threading.Thread(target=action, daemon=True)  # the main thread may hold any lock just now
    acting.start()
    acting.join(budget)
    _terminate(number)


def _terminate(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
