"""Attempts at one batch: the steps of a conversation, and patience with a destination that does not answer.

It must not know what becomes of a batch afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from orobserve._guard import guard
from orobserve.delivery.exporter import DirectExporter, Result, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orobserve.delivery.clock import Clock
    from orobserve.delivery.exporter import Conversation, HTTPExporter, HTTPResponse, Step
    from orobserve.delivery.sender import Sender
    from orobserve.delivery.state import Tally
    from orobserve.delivery.worker import Worker
    from orobserve.generation import Generation


class Attempts:
    """Makes attempts for one destination, on its thread.

    Args:
        exporter: what makes the payload.
        sender: how an attempt is made.
        worker: whose thread waits between attempts, unless there is haste.
        tally: counts them.
        clock: the time.

    Attributes:
        failing: whether the last attempt was in vain.
    """

    def __init__(
        self, exporter: HTTPExporter | DirectExporter, sender: Sender, worker: Worker[Any], tally: Tally, clock: Clock
    ) -> None:
        self._exporter = exporter
        self._sender = sender
        self._worker = worker
        self._tally = tally
        self._clock = clock
        self.failing = False

    def make(self, batch: Sequence[Generation], deadline: float) -> Result | None:
        """Return what becomes of a batch by a deadline, after one attempt at least; None: it cannot be encoded."""
        exporter = self._exporter
        if isinstance(exporter, DirectExporter):
            return self._persist(partial(self._export, exporter, batch), deadline)
        with guard:
            return self._converse(exporter.deliver(batch), deadline)
        return None

    def _converse(self, conversation: Conversation, deadline: float) -> Result:
        """Take the steps of a conversation up to the first that is not gone on with."""
        rejected, reason, most = 0, "", self._exporter.LIMITS.bytes
        try:
            step = next(conversation)
            while True:
                if len(step.request.body) > most:
                    return Result(verdict=Verdict.TOO_LARGE, reason=f"the payload has more than {most} bytes")
                result, answer = self._take_step(step, deadline)
                if answer is None or result.verdict is not Verdict.DELIVERED:
                    return result
                rejected, reason = rejected + result.rejected, reason or result.reason
                step = conversation.send(answer)
        except StopIteration as end:
            last = end.value or Result(verdict=Verdict.DELIVERED)
            return replace(last, rejected=last.rejected + rejected, reason=last.reason or reason)
        finally:
            conversation.close()

    def _take_step(self, step: Step, deadline: float) -> tuple[Result, HTTPResponse | None]:
        answer = None

        def judge(response: HTTPResponse) -> Result:
            nonlocal answer
            answer = response
            return step.judge(response)

        return self._persist(partial(self._sender.attempt, step.request, judge), deadline), answer

    def _export(self, exporter: DirectExporter, batch: Sequence[Generation]) -> Result:
        kind = ""
        with guard:
            try:
                return exporter.export(batch)
            except BaseException as error:
                kind = type(error).__qualname__  # its text may quote a key
                raise
        return Result(verdict=Verdict.RETRY, reason=f"the destination's client raised {kind}")

    def _persist(self, attempt: Callable[[], Result], deadline: float) -> Result:
        """Make attempts until one says something else than `RETRY`, or time is over."""
        attempts = 0
        while True:
            attempts += 1
            urges = self._worker.urges
            result = attempt()
            self.failing = result.verdict is Verdict.RETRY
            left = deadline - self._clock.now()
            if result.verdict is not Verdict.RETRY or left <= 0:
                return result
            self._tally.failed("generations wait and are sent again", result.reason)
            delay = self._sender.delay(attempts)
            if result.retry_after is not None:
                delay = max(result.retry_after, self._sender.delay(1))  # "0 seconds" is no leave to hammer
            if not self._worker.pause(min(delay, left), urges):
                return result
            self._tally.retried()
