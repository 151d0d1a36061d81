"""What is kept for destinations: until they have accepted it, whoever sends it, and what becomes of the rest."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import Result, Verdict
from orobserve.generation import Content, Cost, Message, Text
from orobserve.ledger import database, outbox
from orobserve.ledger.outbox import DeliveryState, delivery_states
from orobserve.ledger.query import Reader
from orobserve.ledger.store import Keep
from orobserve.ledger.writer import Ledger
from tests.delivery.clocks import VirtualClock
from tests.ledger.offices import DOWN, REFUSED, Office, Product, numbered
from tests.ledger.records import call, late

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from orobserve.generation import Generation

DELIVERED = Result(verdict=Verdict.DELIVERED)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def office(tmp_path: Path, clock: VirtualClock) -> Iterator[Callable[..., Office]]:
    made: list[Office] = []

    def make(keep: Keep = Keep(), **given: Any) -> Office:  # noqa: B008 - it is frozen
        made.append(Office(tmp_path / "ledger.db", clock, keep, **given))
        return made[-1]

    yield make
    for each in made:
        each.close()


def rows(path: Path) -> list[tuple[str, str]]:
    """Return the destination and the call of every row."""
    with closing(sqlite3.connect(path)) as connection:
        asked = "SELECT name, key FROM outbox JOIN destinations ON destination = destinations.id ORDER BY outbox.id"
        return connection.execute(asked).fetchall()


def test_a_call_is_written_before_it_is_sent_and_its_row_goes_when_it_is_accepted(office: Any) -> None:
    a, b, seen = Product(), Product(), []

    def look(batch: Sequence[Generation]) -> Result:
        with Reader(made.path) as reader:
            seen.extend(reader.call(each.id or "") for each in batch)
        return DELIVERED

    a.answer = look
    made = office(a=a, b=b)
    made.offer(1, 2, 3)
    made.flush()
    assert [each.id for each in seen] == a.taken == b.taken == numbered([1, 2, 3])
    assert rows(made.path) == []
    assert made.state().delivered == 3
    assert made.state().last_delivered_at == made.clock.epoch()
    assert made.hub.states()[0].delivered == 3


def test_only_what_is_due_or_dead_has_a_row(office: Any) -> None:
    a, b = Product(), Product()
    a.answer = lambda batch: REFUSED if batch[0].id == "gen-2" else DELIVERED
    a.LIMITS = type(a.LIMITS)(items=1)
    b.answer = DOWN
    made = office(a=a, b=b)
    made.offer(1, 2)
    assert made.ledger.flush(30)
    made.until(lambda: made.state("a").dead == 1)
    assert rows(made.path) == [("b", "gen-1"), ("a", "gen-2"), ("b", "gen-2")]
    assert made.state("a") == DeliveryState(
        destination="a",
        due=0,
        dead=1,
        oldest_due_at=None,
        last_reason="HTTP 400",
        last_delivered_at=made.state("a").last_delivered_at,
        delivered=1,
    )
    assert (made.state("b").due, made.state("b").oldest_due_at) == (2, call(1).timing.started_at)
    assert made.lost == [("a", "rejected", 1)]


def test_who_was_down_gets_everything_without_a_new_call(office: Any) -> None:
    """Beyond the patience with one batch, nothing is dropped: it comes back by itself."""
    a = Product()
    a.answer = DOWN
    made = office(a=a)
    made.offer(*range(25))
    made.pass_time(3600)
    state = made.hub.states()[0]
    assert (state.dropped, made.lost, made.state().due) == ({}, [], 25)
    assert state.deferred > 25
    assert made.state().last_reason == "it is down"
    assert len(a.tried) < 400
    a.answer = DELIVERED
    made.pass_time(400)
    a.until_taken(25)
    made.flush()
    assert sorted(a.taken) == sorted(numbered(range(25)))
    assert rows(made.path) == []


def test_one_that_is_never_taken_does_not_keep_the_others(office: Any) -> None:
    a = Product()
    a.answer = lambda batch: DOWN if any(each.id == "gen-3" for each in batch) else DELIVERED
    made = office(a=a)
    made.offer(*range(8))
    made.pass_time(1800)
    assert sorted(a.taken) == numbered([0, 1, 2, 4, 5, 6, 7])
    made.offer(100)
    made.pass_time(400)
    assert "gen-100" in a.taken
    assert rows(made.path) == [("a", "gen-3")]


def test_a_full_queue_puts_off_and_memory_stays_bounded(office: Any) -> None:
    a, go = Product(), threading.Event()

    def wait(batch: Sequence[Generation]) -> Result:
        assert go.wait(60)
        return DELIVERED

    a.answer = wait
    made = office(a=a)
    destination = made.hub.destinations[0]
    destination._worker.capacity = 15
    made.offer(*range(60))
    assert made.ledger.flush(30)
    assert destination.queued <= 25  # of which ten are being sent
    assert (destination.state.dropped, made.state().due) == ({}, 60)
    go.set()
    a.until_tried(1)
    made.pass_time(30)
    a.until_taken(60)
    made.flush()
    assert sorted(a.taken) == sorted(numbered(range(60)))


def test_what_was_left_is_not_taken_up_where_large_ones_have_no_room(office: Any) -> None:
    """It would be refused, freed and taken up again, over and over."""
    a, go = Product(), threading.Event()

    def wait(batch: Sequence[Generation]) -> Result:
        assert go.wait(120)  # a busy machine takes long to write what follows
        return DELIVERED

    a.answer = wait
    made = office(a=a)
    (destination,) = made.hub.destinations
    destination._worker.room = 20_000_000
    said = Content(input=(Message(role="user", parts=(Text(content="x" * 5_000_000),)),))
    made.offer(*range(12), content=said)
    assert made.ledger.flush(30)
    assert (destination.spare, destination.state.dropped, made.state().due) == (0, {}, 12)
    go.set()
    made.pass_time(60)
    a.until_taken(12)


def test_a_backlog_and_new_calls_do_not_starve_each_other(office: Any) -> None:
    a, b = Product(), Product()
    a.answer = DOWN
    before = office(a=a)
    before.offer(*range(300))
    assert before.ledger.flush(30)
    before.kill()
    made = office(a=b)
    made.clock.advance(outbox.LEASE + 1)
    for number in range(1000, 1400):
        made.offer(number)
    assert made.ledger.flush(30)
    made.until(lambda: len(b.taken) == 700)
    order = [int((each or "gen-0")[4:]) for each in b.taken]
    assert sorted(order) == [*range(300), *range(1000, 1400)]
    first_old, last_old = order.index(0), order.index(299)
    assert first_old < order.index(1399)
    assert order.index(1000) < last_old


def test_two_processes_have_never_the_same_row_in_hand(office: Any) -> None:
    """Both take up what a third has left, while all three live or have died."""
    third, a, b = Product(), Product(), Product()
    third.answer = a.answer = b.answer = DOWN
    left = office(a=third)
    left.offer(*range(40))
    assert left.ledger.flush(30)
    one, two = office(a=a), office(a=b)
    one.ledger.start()
    two.ledger.start()
    left.pass_time(outbox.LEASE * 2)
    assert a.tried == b.tried == []  # whose owner lives
    left.kill()
    a.answer = b.answer = DELIVERED
    left.pass_time(outbox.LEASE * 2)
    one.flush()
    two.flush()
    assert sorted([*a.taken, *b.taken]) == sorted(numbered(range(40)))
    assert rows(left.path) == []


def test_what_was_sent_and_not_noted_is_sent_again_with_the_same_ids(office: Any) -> None:
    a, b = Product(), Product()
    killed = office(a=a)
    a.answer = lambda _: killed.kill() or DELIVERED
    killed.offer(1)
    a.until_taken(1)
    made = office(a=b)
    made.ledger.start()
    made.pass_time(outbox.LEASE * 2)
    b.until_taken(1)
    (first,), (again,) = a.records, b.records
    assert (first.id, first.trace_id, first.span_id) == (again.id, again.trace_id, again.span_id)


def test_who_wakes_up_late_takes_nothing_from_who_has_it_now(office: Any) -> None:
    """Its word on rows that are another's by now counts for nothing."""
    a, b = Product(), Product()
    a.answer = DOWN
    sleeper = office(a=a, patience=400.0)
    sleeper.offer(1)
    assert sleeper.ledger.flush(30)
    chore, sleeper.ledger._worker.chore = sleeper.ledger._worker.chore, None
    b.answer = REFUSED
    made = office(a=b)
    made.ledger.start()
    made.pass_time(outbox.LEASE * 2)
    b.until_tried(1)
    made.flush()
    a.answer = DELIVERED
    sleeper.ledger._worker.chore = chore
    sleeper.until(lambda: a.taken == numbered([1]))
    sleeper.flush()
    assert (made.state().due, made.state().dead) == (0, 1)


class Late:
    """A call without its cost, and what is learnt of it later."""

    first = call(1, cost=None)
    second = late(call(1, cost=Cost(charged=2.0, total=2.0, source="generation")))


@pytest.mark.parametrize("updates", [True, False])
def test_a_late_record_after_the_first_was_sent(office: Any, updates: bool) -> None:
    a = Product(updates=updates)
    made = office(a=a)
    made.receivers.offer(Late.first)
    made.flush()
    made.receivers.offer(Late.second)
    made.flush()
    costs = [each.cost and each.cost.total for each in a.records]
    assert costs == ([None, 2.0] if updates else [None])
    assert rows(made.path) == []


@pytest.mark.parametrize("updates", [True, False])
def test_a_late_record_before_the_first_could_be_sent(office: Any, updates: bool) -> None:
    """The call is sent once, as it is known then."""
    a = Product(updates=updates)
    a.answer = DOWN
    made = office(a=a, patience=0.0)
    made.receivers.offer(Late.first)
    made.flush()
    made.receivers.offer(Late.second)
    made.flush()
    a.answer = DELIVERED
    made.pass_time(400)
    a.until_taken(1)
    made.flush()
    assert [each.cost and each.cost.total for each in a.records] == [2.0]
    assert rows(made.path) == []


def test_a_late_record_while_the_first_is_being_sent(office: Any) -> None:
    """The second waits for the first, so that it is not overtaken."""
    a, go = Product(updates=True), threading.Event()
    a.answer = lambda _: DELIVERED if go.wait(60) else DOWN
    made = office(a=a)
    made.receivers.offer(Late.first)
    assert made.ledger.flush(30)
    made.receivers.offer(Late.second)
    assert made.ledger.flush(30)
    go.set()
    made.until(lambda: len(a.taken) == 2)
    made.flush()
    assert [each.cost and each.cost.total for each in a.records] == [None, 2.0]
    assert rows(made.path) == []


def test_a_flush_sends_what_completes_a_record_that_came_with_it(office: Any) -> None:
    """Both are in one transaction: the later one waits for the first, and the flush for both."""
    a = Product(updates=True)
    made = office(a=a)
    made.receivers.offer(Late.first)
    made.receivers.offer(Late.second)
    made.flush()
    assert [each.cost and each.cost.total for each in a.records][-1] == 2.0
    assert rows(made.path) == []


def test_a_late_record_that_knows_the_generation_id(office: Any) -> None:
    """The call is known by another key from then on; its row follows."""
    a = Product()
    a.answer = DOWN
    made = office(a=a, patience=0.0)
    made.receivers.offer(call(1, id=None, response_id=None))
    made.flush()
    made.receivers.offer(Late.second)
    made.flush()
    assert rows(made.path) == [("a", "gen-1")]
    a.answer = DELIVERED
    made.pass_time(400)
    a.until_taken(1)
    assert a.taken == ["gen-1"]


def test_two_records_that_turn_out_to_be_one_call_leave_one_row(office: Any) -> None:
    a = Product()
    a.answer = DOWN
    made = office(a=a, patience=0.0)
    own = call(1, id=None, response_id=None)
    other = call(1, span_id="e" * 16, timing=call(2).timing)
    made.receivers.offer(own)
    made.receivers.offer(other)
    made.flush()
    assert len(rows(made.path)) == 2
    made.receivers.offer(late(call(1)))
    made.flush()
    assert rows(made.path) == [("a", "gen-1")]


def test_what_was_put_off_while_the_clock_was_wrong_is_sent_now(office: Any) -> None:
    a = Product()
    a.answer = DOWN
    made = office(a=a, patience=0.0)
    made.offer(1)
    made.flush()
    with closing(sqlite3.connect(made.path, isolation_level=None)) as connection:
        connection.execute("UPDATE outbox SET due_at = due_at + ?", (10 * 365 * 86_400 * 10**9,))
    a.answer = DELIVERED
    made.pass_time(400)
    a.until_taken(1)


def test_what_is_removed_from_the_ledger_before_it_was_sent_is_lost_and_counted(
    office: Any, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = Product(), Product()
    a.answer, b.answer = DOWN, REFUSED
    made = office(Keep(days=1), a=a, b=b)
    at = made.clock.epoch()
    timing = call(1).timing
    made.offer(1, 2, timing=type(timing)(started_at=at, ended_at=at))
    made.pass_time(700)
    made.clock.advance(86_400)
    made.offer(3, timing=type(timing)(started_at=made.clock.epoch(), ended_at=made.clock.epoch()))
    assert made.ledger.flush(30)
    assert [told for told in made.lost if told[1] != "rejected"] == [("a", "removed", 2)]
    assert rows(made.path) == [("a", "gen-3"), ("b", "gen-3")]
    assert caplog.text.count("removed from the ledger, by age or size") == 1


def test_the_destinations_get_what_cannot_be_written(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    a = Product()
    made = office(a=a)
    made.offer(1)
    made.flush()

    @database.contextmanager
    def full(_path: Path) -> Iterator[sqlite3.Connection]:
        raise sqlite3.OperationalError("database or disk is full")
        yield

    with monkeypatch.context() as broken:
        broken.setattr(database, "writing", full)
        broken.setattr("orobserve._guard._note", lambda *_: None)
        made.offer(2)
        made.receivers.flush(5)
        a.until_taken(2)
    made.offer(3)
    made.flush()
    assert a.taken == numbered([1, 2, 3])
    assert made.ledger.state.dropped == {"rejected": 1}


def test_a_full_ledger_queue_costs_the_destinations_nothing(office: Any) -> None:
    a = Product()
    made = office(a=a)
    made.ledger._worker.capacity = 0
    made.offer(1)
    made.flush()
    assert a.taken == numbered([1])


def test_what_a_destination_gets_now_is_whole_and_later_is_what_the_ledger_has(
    tmp_path: Path, clock: VirtualClock
) -> None:
    said = Content(output=(Message(role="assistant", parts=(Text(content="secret"),)),))
    a = Product()
    made = Office(tmp_path / "l.db", clock, a=a)
    made.ledger._content = False
    made.offer(1, content=said)
    made.flush()
    a.answer = DOWN
    made.offer(2, content=said)
    made.pass_time(400)
    a.answer = DELIVERED
    made.pass_time(400)
    a.until_taken(2)
    made.close()
    assert [each.content for each in a.records] == [said, None]


def test_a_closed_process_leaves_what_it_could_not_send_to_the_next_at_once(office: Any, clock: VirtualClock) -> None:
    a, b = Product(), Product()
    a.answer = DOWN
    made = office(a=a)
    made.offer(*range(12))
    assert made.ledger.flush(30)
    a.until_tried(1)
    made.close()
    clock.impatient = False
    assert made.hub.states()[0].dropped == {}
    assert made.state().due == 12
    following = office(a=b)
    following.ledger.start()
    b.until_taken(12)
    following.flush()
    assert rows(made.path) == []


def test_who_is_about_to_end_takes_up_nothing(office: Any) -> None:
    a, b = Product(), Product()
    a.answer = DOWN
    left = office(a=a)
    left.offer(*range(5))
    assert left.ledger.flush(30)
    left.close()
    left.clock.impatient = False
    made = office(a=b)
    made.offer(9)
    made.receivers.close(5.0)
    assert b.taken == numbered([9])
    assert made.state().due == 5


def test_other_settings_of_the_same_name_are_another_place(office: Any) -> None:
    a, b = Product(), Product()
    a.answer = DOWN
    made = office(a=a)
    made.offer(1)
    assert made.ledger.flush(30)
    made.kill()
    other = office(a=b)
    other.hub.destinations[0].place = "elsewhere"
    other.offer(2)
    other.pass_time(outbox.LEASE * 3)
    other.flush()
    assert b.taken == numbered([2])
    assert [(each.destination, each.due, each.delivered) for each in delivery_states(made.path)] == [("a", 1, 1)]


def test_a_damaged_file_takes_nothing_from_those_in_hand(office: Any) -> None:
    a, go = Product(), threading.Event()
    a.answer = lambda _: DELIVERED if go.wait(60) else DOWN
    made = office(a=a)
    made.offer(1)
    assert made.ledger.flush(30)
    made.path.write_bytes(b"nonsense" * 1000)
    for suffix in ("-wal", "-shm"):
        made.path.with_name(made.path.name + suffix).unlink(missing_ok=True)
    made.offer(2)
    assert made.ledger.flush(30)
    go.set()
    made.flush()
    assert a.taken == numbered([1, 2])
    assert rows(made.path) == []


def test_without_destinations_there_are_no_rows_and_no_chore(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.db", Keep())
    ledger.start()
    assert not ledger._worker.started
    ledger.offer(call(1))
    assert ledger.flush(10)
    ledger.close(5)
    assert delivery_states(tmp_path / "l.db") == []
