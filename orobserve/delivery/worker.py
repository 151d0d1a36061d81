"""One bounded queue and one thread: it collects batches, hands them on, and waits where waiting is due.

It must not know what a destination is. Nobody who puts a record ever waits for it. A forked child begins with an empty
queue and no thread; the parent keeps its own.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from orobserve._guard import guard
from orobserve._quiet import quiet
from orobserve.delivery.state import Drop

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve.delivery.clock import Clock

Item = TypeVar("Item")
_AGAIN = 30.0  # seconds after which a chore that raised is done again


class Worker(Generic[Item]):
    """Collects what is put and hands it on in batches, on a thread that the first record starts.

    Args:
        name: of the thread.
        take: the record as it is to be handed on, or None; must not raise.
        deliver: takes a batch, oldest first, never empty.
        finish: called on the thread when it ends.
        clock: the time.

    Attributes:
        chore: what the thread does between batches; returns the seconds until it wants to be done again.
    """

    def __init__(
        self,
        name: str,
        *,
        take: Callable[[Item], Item | None],
        deliver: Callable[[list[Item]], None],
        finish: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._name = name
        self._take = take
        self._deliver = deliver
        self._finish = finish
        self._clock = clock
        self._closing_at: float | None = None
        self.chore: Callable[[], float] | None = None
        self.capacity = 10_000  # records in the queue
        self.room = 64_000_000  # characters of content in the queue
        self.size = 100  # records in a batch
        self.linger = 1.0  # seconds that the first record of a batch waits for others
        self.reset()

    def reset(self) -> None:
        """Begin anew: no thread, nothing queued. What was closed stays closed."""
        lock = threading.RLock()  # the garbage collector may end a call, and put its record, while we hold it
        self._wake = threading.Condition(lock)  # for the thread
        self._settled = threading.Condition(lock)  # for those who flush and close
        self._queue: deque[tuple[Item, int]] = deque()  # and its weight
        self._weight = 0  # of the queue
        self._thread: threading.Thread | None = None
        self._wanted = 0  # the queue's length that the thread waits for
        self._busy = 0  # records taken from the queue and not done with
        self._done = 0  # records done with
        self._hurried = 0  # so many records in all are to be done with at once
        self._urges = 0
        self._chore_at = -math.inf
        self._asked = self._served = 0  # hurries, and those that the chore was done after
        self._finished = False
        self._is_alone = False

    @property
    def queued(self) -> int:
        """How many records are not done with."""
        with self._wake:
            return len(self._queue) + self._busy

    @property
    def urges(self) -> int:
        """How often somebody asked for haste: `pause` returns at once when this has changed."""
        return self._urges

    @property
    def started(self) -> bool:
        """Whether there is a thread, in this process."""
        return self._thread is not None

    @property
    def finished(self) -> bool:
        """Whether the thread has ended: closed, and all is done with."""
        return self._finished

    @property
    def closing(self) -> bool:
        """Whether no more records are taken."""
        return self._closing_at is not None

    @property
    def expired(self) -> bool:
        """Whether the time to close in is over."""
        return self._closing_at is not None and self._clock.now() >= self._closing_at

    def put(self, record: Item, weight: int) -> Drop | None:
        """Queue a record of the given `weigh`; returns why it was not."""
        with self._wake:
            if self._closing_at is not None:
                return Drop.SHUTDOWN
            if not self.has_room(weight):
                return Drop.QUEUE_FULL
            self._weight += weight
            self._queue.append((record, weight))
            if self._thread is None:
                with suppress(RuntimeError):  # then the next record tries it, or who flushes does the work
                    self._start()
            elif len(self._queue) == self._wanted:  # waking it for every record would cost the caller more than this
                self._wake.notify()
        return None

    def has_room(self, weight: int) -> bool:
        """Tell whether the queue has room for a record of that `weigh`."""
        with self._wake:
            is_light = not self._queue or self._weight + weight <= self.room
            return is_light and len(self._queue) < self.capacity

    def start(self) -> None:
        """Start the thread without a record, for its chore."""
        with self._wake:
            if self._thread is None and self._closing_at is None:
                self._start()

    def nudge(self, seconds: float) -> None:
        """Have the chore done within so many seconds."""
        with self._wake:
            self._chore_at = min(self._chore_at, self._clock.now() + seconds)
            self._wake.notify()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the system has no more threads, or the interpreter is about to end
            self._thread = None
            raise
        self._is_alone = False

    def hurry(self) -> int:
        """Have all that is queued sent at once; returns what `wait` needs."""
        with self._wake:
            self._hurried = target = self._done + self._busy + len(self._queue)
            self._urges += 1
            self._asked += self.chore is not None and self._thread is not None and not self._finished
            self._wake.notify()
        self._do_alone()
        return target

    def wait(self, target: int, deadline: float) -> bool:
        """Wait until the records of a `hurry` are done with; returns False if the deadline came first."""
        asked = self._asked
        return self._wait_until(lambda: self._done >= target and (self._served >= asked or self._finished), deadline)

    def close(self, deadline: float) -> None:
        """Take no more records; what is queued may be sent until the first deadline that was given."""
        with self._wake:
            if self._closing_at is None:
                self._closing_at = deadline
            self._urges += 1
            self._wake.notify()
        self._do_alone()

    def _do_alone(self) -> None:
        """Do what is queued here, where no thread can be started: as the interpreter ends, in some Pythons."""
        with self._wake:
            if self._thread is not None or not (self._queue or self._is_alone):
                return
            with suppress(RuntimeError):
                self._start()
                return
        self._is_alone = True
        with quiet():
            while self._queue:
                self._step()
            if self._closing_at is not None:
                self._end()

    def join(self, deadline: float) -> list[Item]:
        """Wait until a closed worker is finished; returns the records that were left behind in the queue."""
        with self._wake:
            if self._wait_until(lambda: self._finished, deadline):
                return []
            left = [record for record, _ in self._queue]
            self._queue.clear()
            self._weight = 0
            self._done += len(left)
            return left

    def _wait_until(self, reached: Callable[[], bool], deadline: float) -> bool:
        with self._settled:
            while not reached():
                left = deadline - self._clock.now()
                if left <= 0:
                    return False
                self._clock.wait(self._settled, left)
            return True

    def pause(self, seconds: float, urges: int) -> bool:
        """Wait before the next attempt, or until haste is asked for; False: there will be no time for one.

        Args:
            seconds: how long.
            urges: what `urges` was before the last attempt.
        """
        if self._is_alone:  # whoever flushes or ends waits for us
            return False
        with self._wake:
            until = self._clock.now() + seconds
            while self._urges == urges:
                if self._closing_at is not None and until > self._closing_at:
                    return False
                left = until - self._clock.now()
                if left <= 0:
                    break
                self._clock.wait(self._wake, left)
            return True

    def _run(self) -> None:
        with quiet():
            while self._step():
                continue
            self._end()

    def _end(self) -> None:
        with guard:
            self._finish()
        with self._settled:
            self._finished = True
            self._settled.notify_all()

    def _step(self) -> bool:
        """Do one batch; returns False when closed and all is done."""
        batch = self._collect()
        if batch:
            with guard:
                self._deliver(batch)
        self._do_chore()
        with self._settled:
            self._done += self._busy
            self._busy = 0
            self._settled.notify_all()
            return bool(self._queue) or self._closing_at is None

    def _do_chore(self) -> None:
        """Do the chore if it is due or somebody flushes; whoever nudges meanwhile is heard."""
        if self.chore is None:
            return
        with self._wake:
            asked = self._asked
            if not self._is_chore_due():
                return
            self._chore_at = math.inf
        pause = _AGAIN
        with guard:
            pause = self.chore()
        with self._wake:
            self._served = asked
            self._chore_at = min(self._chore_at, self._clock.now() + pause)

    def _is_chore_due(self) -> bool:
        return self.chore is not None and (self._asked > self._served or self._clock.now() >= self._chore_at)

    def _collect(self) -> list[Item]:
        """Wait for a batch; empty if all that came was withheld, nothing will come, or the chore is due."""
        batch: list[Item] = []
        due = math.inf
        while len(batch) < self.size:
            drawn, due = self._draw(self.size - len(batch), due)
            if not drawn:
                break
            batch += [kept for kept in map(self._take, drawn) if kept is not None]
        return batch

    def _draw(self, wanted: int, due: float) -> tuple[list[Item], float]:
        """Wait for so many records, or until the batch is due; that is set by its first record."""
        with self._wake:
            while len(self._queue) < wanted and self._closing_at is None and self._done >= self._hurried:
                now = self._clock.now()
                if self._queue:
                    due = min(due, now + self.linger)
                if now >= due or self._is_chore_due():
                    break
                self._wanted = 1 if due == math.inf else wanted
                until = due if self.chore is None else min(due, self._chore_at)
                self._clock.wait(self._wake, None if until == math.inf else until - now)
            self._wanted = 0
            taken = [self._queue.popleft() for _ in range(min(wanted, len(self._queue)))]
            self._weight -= sum(weight for _, weight in taken)
            self._busy += len(taken)
            return [record for record, _ in taken], due
