"""What is done off the caller's thread: in order, soon, all of it at a flush, and none of it twice."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import httpx
import pytest

import orobserve
from orobserve import _runtime
from orobserve.telemetry import handouts
from orobserve.telemetry.handouts import Handouts
from orobserve.wire.exchange import Exchange

if TYPE_CHECKING:
    from orobserve.testing import Simulator


def test_in_order_on_another_thread() -> None:
    made, done, end = Handouts(), [], threading.Event()
    for number in range(100):
        made.put(lambda number=number: done.append((number, threading.current_thread())))  # type: ignore[misc]
    made.put(end.set)
    assert end.wait(10)
    assert [number for number, _ in done] == list(range(100))
    assert {thread.name for _, thread in done} == {"orobserve-handouts"}


def test_drained_by_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handouts, "_LINGER", 3600)
    made, done = Handouts(), []
    made.put(lambda: done.append(threading.current_thread()))
    assert done == []
    assert made.drain(1)
    assert done == [threading.current_thread()]


def test_too_much_is_done_at_once_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handouts, "_LINGER", 3600)
    monkeypatch.setattr(handouts, "_MOST", 5)
    made, done = Handouts(), []
    for number in range(8):
        made.put(lambda number=number: done.append(number))  # type: ignore[misc]
    assert done == [0, 1, 2, 3, 4, 5]
    assert made.drain(1)
    assert done == list(range(8))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_forked_child_has_none_of_its_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handouts, "_LINGER", 3600)
    made, done = Handouts(), []
    made.put(lambda: done.append(1))
    child = os.fork()
    if not child:
        made.drain(1)
        os._exit(len(done))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert made.drain(1)
    assert done == [1]


def test_what_was_said_is_not_read_on_the_callers_thread(
    sim: Simulator, tmp_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, read = [], Exchange.content
    monkeypatch.setattr(Exchange, "content", lambda self: (seen.append(threading.current_thread()), read(self))[1])
    monkeypatch.setattr(handouts, "_LINGER", 3600)
    orobserve.instrument(hosts=[sim.root], console=False, ledger=f"{tmp_path}/ledger.db")
    question = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
    httpx.post(f"{sim.url}/chat/completions", json=question, headers={"Authorization": "Bearer sk-or-v1-test"})
    assert seen == []
    assert orobserve.flush(10)
    assert len(seen) == 1
    assert _runtime._state["receivers"].ledger.state.delivered == 1
