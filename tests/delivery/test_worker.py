"""One destination: batches, policy, retries, splitting, what is dropped, and what is said about it."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orobserve._guard import swallowed
from orobserve.delivery import Result, Verdict
from orobserve.delivery.destination import Destination
from orobserve.delivery.sender import Sender
from orobserve.delivery.state import State, Tally
from orobserve.generation import Content, Message, Text
from tests.delivery.clocks import EPOCH, VirtualClock
from tests.delivery.exporters import Names, Sizes, Tables, generation, names
from tests.delivery.servers import Answer, Ending, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orobserve.delivery import DirectExporter, HTTPExporter
    from orobserve.generation import Generation

SECRET = "sk-or-v1-0123456789abcdef"
RETRY = Result(verdict=Verdict.RETRY, reason="busy")


class Bench:
    """Makes destinations on one virtual clock, and stops them after the test."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.drops: list[tuple[str, str, int]] = []
        self._made: list[Destination] = []

    def make(
        self,
        exporter: HTTPExporter | DirectExporter,
        policy: Callable[[Generation], Generation | None] = lambda given: given,
        **settings: Any,
    ) -> Destination:
        sender = Sender(clock=self.clock, chance=lambda: 1.0)
        made = Destination("mine", exporter, policy, sender=sender, clock=self.clock, **settings)
        made.on_drop = lambda *drop: self.drops.append(drop)
        self._made.append(made)
        return made

    def flush(self, destination: Destination) -> State:
        assert destination.wait(destination.hurry(), self.clock.now() + 1.0)
        return destination.state

    def stop(self) -> None:
        for each in self._made:
            each.close(self.clock.now())
            self.clock.advance(1000.0)
            thread = each._worker._thread
            if thread is not None:
                thread.join(10.0)
                assert not thread.is_alive()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.stop()


def offer(destination: Destination, *given: str, said: str | None = None) -> None:
    for each in given:
        destination.offer(generation(each, said=said))


def test_nothing_runs_before_the_first_record(bench: Bench) -> None:
    before = threading.active_count()
    made = bench.make(Names("http://127.0.0.1:1"))
    assert threading.active_count() == before
    assert bench.flush(made) == State(name="mine", type="names", queued=0)


def test_a_batch_waits_for_others_from_its_first_record_on(bench: Bench) -> None:
    with Server() as server:
        made = bench.make(Names(server.url))
        offer(made, "a")
        bench.clock.until_waiting()
        offer(made, "b")
        bench.clock.advance(0.75)
        offer(made, "c")
        assert made.state.queued == 3
        assert server.requests == []
        bench.clock.advance(0.25)
        server.wait(1)
        assert bench.flush(made) == State(
            name="mine", type="names", queued=0, delivered=3, last_delivered_at=EPOCH + 10**9
        )
        offer(made, "d")
        bench.clock.until_waiting()
        assert [names(request) for request in server.requests] == [["a", "b", "c"]]
        bench.flush(made)
    assert [names(request) for request in server.requests] == [["a", "b", "c"], ["d"]]
    assert bench.drops == []


def test_a_full_batch_does_not_wait(bench: Bench) -> None:
    with Server() as server:
        made = bench.make(Sizes(server.url))
        offer(made, "a")
        bench.clock.until_waiting()
        offer(made, "b", "c", "d")
        assert names(server.wait(1)[0]) == ["a", "b", "c"]
        bench.flush(made)
        assert names(server.requests[1]) == ["d"]


def test_what_the_policy_keeps_back_takes_no_room_in_a_batch(bench: Bench) -> None:
    with Server() as server:
        made = bench.make(Sizes(server.url), lambda given: None if given.name == "no" else given)
        offer(made, "a")
        bench.clock.until_waiting()
        offer(made, "no", "no", "no", "b", "no")
        bench.clock.until_waiting()
        offer(made, "c")
        bench.flush(made)
        offer(made, "no")
        state = bench.flush(made)
    assert [name for request in server.requests for name in names(request)] == ["a", "b", "c"]
    assert (state.delivered, state.withheld, state.queued, state.dropped) == (3, 5, 0, {})


@pytest.mark.swallows
def test_a_policy_that_raises_drops_the_record(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def policy(given: Generation) -> Generation | None:
        if given.name == "x":
            raise ValueError(SECRET)
        return given

    with Server() as server:
        made = bench.make(Names(server.url), policy)
        offer(made, "a", "x", "b", "x")
        state = bench.flush(made)
    assert names(server.requests[0]) == ["a", "b"]
    assert (state.dropped, bench.drops) == ({"policy": 2}, [("mine", "policy", 1)] * 2)
    assert caplog.text.count("a filter, sampler or mask raised") == 1
    assert SECRET not in caplog.text


@pytest.mark.swallows
def test_one_bad_record_does_not_take_the_batch_with_it(bench: Bench) -> None:
    with Server() as server:
        made = bench.make(Names(server.url))
        offer(made, "a", "bad", "b")
        state = bench.flush(made)
    assert [names(request) for request in server.requests] == [["a"], ["b"]]
    assert (state.delivered, state.dropped) == (2, {"encode": 1})


def test_a_full_queue_drops_the_newest(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()
    with Server(Answer(after=gate), 200) as server:
        made = bench.make(Sizes(server.url), capacity=3)
        offer(made, "a", "b", "c")
        server.wait(1)
        offer(made, "d", "e", "f", "g", "h")
        assert made.state.queued == 6
        gate.set()
        state = bench.flush(made)
    assert [names(request) for request in server.requests] == [["a", "b", "c"], ["d", "e", "f"]]
    assert (state.delivered, state.dropped) == (6, {"queue_full": 2})
    assert caplog.messages == ["destination mine: generations are lost (queue_full): the queue is full"]


def test_what_is_queued_is_bounded_by_its_content_too(bench: Bench) -> None:
    gate = threading.Event()
    said = Content(input=(Message(role="user", parts=(Text(content="x" * 40),)),), system=(Text(content="y" * 10),))
    with Server(Answer(after=gate), 200) as server:
        made = bench.make(Names(server.url))
        made._worker.room = 100
        made._worker.size = 1
        made.offer(generation("first"))
        server.wait(1)
        for name in ("a", "b", "c"):
            made.offer(replace(generation(name), content=said))  # 50 characters each
        made.offer(generation("light"))
        gate.set()
        state = bench.flush(made)
        made.offer(replace(generation("d"), content=said))
        assert bench.flush(made).delivered == 5
    assert state.dropped == {"queue_full": 1}


@pytest.mark.parametrize("refusal", ["size", "status"])
def test_a_batch_that_is_too_large_is_sent_in_halves(bench: Bench, refusal: str) -> None:
    # 3 records of 150 characters are over the limit of 400 bytes, two are under it
    big = ["a" * 150, "b" * 150, "c" * 150]
    with Server(*([200] if refusal == "size" else [413, 200])) as server:
        made = bench.make(Sizes(server.url) if refusal == "size" else Names(server.url))
        offer(made, *big)
        state = bench.flush(made)
    tried = [[name[0] for name in names(request)] for request in server.requests]
    assert tried[-2:] == [["a"], ["b", "c"]]
    assert (state.delivered, state.dropped) == (3, {})


def test_a_record_that_is_too_large_loses_its_content_first(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with Server() as server:
        made = bench.make(Sizes(server.url))
        offer(made, "a", "n" * 500, said="x" * 1000)
        state = bench.flush(made)
    assert [names(request) for request in server.requests] == [["a"]]
    assert b'"content": null' in server.requests[0].body
    assert (state.delivered, state.dropped) == (1, {"too_large": 1})
    assert caplog.messages == [
        "destination mine: a generation is sent without its content: the payload has more than 400 bytes",
        "destination mine: generations are lost (too_large): the payload has more than 400 bytes",
    ]


def test_retries_back_off_until_they_succeed(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.clock.skips = True
    with Server(503, 503, 500, Answer(429, {"retry-after": "7"}), Answer(503, {"retry-after": "0"}), 200) as server:
        made = bench.make(Names(server.url), linger=0.0)
        offer(made, "a")
        server.wait(6)
        state = bench.flush(made)
    assert bench.clock.waits == [1.0, 2.0, 4.0, 7.0, 1.0]
    assert (state.delivered, state.retried, state.dropped) == (1, 5, {})
    assert (state.last_error, state.last_delivered_at) == ("HTTP 503", EPOCH + 15 * 10**9)
    assert len({request.connection for request in server.requests}) == 1
    assert caplog.messages == [
        f"destination mine: generations wait and are sent again: HTTP {status}" for status in (503, 500, 429)
    ]


def test_retries_end_at_one_deadline_for_the_whole_batch(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.clock.skips = True
    with Server(503, Answer(503, {"retry-after": "3600"}), 413, 503) as server:
        made = bench.make(Names(server.url), linger=0.0)
        with made._worker._wake:  # so that both are one batch
            offer(made, "a", "b")
        server.wait(4)
        state = bench.flush(made)
    assert bench.clock.waits == [1.0, 299.0]
    assert [names(request) for request in server.requests][2:] == [["a", "b"], ["a"], ["b"]]
    assert (state.delivered, state.dropped, state.last_error) == (0, {"expired": 2}, "HTTP 503")
    assert "destination mine: generations are lost (expired): HTTP 503" in caplog.messages


def test_the_queue_buffers_while_a_batch_is_retried(bench: Bench) -> None:
    with Server(503, 200) as server:
        made = bench.make(Names(server.url), linger=0.0)
        offer(made, "a")
        bench.clock.until_waiting()
        offer(made, "b", "c")
        assert (made.state.queued, made.state.last_error) == (3, "HTTP 503")
        bench.clock.advance(0.5)
        assert len(server.requests) == 1
        bench.clock.advance(0.5)
        server.wait(3)
    assert [names(request) for request in server.requests] == [["a"], ["a"], ["b", "c"]]


def test_a_flush_makes_one_attempt_at_once(bench: Bench) -> None:
    with Server(503, 503, 200) as server:
        made = bench.make(Names(server.url), linger=0.0)
        offer(made, "a")
        bench.clock.until_waiting()
        target = made.hurry()
        server.wait(2)
        bench.clock.impatient = True
        assert not made.wait(target, bench.clock.now() + 0.5)
        bench.clock.impatient = False
        assert bench.flush(made).delivered == 1
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [401, 302])
def test_a_rejected_batch_is_dropped(bench: Bench, status: int, caplog: pytest.LogCaptureFixture) -> None:
    location = f"https://me:{SECRET}@other.test/p?key={SECRET}"
    with Server(Answer(status, {"location": location}, SECRET.encode())) as server:
        made = bench.make(Names(f"{server.url}/?key={SECRET}", headers={"x-key": SECRET}))
        offer(made, "a", "b", said=SECRET)
        state = bench.flush(made)
        offer(made, "c")
        bench.flush(made)
    assert (state.dropped, bench.drops) == ({"rejected": 2}, [("mine", "rejected", 2), ("mine", "rejected", 1)])
    assert (state.last_delivered_at, len(caplog.messages)) == (None, 1)
    assert SECRET not in f"{state} {caplog.text}"
    assert f"HTTP {status}" in str(state.last_error)


def test_a_batch_that_is_taken_in_part(bench: Bench) -> None:
    part = Result(verdict=Verdict.DELIVERED, reason=f"bad span, key {SECRET}", rejected=1)
    made = bench.make(Tables(lambda _: part))
    offer(made, "a", "b", "c")
    state = bench.flush(made)
    assert (state.delivered, state.rejected, state.dropped) == (2, 1, {})
    assert bench.drops == [("mine", "rejected_in_part", 1)]
    assert state.last_error == "bad span, key [REDACTED]"


@pytest.mark.swallows
def test_a_client_of_its_own_that_raises_is_tried_again(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.clock.skips = True
    taken: list[list[str | None]] = []
    done = threading.Event()

    def take(batch: list[str | None]) -> None:
        taken.append(batch)
        if len(taken) < 4:
            raise ConnectionResetError(SECRET)
        done.set()

    made = bench.make(exporter := Tables(take), linger=0.0)
    offer(made, "a")
    assert done.wait(10.0)
    state = bench.flush(made)
    assert bench.clock.waits == [1.0, 2.0, 4.0]
    assert (state.delivered, state.retried) == (1, 3)
    assert state.last_error == "the destination's client raised ConnectionResetError"
    assert len(caplog.messages) == 2  # the guard's, and the destination's
    assert (list(swallowed.values()), SECRET in caplog.text) == ([3], False)
    bench.stop()
    bench.stop()
    assert exporter.closed == 1


@pytest.mark.swallows
def test_an_exporter_whose_answer_makes_no_sense(bench: Bench) -> None:
    made = bench.make(Tables(lambda _: "fine"))  # type: ignore[arg-type, return-value]
    offer(made, "a", "b")
    assert bench.flush(made).dropped == {"rejected": 2}


@pytest.mark.swallows
def test_who_listens_to_drops_may_fail(bench: Bench) -> None:
    with Server(400) as server:
        made = bench.make(Names(server.url))
        made.on_drop = lambda *_: 1 / 0  # type: ignore[assignment, return-value]
        offer(made, "a")
        assert bench.flush(made).dropped == {"rejected": 1}
        made.on_drop = None
        assert made.on_drop is None
        offer(made, "b")
        assert bench.flush(made).dropped == {"rejected": 2}


@pytest.mark.swallows
def test_an_error_of_close_hurts_nobody(bench: Bench) -> None:
    exporter = Tables(lambda _: None)
    exporter.close = lambda: 1 / 0  # type: ignore[assignment, method-assign, return-value]
    made = bench.make(exporter)
    offer(made, "a")
    made.close(bench.clock.now() + 2.0)
    assert made.join(bench.clock.now() + 2.0)


def test_closing_gives_back_what_was_never_used(bench: Bench) -> None:
    made = bench.make(exporter := Tables(lambda _: None))
    for _ in range(2):
        made.close(bench.clock.now())
        assert made.join(bench.clock.now())
    assert exporter.closed == 1


def test_after_closing_everything_is_dropped(bench: Bench) -> None:
    with Server() as server:
        made = bench.make(Names(server.url))
        offer(made, "a")
        made.close(bench.clock.now() + 2.0)
        assert made.join(bench.clock.now() + 2.0)
        offer(made, "b")
    assert [names(request) for request in server.requests] == [["a"]]
    assert (made.state.delivered, made.state.dropped) == (1, {"shutdown": 1})


def test_closing_retries_only_while_there_is_time(bench: Bench) -> None:
    with Server(503) as server:
        made = bench.make(Names(server.url), linger=0.0)
        offer(made, "a")
        bench.clock.until_waiting()
        offer(made, "b")
        bench.clock.skips = True
        made.close(bench.clock.now() + 1.5)  # a second wait would be of two seconds
        assert made.join(bench.clock.now() + 1.5)
        assert [names(request) for request in server.requests] == [["a"], ["a"], ["b"], ["b"]]
    assert made.state.dropped == {"shutdown": 2}


def test_what_a_black_hole_leaves_behind_is_dropped_at_the_deadline(bench: Bench) -> None:
    with Server(Answer(ending=Ending.BLACK_HOLE)) as server:
        made = bench.make(Sizes(server.url))
        offer(made, "a", "b", "c")
        server.wait(1)
        offer(made, "d", "e")
        bench.clock.impatient = True
        made.close(bench.clock.now() + 2.0)
        assert not made.join(bench.clock.now() + 2.0)
        assert (made.state.queued, made.state.dropped) == (3, {"shutdown": 2})
        assert not made.join(bench.clock.now() + 2.0)
        bench.clock.impatient = False
    bench.stop()
    assert (made.state.queued, made.state.dropped) == (0, {"shutdown": 5})


def test_the_rest_of_a_split_batch_is_dropped_at_the_deadline(bench: Bench) -> None:
    started, gate = threading.Event(), threading.Event()

    def take(batch: list[str | None]) -> Result:
        started.set()
        gate.wait(10.0)
        return Result(verdict=Verdict.TOO_LARGE, reason="too large")

    made = bench.make(Tables(take))
    offer(made, "a")
    bench.clock.until_waiting()
    offer(made, "b")
    made.close(bench.clock.now() + 2.0)
    assert started.wait(10.0)
    bench.clock.seconds += 2.0
    gate.set()
    bench.stop()
    assert made.state.dropped == {"shutdown": 2}


def test_no_thread_to_be_had(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with Server() as server:
        made = bench.make(Names(server.url))
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            offer(made, "a")
        offer(made, "b")
        bench.flush(made)
    assert names(server.requests[0]) == ["a", "b"]


def test_no_thread_to_be_had_at_the_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an interpreter that ends, in Python 3.12.1: whoever closes does the work, and does not wait for long."""

    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("orobserve"):
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    with Server() as server, Server(503) as failing:
        made, vain = bench.make(Names(server.url)), bench.make(Names(failing.url))
        monkeypatch.setattr(threading.Thread, "start", refuse)
        for each in (made, vain):
            offer(each, "a")
            each.close(bench.clock.now() + 2.0)
            assert each.join(bench.clock.now() + 2.0)
    assert (made.state.delivered, made.state.queued) == (1, 0)
    assert (vain.state.dropped, len(failing.requests)) == ({"shutdown": 1}, 1)


def test_the_log_does_not_grow_with_reasons_that_never_repeat(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally("mine", "names")
    with caplog.at_level(logging.WARNING):
        for number in range(200):
            tally.failed("generations wait", f"request {number} " + "x" * 1000)
    assert len(caplog.messages) == 50
    assert tally.state(0).last_error == f"request 199 {'x' * 288}"
