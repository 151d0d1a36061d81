"""Is a destination set up right? One cheap request, answered in words that name what to change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from orobserve._guard import guard
from orobserve._quiet import quiet
from orobserve.delivery.clock import Clock
from orobserve.delivery.exporter import DirectExporter, Result, Verdict
from orobserve.delivery.sender import Sender

if TYPE_CHECKING:
    from datetime import datetime

    from orobserve.delivery.exporter import Conversation, HTTPExporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a probe found: `DELIVERED` means all is well; else the result's reason says what is wrong.

    Attributes:
        elapsed: seconds from sending the request to judging the answer.
        server_time: of the peer's Date header, to the second; None where there was none.
    """

    result: Result
    elapsed: float
    server_time: datetime | None = None


def probe(
    exporter: HTTPExporter | DirectExporter, *, sender: Sender | None = None, clock: Clock | None = None
) -> Probe:
    """Prove an exporter's settings right; one attempt at each step, as long as its limits let one take. Never raises.

    What a `DirectExporter` opened stays open: the caller closes it.
    """
    clock = clock or Clock()
    started = clock.now()
    result, server_time = Result(verdict=Verdict.REJECTED), None
    with guard, quiet():
        try:
            if isinstance(exporter, DirectExporter):
                result = exporter.check()
            else:
                result, server_time = _ask(exporter, sender or Sender(timeout=exporter.LIMITS.timeout, clock=clock))
        except BaseException as error:
            kind = type(error).__qualname__  # its text may quote a key
            result = Result(verdict=Verdict.REJECTED, reason=f"the check itself failed with {kind}")
            raise
    return Probe(result=result, elapsed=clock.now() - started, server_time=server_time)


def _ask(exporter: HTTPExporter, sender: Sender) -> tuple[Result, datetime | None]:
    try:
        return _converse(exporter.examine(), sender)
    finally:
        sender.close()


def _converse(conversation: Conversation, sender: Sender) -> tuple[Result, datetime | None]:
    """Take every step once."""
    step, said, told = next(conversation), "", None
    while True:
        response = sender.send(step.request)
        if isinstance(response, Result):
            return response, told
        told = _date(response.headers.get("date", ""))
        result = step.judge(response)
        if result.verdict is not Verdict.DELIVERED:
            return result, told
        said = said or result.reason
        try:
            step = conversation.send(response)
        except StopIteration as end:
            last = end.value or result
            return replace(last, reason=last.reason or said), told


def _date(value: str) -> datetime | None:
    try:
        return parsedate_to_datetime(value)
    except (TypeError, ValueError):  # TypeError: Python 3.10's word for no date at all
        return None
