"""The webhook, over a real socket; and whole processes that share a ledger and a budget."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

import httpx
import pytest

import orobserve
from orobserve import _guard
from orobserve.budget_settings import parse
from orobserve.budgets import Alert
from orobserve.budgets.notices import Notices
from tests.delivery.clocks import VirtualClock
from tests.scripts.programs import CALL as SAME_CALL
from tests.scripts.programs import program_env, run_program
from tests.support.intake import Answer, Intake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orobserve.testing import Simulator
    from tests.conftest import Telemetry

CALL = SAME_CALL.replace('"gen-1"', '"gen-" + __import__("uuid").uuid4().hex')


@pytest.fixture
def intake() -> Iterator[Intake]:
    with Intake() as made:
        yield made


def alert(url: str, **changes: object) -> Alert:
    (budget,) = parse("budgets", [{"amount": 50, "by": "user", "webhook": url}])
    made = Alert(
        budget=budget,
        period_start=datetime(2026, 11, 26, tzinfo=timezone.utc),
        threshold=0.8,
        spent=Decimal("41.2"),
        amount=budget.amount,
        group="<!channel> & co",
        unpriced=3,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def notices(clock: VirtualClock | None = None) -> Notices:
    return Notices(clock or VirtualClock(skips=True))


def test_what_the_webhook_gets(intake: Intake) -> None:
    told = notices()
    told.put(alert(intake.url + "/hook"))
    assert told.wait(10_000)
    (taken,) = intake.taken
    assert (taken.method, taken.path, taken.headers["content-type"]) == ("POST", "/hook", "application/json")
    assert json.loads(taken.body) == {
        "text": "OpenRouter budget $50 a day by user: 80% reached: $41.20 of $50.00 spent by user &lt;!channel&gt; "
        "&amp; co since 2026-11-26 00:00 UTC; the cost of 3 calls more is unknown (?)",
        "budget": "$50 a day by user",
        "period": "day",
        "period_start": "2026-11-26T00:00:00+00:00",
        "threshold": 0.8,
        "spent": 41.2,
        "amount": 50.0,
        "by": "user",
        "group": "<!channel> & co",
        "unpriced": 3,
    }


@pytest.mark.parametrize(("status", "attempts"), [(503, 5), (429, 5), (400, 1), (404, 1)])
def test_how_often_a_webhook_is_tried(
    intake: Intake, status: int, attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    intake.answer = Answer(status=status)
    told = notices()
    told.put(alert(intake.url + "/services/T00/secret"))
    assert told.wait(1e9)
    assert len(intake.taken) == attempts
    assert f"HTTP {status}" in caplog.text
    assert "secret" not in caplog.text


def test_no_attempt_begins_after_the_end(intake: Intake) -> None:
    intake.answer = Answer(status=503)
    clock = VirtualClock()
    told = notices(clock)
    told.put(alert(intake.url))
    clock.until_waiting()  # for its second attempt
    assert told.close(clock.now() + 0.1)
    assert len(intake.taken) == 1


@pytest.mark.swallows
def test_a_callback_that_fails_keeps_nothing_back(intake: Intake) -> None:
    made = alert(intake.url)
    told = notices()
    told.put(replace(made, budget=replace(made.budget, callback=lambda _alert: 1 / 0)))
    assert told.wait(10_000)
    assert len(intake.taken) == 1
    assert any("ZeroDivisionError" in cause for cause in _guard.swallowed)


def test_calls_are_watched_and_our_own_post_is_not(sim: Simulator, telemetry: Telemetry, intake: Intake) -> None:
    seen: list[tuple[Alert, str]] = []
    budget = {
        "amount": "0.0005",
        "thresholds": [1],
        "webhook": intake.url,
        "callback": lambda alert: seen.append((alert, threading.current_thread().name)),
    }
    telemetry.instrument(hosts=[sim.root, intake.url], budgets=[budget])
    question = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "What is up?"}]}
    with httpx.Client(headers={"Authorization": "Bearer sk-or-v1-secret"}) as client:
        for _ in range(4):
            client.post(sim.url + "/chat/completions", json=question)
    assert orobserve.flush(20.0)
    ((alert_, thread),) = seen
    assert Decimal("0.0005") <= alert_.spent <= sim.bill
    assert thread == "orobserve-alerts"
    assert len(intake.taken) == 1
    assert len(telemetry.spans) == 4
    assert b"sk-or" not in intake.taken[0].body


def test_what_is_reached_at_the_end_is_told_before_it() -> None:
    done = run_program(f"import httpx, orobserve\norobserve.instrument(budgets='0.5/day')\n{CALL}\ncall(httpx)")
    assert done.stderr.count("100% reached") == done.stderr.count(" reached") == 1
    assert "$0.50 of $0.50 spent" in done.stderr


def test_processes_that_share_a_ledger_tell_once(tmp_path: Path, intake: Intake) -> None:
    """Four at once, three calls each: the third threshold is reached by the last of all; lower ones may go under."""
    budgets = json.dumps([{"amount": 6, "thresholds": [0.1, 0.5, 1], "webhook": intake.url, "period": "month"}])
    source = f"import httpx, orobserve, sys\norobserve.instrument(ledger=sys.argv[1])\n{CALL}\nsys.stdin.readline()\n"
    source += "for _ in range(3): call(httpx)\nassert orobserve.flush(30.0)"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", source, str(tmp_path / "ledger.db")],
            env=program_env({"OROBSERVE_BUDGETS": budgets}),
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [said for said in (process.communicate(timeout=60)[1] for process in running) if "Traceback" in said] == []
    assert [process.returncode for process in running] == [0] * 4
    told = sorted((json.loads(each.body)["threshold"], json.loads(each.body)["spent"]) for each in intake.taken)
    assert len({threshold for threshold, _ in told}) == len(told)
    assert told[-1] == (1.0, 6.0)


def test_where_no_thread_can_be_started_it_is_told_all_the_same(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is while the interpreter ends."""
    told, made = notices(), alert(intake.url)
    seen: list[Alert] = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refuse)
        told.put(replace(made, budget=replace(made.budget, webhook=None, callback=seen.append)))
    assert len(seen) == 1
    assert told.wait(0)


def _refuse(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
