"""Which calls have been here already, in this process: a bounded memory of generation ids.

What captures calls in the same process (the proxy, `orobserve run`) feeds it with `add`; the receiver asks it. Across
processes, and for longer, a ledger of generations decides: it may stand in for `Seen`, which has no other method.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from orobserve._identity import Parts, key_of, parts_of
from orobserve.generation import Enrichment

if TYPE_CHECKING:
    from orobserve.generation import Generation

LIMIT = 100_000  # calls: about 50 MB


class Sight(Enum):
    """What a record is to those who have seen others."""

    NEW = "new"
    UPDATE = "update"  # it says all that the first did, and more
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class _First:
    """What is kept of a call: its span's ids, which an update must have too, and which parts of it were known."""

    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None
    parts: Parts


class Seen:
    """Remembers the calls that came last; the one that was not spoken of for longest is forgotten first."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._calls: OrderedDict[str, _First] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many calls are remembered."""
        return len(self._calls)

    def look(self, generation: Generation) -> Sight:
        """Tell what a record would be, without remembering it."""
        with self._lock:
            return _sight(self._calls.get(key_of(generation)), generation)

    def add(self, generation: Generation) -> Sight:
        """Remember a call, and tell what its record was."""
        key = key_of(generation)
        with self._lock:
            first = self._calls.get(key)
            sight = _sight(first, generation)
            ids = generation if first is None else first
            if sight is not Sight.KNOWN:
                self._calls[key] = _First(ids.trace_id, ids.span_id, ids.parent_span_id, parts_of(generation))
            self._calls.move_to_end(key)
            if len(self._calls) > self._limit:
                self._calls.popitem(last=False)
            return sight

    def as_update(self, generation: Generation) -> Generation:
        """Return a record with the span's ids of the first one, so that it replaces that one where products can."""
        with self._lock:
            first = self._calls.get(key_of(generation))
        return as_update(generation, generation if first is None else first)


def as_update(generation: Generation, first: Generation | _First) -> Generation:
    """Return a record with the span's ids of another one, so that it replaces that one where products can."""
    return replace(
        generation,
        trace_id=first.trace_id,
        span_id=first.span_id,
        parent_span_id=first.parent_span_id,
        enrichment=replace(generation.enrichment or Enrichment(status="not_needed"), is_late=True),
    )


def _sight(first: _First | None, generation: Generation) -> Sight:
    if first is None:
        return Sight.NEW
    parts = parts_of(generation)
    return Sight.UPDATE if parts != first.parts and first.parts in parts else Sight.KNOWN
