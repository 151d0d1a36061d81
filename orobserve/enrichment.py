"""When to ask OpenRouter for its own record of a call, and what to do until it is there. It knows nothing of spans.

The record is written after the call: a first look finds it about one second later, after an aborted stream it may take
minutes. So a call waits here, its span held open, until the record arrives or the deadline passes; the look-ups go on
behind it. All of it happens on threads of its own, bounded in number, rate and memory, and none exists before the
first call.
"""

from __future__ import annotations

import heapq
import os
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from orobserve._guard import guard
from orobserve.generation import Enrichment, Outcome
from orobserve.lookup import Answer, Client, Servers, Source
from orobserve.wire.record import is_short_of_figures, merge, merge_content

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve.config import Config
    from orobserve.generation import Generation

# Seconds after a call's end at which its record is looked for; one of them falls just before the usual deadline.
SCHEDULE = (1.0, 2.0, 4.0, 6.5, 9.5, 15.0, 25.0, 40.0, 60.0)
# After an aborted stream the provider may still be generating, and OpenRouter billing, for minutes.
LONG_SCHEDULE = (1.0, 2.0, 4.0, 6.5, 9.5, 15.0, 30.0, 60.0, 120.0, 240.0, 420.0, 600.0)
_JITTER = 0.1  # of the time between two look-ups
_PATIENCE = 5.0  # seconds that a late record waits for the end of its span to be written
_UNFINISHED = {Outcome.CANCELLED, Outcome.ABANDONED, Outcome.TRUNCATED}


class Clock:
    """The time that look-ups go by."""

    def now(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        """Wait until the condition is notified, or for a time in seconds."""
        condition.wait(timeout)


class Call(Protocol):
    """A call that waits for its record."""

    def end(self, generation: Generation) -> None:
        """End the call's span; called once, with what is known then."""

    def update(self, generation: Generation) -> None:
        """Take the record that came after the span had ended."""

    def settle(self, status: str, seconds: float) -> None:
        """Take note of what came of the look-up, and how long after the call's end."""


@dataclass(slots=True, eq=False)
class _Lookup:
    generation: Generation
    source: Source
    call: Call
    ended_at: float
    deadline: float
    schedule: tuple[float, ...]
    wants_content: bool
    attempts: int = 0
    is_held: bool = True


@dataclass(slots=True)
class _Books:
    """What is waiting; replaced as a whole in a forked child, where none of it is ours to end."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    waiting: set[_Lookup] = field(default_factory=set)
    due: list[tuple[float, int, _Lookup]] = field(default_factory=list)  # a heap
    deadlines: deque[_Lookup] = field(default_factory=deque)
    asked: SimpleQueue[_Lookup] = field(default_factory=SimpleQueue)
    is_scheduled: bool = False
    threads: int = 0
    in_flight: int = 0
    ending: int = 0
    next_slot: float = 0.0
    servers: Servers = field(default_factory=Servers)


class Enricher:
    """Looks up the records of calls. One per process; thread-safe."""

    def __init__(self, clock: Clock | None = None) -> None:
        """Start nothing."""
        self.clock = clock or Clock()
        self._serial = count()
        self._concurrency, self._interval, self._limit = 8, 0.02, 1000
        self._books, self._client = _Books(), Client()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._books = _Books()
        self._inherited, self._client = self._client, Client()  # a parent's sockets are not ours to close

    def configure(self, config: Config) -> None:
        """Take the bounds of the settings, and forget which keys were refused."""
        self._concurrency = max(1, config.enrichment_concurrency)
        self._interval = 1 / config.enrichment_rate
        self._limit = config.enrichment_limit
        self._books.servers = Servers()

    @property
    def held(self) -> int:
        """How many calls have an open span that waits for its record."""
        return sum(lookup.is_held for lookup in list(self._books.waiting))

    def ask(self, generation: Generation, source: Source, call: Call, config: Config, mode: str) -> str | None:
        """Look for the record of a call that has just ended.

        Args:
            generation: what the response has said.
            source: whom to ask, and by which key.
            call: is told what comes of it.
            config: the settings.
            mode: `always`, `missing` or `never`, for this call.

        Returns:
            None if the call waits; else the `Enrichment.status` with which it must be ended now, empty for `never`.
        """
        if not _wants_lookup(generation, mode):
            return "" if mode == "never" else "not_needed"
        books, now = self._books, self.clock.now()
        # Half of the places are kept for calls whose cost nobody knows yet.
        room = self._limit if is_short_of_figures(generation) else (self._limit + 1) // 2
        lookup = _Lookup(
            generation=generation,
            source=source,
            call=call,
            ended_at=now,
            deadline=now + config.enrichment_deadline,
            schedule=LONG_SCHEDULE if generation.outcome in _UNFINISHED else SCHEDULE,
            wants_content=config.enrichment_content and config.wants_content and generation.outcome in _UNFINISHED,
        )
        with books.changed:
            known = books.servers.verdict(source.api, generation.request.api_key_hash, now)
            if known is not None:
                return known
            if len(books.waiting) >= room or not (books.is_scheduled or self._start(books, self._schedule)):
                return "dropped"
            books.is_scheduled = True
            books.waiting.add(lookup)
            position = len(books.deadlines)
            while position and books.deadlines[position - 1].deadline > lookup.deadline:
                position -= 1  # the settings of one client may be more patient than another's
            books.deadlines.insert(position, lookup)
            self._plan(books, lookup, now)
            if books.due[0][2] is lookup or position == 0:
                books.changed.notify_all()
        return None

    def _start(self, books: _Books, run: Callable[[_Books], None]) -> bool:
        """Start a thread; returns False where the system, or an interpreter that is ending, has none to give."""
        try:
            threading.Thread(target=run, args=(books,), name=f"orobserve{run.__name__}", daemon=True).start()
        except RuntimeError:
            return False
        return True

    def _plan(self, books: _Books, lookup: _Lookup, now: float, at_least: float = 0.0) -> bool:
        """Plan the next look-up; returns False if there is none. What was slept through is not made up for."""
        earliest, previous = now + at_least - lookup.ended_at, 0.0
        for planned in lookup.schedule:
            soonest = planned - _JITTER * (planned - previous)
            if soonest > earliest:
                due = lookup.ended_at + random.uniform(soonest, planned)  # noqa: S311 - it only spreads the load
                heapq.heappush(books.due, (due, next(self._serial), lookup))
                return True
            previous = planned
        return False

    def _schedule(self, books: _Books) -> None:
        while True:
            late: list[_Lookup] = []
            with books.changed:
                now = self.clock.now()
                while books.deadlines and (books.deadlines[0].deadline <= now or not books.deadlines[0].is_held):
                    late.append(books.deadlines.popleft())
                pause = self._hand_out(books, now)
                if not late:
                    if books.deadlines:
                        left = books.deadlines[0].deadline - now
                        pause = left if pause is None else min(left, pause)
                    self.clock.wait(books.changed, pause)
            for lookup in late:
                self._end(books, lookup, self._enriched(lookup, "timeout"))

    def _hand_out(self, books: _Books, now: float) -> float | None:
        """Hand due look-ups to the threads, within the bounds; returns the seconds until there is more to do."""
        while books.due and books.in_flight < self._concurrency:
            due, serial, lookup = books.due[0]
            paused = books.servers.paused_until(lookup.source.api)
            if due <= now < paused:
                heapq.heapreplace(books.due, (paused, serial, lookup))
                continue
            start = max(due, books.next_slot)
            if start > now:
                return start - now
            if books.in_flight == books.threads:
                books.threads += self._start(books, self._look_up_all)
                if not books.threads:
                    return 1.0
            heapq.heappop(books.due)
            books.next_slot = max(books.next_slot + self._interval, now)
            books.in_flight += 1
            books.asked.put(lookup)
        return None

    def _look_up_all(self, books: _Books) -> None:
        while True:
            lookup = books.asked.get()
            with guard:
                self._look_up(books, lookup)
            with books.changed:
                books.in_flight -= 1
                books.changed.notify_all()

    def _look_up(self, books: _Books, lookup: _Lookup) -> None:
        lookup.attempts += 1
        answer, merged = Answer(status="error"), None
        with guard:
            answer = self._client.generation(lookup.source, lookup.generation.id or "")
            if answer.record is not None:
                record, answer = answer.record, Answer(status="error", is_final=True)  # should it not be readable
                merged = merge(lookup.generation, record)
                if lookup.wants_content:
                    stored = self._client.content(lookup.source, lookup.generation.id or "")
                    merged = merge_content(merged, stored) if stored else merged
        if merged is not None:
            self._finish(books, lookup, merged)
        else:
            self._continue(books, lookup, answer)

    def _continue(self, books: _Books, lookup: _Lookup, answer: Answer) -> None:
        """Plan another look-up, or give up."""
        with books.changed:
            now = self.clock.now()
            if answer.retry_after:
                books.servers.pause(lookup.source.api, now + answer.retry_after)
            if answer.status == "unauthorized":
                books.servers.refuse(lookup.source.api, lookup.generation.request.api_key_hash, now)
            if not answer.is_final and self._plan(books, lookup, now, answer.retry_after or 0.0):
                return
        self._end(books, lookup, self._enriched(lookup, answer.status))
        self._settle(books, lookup, answer.status)

    def _finish(self, books: _Books, lookup: _Lookup, merged: Generation) -> None:
        enriched = replace(
            merged,
            enrichment=replace(
                merged.enrichment or Enrichment(status="complete"),
                attempts=lookup.attempts,
                delay_ms=self._delay(lookup) * 1000,
            ),
        )
        is_ended_now = self._end(books, lookup, enriched)
        self._settle(books, lookup, "complete")  # only now: until it ends, `release` must see it
        if not is_ended_now:
            with books.changed:  # its end may be under way on another thread
                books.changed.wait_for(lambda: not books.ending, _PATIENCE)
            late = replace(enriched, enrichment=replace(enriched.enrichment or Enrichment(status=""), is_late=True))
            with guard:
                lookup.call.update(late)

    def _settle(self, books: _Books, lookup: _Lookup, status: str) -> None:
        with books.changed:
            books.waiting.discard(lookup)
            books.servers.judge(lookup.source.api, status, self.clock.now())
        with guard:
            lookup.call.settle(status, self._delay(lookup))

    def _end(self, books: _Books, lookup: _Lookup, generation: Generation) -> bool:
        """End a call's span, unless that was done; returns whether it was done now."""
        with books.changed:
            if not lookup.is_held:
                return False
            lookup.is_held = False
            books.ending += 1
        try:
            with guard:
                lookup.call.end(generation)
        finally:
            with books.changed:
                books.ending -= 1
                books.changed.notify_all()
        return True

    def _enriched(self, lookup: _Lookup, status: str) -> Generation:
        enrichment = Enrichment(status=status, attempts=lookup.attempts, delay_ms=self._delay(lookup) * 1000)
        return replace(lookup.generation, enrichment=enrichment)

    def _delay(self, lookup: _Lookup) -> float:
        return self.clock.now() - lookup.ended_at

    def wait(self, timeout: float) -> None:
        """Wait until no call waits any more, or for `timeout` seconds."""
        with self._books.changed:
            self._books.changed.wait_for(lambda: not self.held, timeout)

    def release(self, timeout: float) -> bool:
        """End every held span now, without its record; returns False if that took longer than `timeout` seconds.

        The look-ups go on: what they find is late, but not lost, as long as the process lives.
        """
        books, until = self._books, time.monotonic() + timeout
        for lookup in list(books.waiting):
            self._end(books, lookup, self._enriched(lookup, "pending"))
        with books.changed:
            return books.changed.wait_for(lambda: not books.ending, max(0.0, until - time.monotonic()))


def _wants_lookup(generation: Generation, mode: str) -> bool:
    """Tell whether a call's record is to be looked for: by the mode, and whether there can be one.

    A job that has only been started has no record yet, and none of a batch has one id.
    """
    if mode == "never" or not generation.id or not generation.id.startswith("gen-"):
        return False
    if generation.job is not None and not generation.job.finished:
        return False
    return mode == "always" or is_short_of_figures(generation)


__all__ = ["Call", "Clock", "Enricher", "Source", "merge"]
