"""Tells of alerts: log, function, desktop, webhook. On a thread that the first starts, and that ends with the last.

One way that fails or is slow does not keep the others from it, nor the next alert from being noticed.
"""

from __future__ import annotations

import html
import json
import logging
import shutil
import subprocess
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING

from orobserve._guard import guard
from orobserve._quiet import quiet
from orobserve.delivery.clock import Clock
from orobserve.delivery.exporter import HTTPExporter, HTTPRequest, Verdict
from orobserve.delivery.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orobserve.budgets.alert import Alert

_log = logging.getLogger("orobserve")
_ATTEMPTS = 5
_LONGEST = 60.0  # seconds between two of them
_DESKTOP = 5.0  # seconds that the desktop may take
_judge = HTTPExporter({}).judge
_SCRIPT = (  # its texts are arguments, never parts of it
    *("-e", "on run argv", "-e", "display notification (item 2 of argv) with title (item 1 of argv)", "-e", "end run"),
)


class Notices:
    """A queue of alerts.

    Args:
        clock: the time.
        sender: how webhooks are called.
        run: starts a program and waits for it.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        sender: Sender | None = None,
        run: Callable[[Sequence[str]], object] | None = None,
    ) -> None:
        self._clock = clock or Clock()
        self._sender = sender or Sender(clock=self._clock)
        self._run_program = run or _run
        self._closing_at: float | None = None
        self.reset()

    def reset(self) -> None:
        """Begin anew, in a forked child: what is queued is the parent's to tell."""
        self._changed = threading.Condition()
        self._queue: deque[Alert] = deque()
        self._busy = False
        self._sender.forget()

    def put(self, alert: Alert) -> None:
        """Queue an alert."""
        with self._changed:
            self._queue.append(alert)
            if self._busy:
                return
            self._busy = True
        try:
            threading.Thread(target=self._run, name="orobserve-alerts", daemon=True).start()
        except RuntimeError:  # the interpreter is about to end, and gives no more threads: ours is one
            self._run()

    def wait(self, deadline: float) -> bool:
        """Wait until all is told; returns False if the deadline came first."""
        with self._changed:
            while self._busy:
                left = deadline - self._clock.now()
                if left <= 0:
                    return False
                self._clock.wait(self._changed, left)
            return True

    def close(self, deadline: float) -> bool:
        """Wait likewise; no further attempt begins that would be after the deadline."""
        with self._changed:
            self._closing_at = deadline
            self._changed.notify_all()
        return self.wait(deadline)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._queue:
                    with guard:
                        self._sender.close()
                    self._busy = False
                    self._changed.notify_all()
                    return
                alert = self._queue.popleft()
            self._tell(alert)

    def _tell(self, alert: Alert) -> None:
        budget = alert.budget
        with guard:
            _log.warning("%s: %s", alert.title, alert.details)
        if budget.callback is not None:
            with guard:
                budget.callback(alert)
        if budget.notify:
            with guard:
                self._show(alert)
        if budget.webhook is not None:
            with guard, quiet():
                self._post(alert, budget.webhook)

    def _show(self, alert: Alert) -> None:
        command = desktop_command(alert)
        if command and shutil.which(command[0]):
            self._run_program(command)

    def _post(self, alert: Alert, url: str) -> None:
        body = json.dumps(alert.as_json()).encode()
        request = HTTPRequest(url=url, body=body, headers={"content-type": "application/json"}, compress=False)
        attempts = 0
        while True:
            attempts += 1
            result = self._sender.attempt(request, _judge)
            if result.verdict is Verdict.DELIVERED:
                return
            delay = min(_LONGEST, max(self._sender.delay(attempts), result.retry_after or 0.0))
            if result.verdict is not Verdict.RETRY or attempts == _ATTEMPTS or not self._pause(delay):
                _log.warning("the webhook of a budget did not take an alert: %s", result.reason)
                return

    def _pause(self, seconds: float) -> bool:
        """Wait before the next attempt; False: there will be no time for one."""
        with self._changed:
            until = self._clock.now() + seconds
            while (left := until - self._clock.now()) > 0:
                if self._closing_at is not None and until > self._closing_at:
                    return False
                self._clock.wait(self._changed, left)
            return True


def desktop_command(alert: Alert, platform: str = sys.platform) -> list[str]:
    """Return the program that shows an alert on the desktop, with its arguments; empty where there is none."""
    if platform == "darwin":
        return ["osascript", *_SCRIPT, alert.title, alert.details]
    if platform.startswith("linux"):  # its body may be taken for HTML
        return [
            "notify-send",
            "--app-name=orobserve",
            "--urgency=critical",
            "--",
            alert.title,
            html.escape(alert.details),
        ]
    return []


def _run(command: Sequence[str]) -> None:
    nothing = subprocess.DEVNULL
    subprocess.run(command, timeout=_DESKTOP, check=False, stdin=nothing, stdout=nothing, stderr=nothing)  # noqa: S603
