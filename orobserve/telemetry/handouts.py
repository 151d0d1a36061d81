"""What is done off the caller's thread when a call has ended: reading what was said, and handing the record out.

Started at the first record, and alive only in the process that started it: a forked child begins with nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING

from orobserve._guard import guard

if TYPE_CHECKING:
    from collections.abc import Callable

_LINGER = 0.05  # seconds that the first waits for others: waking the thread for each would cost the caller more
_MOST = 1_000  # that wait; each holds what was said


class Handouts:
    """Does things in order, on a thread of its own, soon or when somebody drains it.

    The garbage collector may end a call anywhere, in `put` too: that takes no lock which it may hold already.
    """

    def __init__(self) -> None:
        """Start nothing."""
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._lock = threading.RLock()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._is_awake = False
        self._thread: threading.Thread | None = None

    def put(self, act: Callable[[], None]) -> None:
        """Have something done; here and now where too much is waiting, or there is no thread to be had."""
        self._waiting.append(act)
        if len(self._waiting) > _MOST or not self._has_thread():
            self.drain(0)
        elif not self._is_awake:
            self._is_awake = True
            self._wake.put(None)

    def _has_thread(self) -> bool:
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    thread = threading.Thread(
                        target=self._run, args=(self._wake,), name="orobserve-handouts", daemon=True
                    )
                    try:
                        thread.start()
                    except RuntimeError:
                        return False
                    self._thread = thread
        return True

    def _run(self, wake: SimpleQueue[None]) -> None:
        while True:
            wake.get()
            time.sleep(_LINGER)
            self._is_awake = False  # what is put from now on wakes it again
            self.drain(-1)

    def drain(self, timeout: float) -> bool:
        """Do all that is waiting; returns False if another thread was at it for longer than `timeout` seconds."""
        if not self._lock.acquire(timeout=timeout):
            return False
        try:
            while self._waiting:
                with guard:
                    self._waiting.popleft()()
        finally:
            self._lock.release()
        return True
