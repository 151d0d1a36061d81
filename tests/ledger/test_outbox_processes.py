"""Whole processes that are killed, with a product that is down and comes back: everything arrives."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.ledger.outbox import LEASE, delivery_states
from tests.delivery.servers import Answer, Server, free_port
from tests.ledger import outbox_program
from tests.ledger.records import call
from tests.scripts.programs import CALL as SAME_CALL
from tests.scripts.programs import program_env, run_program
from tests.support.intake import Intake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.delivery.servers import Received
    from tests.support.intake import Taken

HOUR = 3600.0
unix = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


class Process:
    """A process with a ledger and a webhook, whose clock is so many seconds ahead of the first one's."""

    def __init__(self, path: Path, url: str, ahead: float = 0.0) -> None:
        command = [sys.executable, "-W", "error", outbox_program.__file__, str(path), url, str(ahead)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, text=True, env=program_env({}), **pipes)  # type: ignore[call-overload]
        assert self._process.stdout.readline() == "ready\n"

    def do(self, *command: object, answers: bool = True) -> None:
        self._process.stdin.write(" ".join(map(str, command)) + "\n")
        self._process.stdin.flush()
        if answers:
            assert self._process.stdout.readline().split()[0] == command[0]

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    made: list[Process] = []

    def make(url: str, ahead: float = 0.0) -> Process:
        made.append(Process(tmp_path / "ledger.db", url, ahead))
        return made[-1]

    yield make
    for each in made:
        each.kill()


def spans(requests: list[Received] | list[Taken]) -> Counter[tuple[str, str]]:
    """Return the trace's and span's ids that came in, and how often: what the product knows a call by."""
    bodies = [json.loads(each.body) for each in requests]
    scopes = [scope for body in bodies for each in body["resourceSpans"] for scope in each["scopeSpans"]]
    found = [span for scope in scopes for span in scope["spans"]]
    calls = [span for span in found if any(each["key"] == "gen_ai.request.model" for each in span["attributes"])]
    return Counter((span["traceId"], span["spanId"]) for span in calls)  # without the spans that name their traces


def of(numbers: range) -> Counter[tuple[str | None, str | None]]:
    return Counter((made.trace_id, made.span_id) for made in map(call, numbers))


def test_down_for_an_hour_and_killed_twice(process: Any, tmp_path: Path) -> None:
    """Everything is delivered when the destination is back, and nothing twice."""
    down = free_port()
    first = process(down)
    first.do("call", 0, 150)
    first.do("pass", HOUR / 3)
    first.kill()
    second = process(down, HOUR / 3)
    second.do("call", 150, 250)
    second.do("pass", HOUR / 3)
    second.do("pass", HOUR / 3, answers=False)
    second.kill()  # in the midst of it
    assert delivery_states(tmp_path / "ledger.db")[0].due == 250
    with Intake() as product:
        third = process(product.url, HOUR)
        third.do("pass", LEASE + 300)
        third.do("flush")
        third.do("close")
    assert spans(product.taken) == of(range(250))
    (state,) = delivery_states(tmp_path / "ledger.db")
    assert (state.due, state.dead, state.delivered) == (0, 0, 250)


def test_killed_between_the_answer_and_its_note(process: Any, tmp_path: Path) -> None:
    """It is sent again, with the ids by which the product tells that it has it."""
    hold = threading.Event()
    with Server(Answer(after=hold), 200) as product:
        killed = process(product.url)
        killed.do("call", 0, 3)
        killed.do("pass", 2, answers=False)
        (request,) = product.wait(1)
        killed.kill()
        hold.set()
        assert delivery_states(tmp_path / "ledger.db")[0].due == 3
        following = process(product.url, LEASE + 60)
        following.do("pass", LEASE)
        following.do("flush")
        again = product.wait(2)[1:]
    assert spans([request]) == spans(again) == of(range(3))


def test_two_live_processes_send_each_row_once(process: Any, tmp_path: Path) -> None:
    """They compete for what a third has left, and for the file."""
    left = process(free_port())
    left.do("call", 0, 900)
    left.kill()
    with Intake() as product:
        heirs = [process(product.url, LEASE + 60) for _ in range(2)]
        for each in heirs:
            each.do("pass", LEASE / 3, answers=False)
        for each in heirs:
            assert each._process.stdout.readline().startswith("pass")
            each.do("flush")
        assert spans(product.taken) == of(range(900))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


CALL = SAME_CALL.replace('"gen-1"', '"gen-" + __import__("uuid").uuid4().hex')  # each another call
SETUP = f"""
import os, sys
import httpx, orobserve
hook = {{"type": "webhook", "config": {{"url": sys.argv[2]}}}}
orobserve.instrument(ledger=sys.argv[1], destinations=[hook], console=False)
{CALL}
"""


def test_a_short_process_delivers_at_its_end_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Intake() as product:
        done = run_program(f"{SETUP}\nfor _ in range(3): call(httpx)", str(path), product.url)
    assert (sum(spans(product.taken).values()), done.stderr) == (3, "")
    (state,) = delivery_states(path)
    assert (state.due, state.delivered) == (0, 3)


def test_what_a_short_process_could_not_send_the_next_one_does(tmp_path: Path) -> None:
    """Its own calls and those before them, with nothing but a call of its own to begin with."""
    path = tmp_path / "ledger.db"
    with Intake() as product:
        product.answer.status = 503
        done = run_program(f"{SETUP}\nfor _ in range(3): call(httpx)", str(path), product.url)
        assert "generations wait in the ledger" in done.stderr
        product.taken.clear()
        product.answer.status = 200
        run_program(
            f"{SETUP}\ncall(httpx)\nassert orobserve.flush(20)\nassert orobserve.flush(20)", str(path), product.url
        )
    assert sorted(spans(product.taken).values()) == [1] * 4


@unix
def test_a_forked_child_has_its_own_calls_in_hand_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    source = f"""{SETUP}
call(httpx)
child = os.fork()
if not child:
    call(httpx)
    assert orobserve.flush(20.0)
    os._exit(0)
call(httpx)
assert os.waitpid(child, 0)[1] == 0
assert orobserve.flush(20.0)
"""
    with Intake() as product:
        run_program(source, str(path), product.url)
    assert sorted(spans(product.taken).values()) == [1] * 3
    (state,) = delivery_states(path)
    assert (state.due, state.delivered) == (0, 3)


@unix
def test_on_a_full_disk_the_destinations_get_their_records_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    source = f"""
import resource
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
{SETUP}
call(httpx)
assert orobserve.flush(20.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
for _ in range(20):
    call(httpx)
orobserve.flush(20.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
call(httpx)
assert orobserve.flush(20.0)
"""
    with Intake() as product:
        done = run_program(source, str(path), product.url)
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(spans(product.taken).values()) == [1] * 22
    assert delivery_states(path)[0].due == 0


def test_nothing_is_started_or_made_before_the_first_call(tmp_path: Path) -> None:
    path = tmp_path / "data" / "ledger.db"
    run_program(f"{SETUP}\nimport threading\nassert threading.active_count() == 1", str(path), "http://127.0.0.1:1")
    assert not path.parent.exists()
