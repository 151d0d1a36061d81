"""Whatever processes do and suffer, each call is with the destination, due, or dead; and never in hand of two."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from orobserve.delivery.letters import Fate, Receipt
from orobserve.generation import Cost
from orobserve.ledger import codec, database, outbox
from orobserve.ledger.outbox import LEASE
from orobserve.ledger.store import Keep, Store
from orobserve.ledger.transactions import transaction
from tests.ledger.records import call, late

if TYPE_CHECKING:
    import sqlite3

SECOND = 10**9


class Owner:
    """A process as its store sees it: one destination that updates or not, and what it has in hand."""

    def __init__(self, number: int) -> None:
        self.number, self.updates = number, False

    def begin(self, connection: sqlite3.Connection, now: int) -> None:
        outbox.live(connection, self.number, now)
        self.place = outbox.address(connection, "d", "")

    def post(
        self, connection: sqlite3.Connection, key: str, version: int, *, is_known: bool, is_late: bool, now: int
    ) -> list[tuple[str, Receipt]]:
        if is_known and outbox.is_posted(connection, key, self.place):
            if self.updates:
                outbox.renew(connection, key, version, self.place, now)
            return []
        if is_late and not self.updates:
            return []
        return [(key, outbox.post(connection, key, version, self.place, self.number, now))]


class Outboxes(RuleBasedStateMachine):
    receipts = Bundle("receipts")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.db"
        self.now = 1_000 * SECOND
        self.owners: list[Owner] = []
        self.heard: dict[Owner, int] = {}  # when each last said that it lives
        self.holders: dict[str, Owner] = {}  # who has a call in hand, and lives
        self.newest: dict[str, int] = {}  # the version of each call that was offered last
        self.done: set[tuple[str, int]] = set()  # what was accepted or withheld
        self.updates = False

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(updates=st.booleans())
    def choose(self, updates: bool) -> None:
        if not self.newest:
            self.updates = updates

    def owner(self, number: int) -> Owner:
        while len(self.owners) <= number:
            self.owners.append(Owner(len(self.owners) + 1))
        found = self.owners[number]
        found.updates = self.updates
        self.heard[found] = self.now
        dead = {owner for owner, at in self.heard.items() if self.now - at > LEASE * SECOND}
        self.holders = {key: owner for key, owner in self.holders.items() if owner not in dead}
        return found

    def hold(self, owner: Owner, key: str) -> None:
        assert key not in self.holders, "it is in hand already"
        self.holders[key] = owner

    @rule(target=receipts, number=st.integers(0, 2), which=st.integers(0, 2), is_late=st.booleans())
    def write(self, number: int, which: int, is_late: bool) -> tuple[Owner, str, Receipt] | None:
        owner = self.owner(number)
        record = call(which, cost=None)
        if is_late:
            record = late(call(which, cost=Cost(charged=1.0, total=1.0, source="generation")))
        store = Store(self.path, Keep(), owner)  # type: ignore[arg-type]  # what it needs of a dispatch
        posted = store.write([(record, codec.encode(record))], self.now)
        if not is_late or self.updates:
            with database.reading(self.path) as connection:
                self.newest.update(
                    connection.execute("SELECT key, id FROM calls WHERE key = ?", (record.id,)).fetchall()
                )
        for key, receipt in posted[0]:
            self.hold(owner, str(key))
            return owner, str(key), receipt
        return None

    @rule(target=receipts, number=st.integers(0, 2))
    def claim(self, number: int) -> tuple[Owner, str, Receipt] | None:
        owner = self.owner(number)
        with database.writing(self.path) as connection, transaction(connection):
            owner.begin(connection, self.now)
            for claimed in outbox.claim(connection, owner.place, owner.number, 1, self.now):
                key = codec.decode(claimed.record).id or ""
                self.hold(owner, key)
                return owner, key, claimed.receipt
        return None

    @rule(taken=consumes(receipts), fate=st.sampled_from(Fate))
    def settle(self, taken: tuple[Owner, str, Receipt] | None, fate: Fate) -> None:
        if taken is None:
            return
        owner, key, receipt = taken
        if fate in {Fate.DELIVERED, Fate.WITHHELD}:
            self.done.add((key, receipt.version))
        if self.holders.get(key) is owner:
            del self.holders[key]
        with database.writing(self.path) as connection, transaction(connection):
            outbox.settle(connection, owner.place, [([receipt], fate, "why")], self.now)

    @rule(_lost=consumes(receipts))
    def die_or_forget(self, _lost: object) -> None:
        """What becomes of a row is never noted: its owner was killed."""

    @rule(seconds=st.sampled_from([40, LEASE + 1]))
    def pass_time(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)

    @invariant()
    def nothing_is_lost(self) -> None:
        if not self.path.exists():
            return
        with database.reading(self.path) as connection:
            kept = {key for (key,) in connection.execute("SELECT key FROM outbox")}
        done = self.done if self.updates else {(key, self.newest.get(key, 0)) for key, _ in self.done}
        for key, version in self.newest.items():
            assert key in kept or (key, version) in done

    @invariant()
    def every_row_has_a_call_and_no_owner_that_is_gone(self) -> None:
        if not self.path.exists():
            return
        with database.reading(self.path) as connection:
            for wrong in (
                "FROM outbox WHERE owner IS NOT NULL AND owner NOT IN (SELECT id FROM owners)",
                "FROM outbox WHERE dead AND owner IS NOT NULL",
                "FROM outbox WHERE key NOT IN (SELECT key FROM calls)",
            ):
                assert connection.execute(f"SELECT count(*) {wrong}").fetchone() == (0,), wrong


TestOutboxes = Outboxes.TestCase
TestOutboxes.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
