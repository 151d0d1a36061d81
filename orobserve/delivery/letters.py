"""What is queued for one destination, and what becomes of it: counted, and told to whoever keeps it meanwhile.

A letter with a receipt is kept elsewhere (in the ledger) until it is settled: what cannot be sent is not lost then.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from orobserve._guard import guard
from orobserve.delivery.state import Drop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orobserve.delivery.clock import Clock
    from orobserve.delivery.state import Tally
    from orobserve.generation import Generation

_ALONE = 3  # attempts in vain after which a letter no longer takes others with it


class Fate(Enum):
    """What became of a letter with a receipt."""

    DELIVERED = "delivered"
    WITHHELD = "withheld"  # by the destination's policy
    DEAD = "dead"  # it will not be taken as it is
    FAILED = "failed"  # tried in vain, it may be taken later
    UNTRIED = "untried"  # there was no room, or no time


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a letter is kept: row, version of the record, who has it in hand, and how often it has failed before."""

    row: int
    version: int
    owner: int
    attempts: int = 0
    is_backlog: bool = False  # it was kept for a while, rather than handed on as soon as it was there


class Letter(NamedTuple):  # made for every record, so it has to be cheap
    """A record on its way, and where it is kept until then, if it is."""

    generation: Generation
    receipt: Receipt | None = None


def weigh(record: Generation) -> int:
    """Return about how many characters of content a record holds: what makes some so much larger than others."""
    said = record.content
    if said is None:
        return 0
    parts = [*said.system, *(part for message in (*said.input, *said.output) for part in message.parts)]
    return sum(len(getattr(part, "content", "")) for part in parts)


class Outcomes:
    """Counts what becomes of letters, and tells who keeps them.

    Args:
        tally: the counters.
        clock: the time.
    """

    def __init__(self, tally: Tally, clock: Clock) -> None:
        self._tally = tally
        self._clock = clock
        self.on_settled: Callable[[Sequence[Receipt], Fate, str], None] | None = None

    def delivered(self, letters: Sequence[Letter], rejected: int) -> None:
        """Settle what the destination has accepted, but for so many: it does not say which."""
        self._tally.delivered(len(letters) - rejected, self._clock.epoch())
        self._settle(letters, Fate.DELIVERED, "")

    def withheld(self, letter: Letter) -> None:
        """Settle what the policy keeps back."""
        self._tally.withheld()
        self._settle([letter], Fate.WITHHELD, "")

    def refused(self, why: Drop, letters: Sequence[Letter], reason: str) -> None:
        """Settle what will not be taken as it is."""
        is_kept = all(letter.receipt is not None for letter in letters)
        self._settle(letters, Fate.DEAD, self._tally.dropped(why, len(letters), reason, kept=is_kept))

    def unsent(self, why: Drop, letters: Sequence[Letter], reason: str, *, tried: bool = False) -> None:
        """Settle what is lost, unless it is kept and can be sent later."""
        kept = [letter for letter in letters if letter.receipt is not None]
        if len(kept) < len(letters):
            self._tally.dropped(why, len(letters) - len(kept), reason)
        if kept:
            self._settle(kept, Fate.FAILED if tried else Fate.UNTRIED, self._tally.deferred(len(kept), reason))

    def removed(self, count: int) -> None:
        """Count what was kept, and is not any more."""
        reason = "they were removed from the ledger, by age or size, before they could be sent"
        self._tally.dropped(Drop.REMOVED, count, reason)

    def _settle(self, letters: Sequence[Letter], fate: Fate, reason: str) -> None:
        receipts = [letter.receipt for letter in letters if letter.receipt is not None]
        if receipts and self.on_settled is not None:
            with guard:
                self.on_settled(receipts, fate, reason)


def grouped(batch: Sequence[Letter]) -> Iterator[list[Letter]]:
    """Yield what of a batch is tried together, that which was never tried in vain first."""
    attempts = [0 if letter.receipt is None else letter.receipt.attempts for letter in batch]
    tried = list(zip(batch, attempts, strict=True))
    yield [letter for letter, count in tried if not count]
    yield [letter for letter, count in tried if 0 < count < _ALONE]
    for letter, count in tried:
        if count >= _ALONE:
            yield [letter]
