"""What the API keys in use have spent and may still spend (GET /key), looked at now and then. Opt-in.

A key is known here from the calls it was used for, stays in memory only, and is shown by the user's label for it or by
the start of its SHA-256.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from orobserve._guard import guard
from orobserve.enrichment import Clock
from orobserve.generation import Budget
from orobserve.lookup import Client
from orobserve.wire.values import number, text

if TYPE_CHECKING:
    from orobserve.config import Config
    from orobserve.lookup import Source

_LIMIT = 16  # keys, the latest used
_SHOWN = 8  # hex digits of a key's hash
_PERIODS = {"usage": "total", "usage_daily": "daily", "usage_weekly": "weekly", "usage_monthly": "monthly"}


class KeyBudgets:
    """Polls the budgets of the keys that calls were made with, on a thread of its own."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        """Start nothing.

        Args:
            config: the settings.
            clock: the time that the interval goes by.
        """
        self._interval = config.key_budget_interval
        self._labels = config.api_key_labels
        self._clock = clock or Clock()
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._client = Client()
        self._thread: threading.Thread | None = None
        self._keys: OrderedDict[str, Source] = OrderedDict()
        self._budgets: dict[str, Budget] = {}
        self.rounds = 0  # how often all keys were looked at

    @property
    def budgets(self) -> list[Budget]:
        """What was seen last."""
        return list(self._budgets.values())

    def use(self, source: Source, key_hash: str | None) -> None:
        """Take note of a key in use."""
        if not key_hash or not source.key:
            return
        with self._changed:
            is_new = key_hash not in self._keys
            self._keys[key_hash] = source
            self._keys.move_to_end(key_hash)
            if len(self._keys) > _LIMIT:
                self._budgets.pop(self._keys.popitem(last=False)[0], None)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="orobserve-key-budget", daemon=True)
                self._thread.start()
            elif is_new:
                self._changed.notify_all()

    def _run(self) -> None:
        seen: set[str] = set()
        due = 0.0
        while True:
            with self._changed:
                now = self._clock.now()
                if now >= due:
                    seen, due = set(), now + self._interval
                wanted = {key: source for key, source in self._keys.items() if key not in seen}
                if not wanted:
                    self._clock.wait(self._changed, due - now)
            for key, source in wanted.items():
                seen.add(key)
                with guard:
                    self._look(key, source)
            if wanted:
                with self._changed:
                    self.rounds += 1
                    self._changed.notify_all()

    def _look(self, key: str, source: Source) -> None:
        given = self._client.key(source)
        if given is None:
            return  # what was seen last stays true until something else is seen
        budget = _read(given, self._labels.get(key) or key[:_SHOWN])
        with self._changed:
            if key in self._keys:
                self._budgets[key] = budget


def _read(given: dict[str, Any], label: str) -> Budget:
    usage = {period: number(given.get(field)) for field, period in _PERIODS.items()}
    return Budget(
        label=label,
        remaining=number(given.get("limit_remaining")),
        period=text(given.get("limit_reset")) or "total",
        usage={period: spent for period, spent in usage.items() if spent is not None},
    )
