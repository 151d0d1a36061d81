"""From received spans to destinations: which of them are calls, which of those are new, and whether there is room."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from orobserve._guard import guard
from orobserve._identity import completed, is_late, parts_of
from orobserve.proxy.captured import Captured
from orobserve.proxy.seen import Seen, Sight, as_update
from orobserve.telemetry.genai import Sender, Wanted, generation_of, sender_of
from orobserve.telemetry.parents import without_named
from orobserve.wire.route import Hosts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from orobserve.generation import Generation
    from orobserve.receivers import Receivers
    from orobserve.telemetry.received import Received


class Intake:
    """Turns spans into records and hands them to the destinations: each call once, and its update where one comes.

    Args:
        receivers: get every record; a ledger among them also knows what other processes of this machine captured.
        seen: what was captured in this process too, where anything was.
        every: all GenAI spans that stand for calls, not only those of OpenRouter's.
        hosts: further hosts that serve OpenRouter's API.
        hold: seconds after a call's end in which these processes have written it there.
        listen: told of every record that is handed on.
    """

    def __init__(
        self,
        receivers: Receivers,
        *,
        seen: Seen | None = None,
        every: bool = False,
        hosts: Iterable[str] = (),
        hold: float = 0.0,
        listen: Callable[[Generation], Any] | None = None,
    ) -> None:
        self._receivers = receivers
        self._seen = Seen() if seen is None else seen
        self._wanted = Wanted(every=every, hosts=Hosts(hosts))
        self._captured = None
        if receivers.ledger is not None:
            self._captured = Captured(
                receivers.ledger, hold, self._hand_on, self._found_captured, self._receivers.has_room
            )
        self._listen = listen
        self.counts: Counter[str] = Counter()  # spans: new, update, known, captured, ignored, unreadable

    def read(self, spans: Iterable[Received]) -> tuple[list[Generation], int]:
        """Return the records of the spans that stand for calls, and how many spans could not be read."""
        records: list[Generation] = []
        calls: list[tuple[Received, Generation]] = []
        others: dict[tuple[str, str], Received] = {}  # of those who put named parents above their calls
        unreadable = 0
        for span in spans:
            record, is_read = None, False
            with guard:
                record = generation_of(span, self._wanted)
                is_read = True
            unreadable += not is_read
            if record is not None:
                calls.append((span, record))
            elif sender_of(span) is not Sender.OTHER:
                others[span.trace_id, span.span_id] = span
            self.counts["unreadable"] += not is_read
            self.counts["ignored"] += is_read and record is None
        for span, record in calls:
            is_ours_to_name = sender_of(span) is not Sender.OTHER
            records.append(without_named(record, others) if is_ours_to_name else record)
        return records, unreadable

    def offer(self, records: Sequence[Generation]) -> int:
        """Take as many records as there is room for, in their order, and return how many.

        A record that was here before is done with. So whoever is told to come again may send all of them again.
        """
        for place, record in enumerate(records):
            sight = self._seen.look(record)
            if sight is not Sight.KNOWN and not self._has_room(record):
                return place
            self._seen.add(record)
            self.counts[sight.value] += 1
            if sight is Sight.KNOWN:
                continue
            taken = self._seen.as_update(record) if sight is Sight.UPDATE else record
            if self._captured is None:
                self._hand_on(taken)
            else:
                self._captured.put(taken)
        return len(records)

    def close(self, timeout: float) -> int:
        """Hand on what is held back, within so many seconds; returns how many records there was no time for."""
        return 0 if self._captured is None else self._captured.close(timeout)

    def _has_room(self, record: Generation) -> bool:
        return (self._receivers if self._captured is None else self._captured).has_room(record)

    def _hand_on(self, record: Generation) -> None:
        self._receivers.offer(record)
        if not is_late(record) and self._listen is not None:
            with guard:
                self._listen(record)

    def _found_captured(self, record: Generation, captured: Generation) -> None:
        """Take a record of a call that a process of this machine has captured: it may know what that one does not."""
        self.counts["new"] -= 1
        self.counts["captured"] += 1
        if parts_of(record) & ~parts_of(captured):
            self._hand_on(as_update(completed(record, captured), captured))
