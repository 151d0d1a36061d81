"""A destination: an exporter, its policy, a queue and a thread. A slow or dead one delays nobody else.

It must not know what a payload looks like, nor what the policy is.
"""

from __future__ import annotations

import os
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

from orobserve._guard import guard
from orobserve.delivery.attempts import Attempts
from orobserve.delivery.clock import Clock
from orobserve.delivery.exporter import DirectExporter, Verdict
from orobserve.delivery.letters import Letter, Outcomes, grouped, weigh
from orobserve.delivery.sender import Sender
from orobserve.delivery.state import Drop, State, Tally
from orobserve.delivery.worker import Worker
from orobserve.wire.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve.delivery.exporter import HTTPExporter, Result
    from orobserve.delivery.letters import Receipt
    from orobserve.generation import Generation

_LARGE = 16_000_000  # characters of content: what is taken up at once of what was left
_NO_TIME = "there was no time left to send them"
_UNQUEUED = {Drop.QUEUE_FULL: "the queue is full", Drop.SHUTDOWN: "the destination is closed"}
_all: weakref.WeakSet[Destination] = weakref.WeakSet()


class Destination:
    """Delivers generations in batches, on a thread of its own that the first one starts.

    Args:
        name: as the user calls it.
        exporter: what makes the payload.
        policy: returns the generation as it may be sent, or None.
        capacity: of the queue, in generations; the newest is dropped when it is full.
        linger: seconds that the first generation of a batch waits for others, if not those of the exporter's limits.
        sender: how attempts are made, and how long; one for each destination.
        clock: the time.

    Attributes:
        place: tells it apart from others of its name, which other programs may have set up differently.
        outcomes: what becomes of each generation.
    """

    def __init__(
        self,
        name: str,
        exporter: HTTPExporter | DirectExporter,
        policy: Callable[[Generation], Generation | None],
        *,
        capacity: int = 10_000,
        linger: float | None = None,
        sender: Sender | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.place = ""
        self.exporter = exporter
        self._policy = policy
        self._clock = clock or Clock()
        self._sender = sender or Sender(timeout=exporter.LIMITS.timeout, clock=self._clock)
        self._tally = Tally(name, exporter.TYPE)
        self.outcomes = Outcomes(self._tally, self._clock)
        self._worker: Worker[Letter] = Worker(
            f"orobserve-{name}", take=self._take, deliver=self._deliver, finish=self._finish, clock=self._clock
        )
        self._worker.capacity, self._worker.size = capacity, exporter.LIMITS.items
        self._worker.linger = exporter.LIMITS.linger if linger is None else linger
        self._attempts = Attempts(exporter, self._sender, self._worker, self._tally, self._clock)
        self._holds = True  # what is the exporter's to give back
        _all.add(self)

    @property
    def on_drop(self) -> Callable[[str, str, int], None] | None:
        """Who is told of lost generations: the destination's name, the reason, how many."""
        return self._tally.on_drop

    @on_drop.setter
    def on_drop(self, callback: Callable[[str, str, int], None] | None) -> None:
        self._tally.on_drop = callback

    @property
    def state(self) -> State:
        """The counters as they stand."""
        return self._tally.state(self.queued)

    @property
    def failing(self) -> bool:
        """Whether the last attempt was in vain."""
        return self._attempts.failing

    @property
    def queued(self) -> int:
        """How many generations are not settled."""
        return self._worker.queued

    @property
    def spare(self) -> int:
        """How many generations more the queue may hold; 0 too where it has no room for large ones."""
        is_full = self._worker.closing or not self._worker.has_room(_LARGE)
        return 0 if is_full else max(0, self._worker.capacity - self.queued)

    def offer(self, generation: Generation, weight: int | None = None, receipt: Receipt | None = None) -> None:
        """Queue a generation; never waits, and tells nobody but the counters when there is no room.

        Args:
            generation: the record.
            weight: its `weigh`, where that is known already.
            receipt: where it is kept until it is settled, if it is.
        """
        letter = Letter(generation, receipt)
        lost = self._worker.put(letter, weigh(generation) if weight is None else weight)
        if lost is not None:
            self.outcomes.unsent(lost, [letter], _UNQUEUED[lost])

    def has_room(self, weight: int) -> bool:
        """Tell whether the queue has room for a generation of that `weigh`, or there is no use in waiting for it."""
        return self.failing or self._worker.has_room(weight)

    def hurry(self) -> int:
        """Have what is queued sent at once, and a batch that waits for its next attempt tried now."""
        return self._worker.hurry()

    def wait(self, target: int, deadline: float) -> bool:
        """Wait until what a `hurry` was about is delivered or dropped; False if the deadline came first."""
        return self._worker.wait(target, deadline)

    def close(self, deadline: float) -> None:
        """Take no more generations; what is queued may be sent until the deadline. Harmless if repeated."""
        self._worker.close(deadline)

    def join(self, deadline: float) -> bool:
        """Wait until a closed destination is done; False if the deadline came first, and the queue is then dropped."""
        if not self._worker.started:
            self._finish()
            return True
        left = self._worker.join(deadline)
        if left:
            self.outcomes.unsent(Drop.SHUTDOWN, left, _NO_TIME)
        return self._worker.finished

    def after_fork(self) -> None:
        """Begin anew in a forked child: what is queued and what is open is the parent's."""
        self._worker.reset()
        self._tally.reset()
        self._sender.forget()
        self._holds = False

    def _take(self, letter: Letter) -> Letter | None:
        with guard:
            kept = self._policy(letter.generation)
            if kept is None:
                self.outcomes.withheld(letter)
                return None
            return Letter(kept, letter.receipt)
        self.outcomes.refused(Drop.POLICY, [letter], "a filter, sampler or mask raised an error")
        return None

    def _deliver(self, batch: list[Letter]) -> None:
        """Try for as long as the sender has patience what is new, and once what has failed before: it comes again."""
        self._holds = True
        patience, is_tried = self._sender.patience, False
        for letters in filter(None, grouped(batch)):
            if is_tried and self.failing:
                self.outcomes.unsent(Drop.EXPIRED, letters, "the destination does not take others either")
            else:
                has_failed = letters[0].receipt is not None and letters[0].receipt.attempts > 0
                self._deliver_by(letters, self._clock.now() + (0.0 if has_failed else patience))
                is_tried = True

    def _deliver_by(self, letters: list[Letter], deadline: float) -> None:
        parts = [letters]
        while parts:
            part = parts.pop()
            if self._worker.expired:
                self.outcomes.unsent(Drop.SHUTDOWN, part, _NO_TIME)
                continue
            smaller = None
            with guard:
                smaller = self._deliver_part(part, deadline)
            if smaller is None:
                self.outcomes.refused(Drop.REJECTED, part, "the exporter's answer makes no sense; see the log")
            else:
                parts += reversed(smaller)

    def _deliver_part(self, part: list[Letter], deadline: float) -> list[list[Letter]]:
        """Deliver or drop; returns the smaller parts that are to be tried instead."""
        result = self._attempts.make([letter.generation for letter in part], deadline)
        if result is None:
            return self._singly(part)
        if result.verdict is Verdict.TOO_LARGE:
            return self._smaller(part, result.reason)
        self._settle(result, part)
        return []

    def _settle(self, result: Result, part: list[Letter]) -> None:
        if result.verdict is Verdict.DELIVERED:
            rejected = min(
                result.rejected, len(part)
            )  # some products count spans, of which a generation may be several
            self.outcomes.delivered(part, rejected)
            if rejected:
                self._tally.dropped(Drop.REJECTED_IN_PART, rejected, result.reason)
            elif result.reason:
                self._tally.note("generations are taken, with a remark", redact(result.reason))
        elif result.verdict is Verdict.REJECTED:
            self.outcomes.refused(Drop.REJECTED, part, result.reason)
        elif self._worker.closing:
            self.outcomes.unsent(Drop.SHUTDOWN, part, result.reason)
        else:
            self.outcomes.unsent(Drop.EXPIRED, part, result.reason, tried=True)

    def _singly(self, part: list[Letter]) -> list[list[Letter]]:
        """Answer a batch that cannot be encoded: one bad generation does not take the others with it."""
        if len(part) > 1:
            return [[letter] for letter in part]
        self.outcomes.refused(Drop.ENCODE, part, "the exporter could not encode it; see the log")
        return []

    def _smaller(self, part: list[Letter], reason: str) -> list[list[Letter]]:
        """Answer a batch that is too large."""
        if len(part) > 1:
            half = len(part) // 2
            return [part[:half], part[half:]]
        generation, receipt = part[0]
        if generation.content is not None:
            self._tally.note("a generation is sent without its content", reason)
            return [[Letter(replace(generation, content=None), receipt)]]
        self.outcomes.refused(Drop.TOO_LARGE, part, reason)
        return []

    def _finish(self) -> None:
        """Give back what is held."""
        self._sender.close()
        if self._holds and isinstance(self.exporter, DirectExporter):
            self._holds = False
            with guard:
                self.exporter.close()


def _after_fork() -> None:
    for destination in _all:
        destination.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - it is missing on Windows
    os.register_at_fork(after_in_child=_after_fork)
