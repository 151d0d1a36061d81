"""The one background thread: hands finished records to callbacks, off the request path.

Started at the first record, and alive only in the process that started it: a forked child begins with an empty queue.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from typing import TYPE_CHECKING

from orobserve._guard import guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve.generation import Generation

_CAPACITY = 10_000


class Worker:
    """Runs callbacks in order. A full queue drops the record and counts it: nobody ever waits for a callback."""

    def __init__(self, *, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._callbacks: list[Callable[[Generation], None]] = []
        self._updated: list[Callable[[Generation], None]] = []  # those that want late records too
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._queue: queue.Queue[Generation] = queue.Queue(self._capacity)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def has_callbacks(self) -> bool:
        """Whether anybody listens."""
        return bool(self._callbacks)

    def add(self, callback: Callable[[Generation], None], *, updates: bool = False) -> None:
        """Add a callback; with `updates` it also gets what is learnt of a call after it was handed out."""
        self._callbacks.append(callback)
        if updates:
            self._updated.append(callback)

    def remove(self, callback: Callable[[Generation], None]) -> None:
        """Remove a callback; one that is not there is not missed."""
        for callbacks in (self._callbacks, self._updated):
            if callback in callbacks:
                callbacks.remove(callback)

    def submit(self, generation: Generation) -> bool:
        """Queue a record; returns False if it was dropped."""
        if self._thread is None:
            self._start()
        try:
            self._queue.put_nowait(generation)
        except queue.Full:
            return False
        return True

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="orobserve", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        records = self._queue
        while True:
            generation = records.get()
            is_late = generation.enrichment is not None and generation.enrichment.is_late
            for callback in list(self._updated if is_late else self._callbacks):
                with guard:
                    callback(generation)
            records.task_done()

    def flush(self, timeout: float) -> bool:
        """Wait until everything queued was handed out; returns False if that took longer than `timeout` seconds."""
        if self._thread is None or self._thread is threading.current_thread():
            return True
        deadline = time.monotonic() + timeout
        finished = self._queue.all_tasks_done
        with finished:
            while self._queue.unfinished_tasks:
                left = deadline - time.monotonic()
                if left <= 0 or not finished.wait(left):
                    return False
        return True
