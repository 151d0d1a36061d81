"""All destinations together: none delays another, flush and close share a deadline, forks heal."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from orobserve.delivery.clock import Clock
from orobserve.delivery.destination import Destination
from orobserve.delivery.destination import _after_fork as after_fork
from orobserve.delivery.hub import Hub
from orobserve.delivery.sender import Sender
from tests.delivery.clocks import VirtualClock
from tests.delivery.exporters import Names, Tables, Updating, generation, names
from tests.delivery.servers import Answer, Ending, Server, free_port
from tests.scripts.programs import ROOT, run_program

if TYPE_CHECKING:
    from orobserve.delivery import DirectExporter, HTTPExporter


def destination(
    name: str, exporter: HTTPExporter | DirectExporter, clock: Clock | None = None, timeout: float = 10.0
) -> Destination:
    sender = Sender(timeout=timeout, clock=clock)
    return Destination(name, exporter, lambda given: given, sender=sender, clock=clock)


def join(*made: Destination) -> None:
    for each in made:
        thread = each._worker._thread
        if thread is not None:
            thread.join(10.0)
            assert not thread.is_alive()


def test_every_destination_gets_every_record_and_updates_go_to_those_who_can() -> None:
    with Server() as plain, Server() as updating:
        made = [destination("a", Names(plain.url)), destination("b", Updating(updating.url))]
        hub = Hub(made)
        hub.offer(generation("one"))
        hub.offer_update(generation("again"))
        assert hub.flush(10.0)
        assert hub.close(10.0)
        assert hub.close(10.0)
    assert names(plain.requests[0]) == ["one"]
    assert [name for request in updating.requests for name in names(request)] == ["one", "again"]
    assert [(state.name, state.delivered) for state in hub.states()] == [("a", 1), ("b", 2)]
    join(*made)


def test_a_hub_without_destinations() -> None:
    hub = Hub([])
    hub.offer(generation())
    hub.offer_update(generation())
    assert hub.flush(0.0)
    assert hub.close(0.0)
    assert hub.states() == []


def test_black_holes_cost_one_deadline_together_and_delay_nobody() -> None:
    with Server(Answer(ending=Ending.BLACK_HOLE)) as hole, Server() as good:
        made = [
            destination("hole 1", Names(hole.url)),
            destination("hole 2", Names(hole.url)),
            destination("refused", Names(free_port())),
            destination("good", Names(good.url)),
        ]
        hub = Hub(made)
        hub.offer(generation())
        started = time.monotonic()
        assert not hub.flush(0.2)
        assert good.wait(1)
        assert not hub.close(0.2)
        assert 0.4 <= time.monotonic() - started < 2.0
        assert [state.delivered for state in hub.states()] == [0, 0, 0, 1]
    join(*made)
    assert [state.dropped for state in hub.states()] == [{"shutdown": 1}] * 3 + [{}]


def test_a_flush_does_not_wait_for_what_is_offered_after_it() -> None:
    clock = VirtualClock()
    with Server() as server:
        made = destination("a", Names(server.url), clock)
        hub = Hub([made], clock=clock)
        hub.offer(generation("one"))
        assert hub.flush(1.0)
        hub.offer(generation("two"))
        clock.until_waiting()
        assert made.wait(1, clock.now())
        assert made.state.queued == 1
        hub.close(1.0)
    join(made)


@pytest.mark.swallows
def test_one_that_cannot_start_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse_one(thread: threading.Thread) -> None:
        if thread.name == "orobserve-a":
            raise RuntimeError("can't start new thread")
        start(thread)

    with Server() as server:
        made = [destination("a", Updating(server.url)), destination("b", Updating(server.url))]
        hub = Hub(made)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse_one)
            hub.offer(generation("one"))
            hub.offer_update(generation("two"))
            assert made[1].wait(made[1].hurry(), time.monotonic() + 10.0)
        assert [state.delivered for state in hub.states()] == [0, 2]
        hub.offer(generation("three"))
        assert hub.close(10.0)
    assert [state.delivered for state in hub.states()] == [3, 3]
    join(*made)


def test_drops_are_told() -> None:
    told: list[tuple[str, str, int]] = []
    with Server(400) as server:
        made = [destination("a", Names(server.url)), destination("b", Names(server.url))]
        hub = Hub(made, on_drop=lambda *drop: told.append(drop))
        hub.offer(generation())
        hub.close(10.0)
    join(*made)
    assert sorted(told) == [("a", "rejected", 1), ("b", "rejected", 1)]


def test_the_machines_own_clock() -> None:
    clock, condition = Clock(), threading.Condition()
    with condition:
        clock.wait(condition, 0.001)
    assert abs(clock.now() - time.monotonic()) < 5.0
    assert abs(clock.epoch() - time.time_ns()) < 5 * 10**9


def test_a_forked_child_forgets_what_is_the_parents() -> None:
    """What `register_at_fork` calls, in this process: the next test forks for real."""
    with Server(400) as server:
        closed, inherited = destination("a", Names(server.url)), destination("b", exporter := Tables(lambda _: None))
        closed.offer(generation())
        assert Hub([closed]).close(10.0)
        join(closed)
        assert closed.state.dropped == {"rejected": 1}
        after_fork()
        assert closed.state.dropped == {}
        closed.offer(generation())
        assert closed.state.dropped == {"shutdown": 1}
    assert Hub([inherited]).close(0.0)
    assert exporter.closed == 0


FORK = """
import os, sys, warnings
sys.path[:0] = [sys.argv[2]]
from orobserve.delivery.destination import Destination
from orobserve.delivery.hub import Hub
from tests.delivery.exporters import Names, generation

warnings.simplefilter("ignore", DeprecationWarning)  # a fork of a process with threads is what this is about
destination = Destination("a", Names(sys.argv[1]), lambda given: given, linger=3600.0)
hub = Hub([destination])
hub.offer(generation("before"))
assert hub.flush(20.0)
hub.offer(generation("queued"))
child = os.fork()
if not child:
    assert hub.states()[0].queued == hub.states()[0].delivered == 0
    assert hub.flush(0.0)
hub.offer(generation("child" if not child else "parent"))
assert hub.close(20.0)
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_sends_each_record_once() -> None:
    with Server() as server:
        done = run_program(FORK, server.url, str(ROOT))
    delivered = [(request.connection, names(request)) for request in server.requests]
    assert sorted(name for _, each in delivered for name in each) == ["before", "child", "parent", "queued"]
    ports = {name: port for port, each in delivered for name in each}
    assert ports["child"] not in {ports["before"], ports["parent"]}
    assert (done.stdout, done.stderr) == ("", "")


def test_a_sender_waits_for_a_slow_destination_and_not_for_a_dead_one() -> None:
    clock, rest = VirtualClock(), threading.Event()
    with Server(Answer(after=rest)) as slow:
        busy = Destination("busy", Names(slow.url), lambda given: given, clock=clock, capacity=2, linger=0.0)
        dead = Destination("dead", Names(free_port()), lambda given: given, clock=clock, capacity=2, linger=0.0)
        for destination in (busy, dead):
            destination.offer(generation())
        slow.wait(1)
        clock.until_waiting()  # for the dead one's second attempt
        for destination in (busy, dead):
            for _ in range(2):
                destination.offer(generation())
        assert not Hub([busy], clock=clock).has_room(generation())
        assert Hub([dead], clock=clock).has_room(generation())
        rest.set()
        for destination in (busy, dead):
            destination.close(clock.now())
            destination.join(clock.now())
