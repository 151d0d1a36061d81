"""What is written: one row per call, whoever tells of it and however often; masks; hostile content; retention."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.generation import (
    Content,
    Cost,
    Error,
    Generation,
    Job,
    Message,
    Outcome,
    Request,
    Text,
    Timing,
    ToolCall,
    Trace,
    Usage,
)
from orobserve.ledger import database, store
from orobserve.ledger.query import Reader
from orobserve.ledger.store import Keep
from orobserve.ledger.writer import Ledger
from tests.delivery.clocks import VirtualClock
from tests.exporters.generations import CHAT, ODD_TEXT, SAMPLES, STARTED_AT
from tests.ledger.records import DAY, SECOND, call, late, stored, sums_are_true

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path) -> list[Generation]:
    with Reader(path) as reader:
        return list(reader.records())


def daily_is_true(path: Path) -> None:
    """Check that the sums are what the calls come to."""
    sums_are_true(path)
    with closing(sqlite3.connect(path)) as connection:
        (orphans,) = connection.execute(
            "SELECT count(*) FROM records WHERE id NOT IN (SELECT id FROM calls)"
        ).fetchone()
    assert not orphans


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ledger.db"


def test_all_samples_come_back(path: Path) -> None:
    stored(path, SAMPLES.values())
    found = {each.span_id: each for each in read(path)}
    assert found == {each.span_id: each for each in SAMPLES.values()}
    daily_is_true(path)


def test_only_its_owner_may_read_it(path: Path) -> None:
    mask = os.umask(0)
    try:
        with database.writing(path) as connection:
            connection.execute("CREATE TABLE x (y)")
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        os.umask(mask)
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_late_record_takes_the_place_of_the_first(path: Path) -> None:
    first = call(1, id=None, cost=None, usage=None)
    second = late(first, id="gen-1", cost=Cost(charged=0.5, total=0.5), content=None)
    stored(path, [first, call(2), second])
    assert read(path) == [replace(second, content=first.content), call(2)]
    stored(path, [late(second, cost=Cost(charged=0.7, total=0.7))])
    with Reader(path) as reader:
        assert [str(each.cost) for each in reader.rows()] == ["0.0042", "0.7"]
    daily_is_true(path)


def test_a_call_that_comes_twice_is_one_row(path: Path) -> None:
    """From the application's own process without its cost, and from Broadcast with it, and without what was said."""
    own = call(1, cost=None)
    other = call(1, content=None, trace_id="f" * 32, span_id="e" * 16, timing=CHAT.timing, provider="Else")
    stored(path, [own, other, own, other])
    (found,) = read(path)
    assert (found.cost, found.content, found.span_id, found.provider) == (other.cost, own.content, own.span_id, "Else")
    stored(path, [own, replace(own, content=None), other])
    assert read(path) == [found]
    daily_is_true(path)


def test_what_only_one_of_two_records_tells_is_kept(path: Path) -> None:
    own = call(1, cost=None, request=Request(model="m", user="ada", temperature=0.5))
    poorer = Usage(input_tokens=1000, output_tokens=200)  # the same totals
    other = call(1, request=Request(model="m", session_id="s-9"), usage=poorer)
    stored(path, [own, other])
    (found,) = read(path)
    assert found.request == Request(model="m", user="ada", session_id="s-9", temperature=0.5)
    assert found.usage == own.usage
    billed = Usage(input_tokens=7, output_tokens=200)
    stored(path, [late(call(1, usage=billed))])
    assert read(path)[0].usage == billed


def test_attempts_in_a_span_of_somebody_elses_are_calls_of_their_own(path: Path) -> None:
    failed = [
        call(each, id=None, response_id=None, span_id="a" * 16, trace_id="b" * 32, error=Error(type="429"), cost=None)
        for each in range(3)
    ]
    stored(path, [*failed, call(3, span_id="a" * 16, trace_id="b" * 32)])
    assert len(read(path)) == 4
    with Reader(path) as reader:
        assert reader.call("a" * 16) == call(3, span_id="a" * 16, trace_id="b" * 32)


def test_two_generations_that_start_at_once_in_a_span_of_somebody_elses_are_two_calls(path: Path) -> None:
    shared = {"span_id": "a" * 16, "trace_id": "b" * 32, "timing": CHAT.timing}
    stored(path, [call(1, **shared), call(2, **shared), late(call(2, **shared))])
    assert [each.id for each in read(path)] == ["gen-1", "gen-2"]
    daily_is_true(path)


def test_a_known_cost_is_not_made_unknown(path: Path) -> None:
    own = call(1, content=None)
    stored(path, [own, call(1, cost=Cost(is_byok=False)), late(call(1, cost=None))])
    (found,) = read(path)
    assert found.cost == own.cost
    daily_is_true(path)


def test_what_cannot_be_given_back_to_the_system_costs_no_record(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_PAGES", "(")  # an error after the commit
    stored(path, [call(1)], keep=Keep(size=10**9))
    assert read(path) == [call(1)]


def test_records_without_any_id_are_calls_of_their_own(path: Path) -> None:
    bare = call(1, id=None, trace_id=None, span_id=None)
    stored(path, [bare, bare, replace(bare, span_id="0" * 16)])
    assert len(read(path)) == 3


def test_a_jobs_start_and_its_end_are_two_calls(path: Path) -> None:
    start = call(1, job=Job(id="job-1", status="pending"), cost=None)
    end = call(2, id="gen-1", job=Job(id="job-1", status="completed", finished=True))
    stored(path, [start, end])
    assert read(path) == [start, end]
    with Reader(path) as reader:
        assert reader.call("gen-1") == end


def test_content_can_be_left_out(path: Path) -> None:
    failed = replace(SAMPLES["error"], error=Error(type="400", message="your prompt: canary"))
    stored(path, [CHAT, failed], content=False)
    assert [each.content for each in read(path)] == [None, None]
    assert b"canary" not in path.read_bytes()
    assert b"Summarise the report" not in path.read_bytes()


def test_the_mask_runs_first(path: Path) -> None:
    hidden = Content(output=(Message(role="assistant", parts=(Text(content="hidden"),)),))
    stored(path, [CHAT], masks=[lambda _content: hidden])
    assert [each.content for each in read(path)] == [hidden]


@pytest.mark.swallows
def test_a_mask_that_fails_means_no_content(path: Path) -> None:
    stored(path, [CHAT], masks=[lambda content: content.nothing])
    assert read(path) == [replace(CHAT, content=None)]


def test_of_a_key_there_is_only_the_hash(path: Path) -> None:
    key = "sk-or-v1-" + "0123456789abcdef" * 4
    said = Content(input=(Message(role="user", parts=(Text(content=f"use {key}"),)),))
    hashed = hashlib.sha256(key.encode()).hexdigest()
    stored(path, [replace(CHAT, content=said, request=Request(api_key_hash=hashed))])
    assert key.encode() not in path.read_bytes()
    with Reader(path) as reader:
        assert reader.rows()[0].api_key == hashed


def deep(levels: int) -> Any:
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found


HOSTILE: dict[str, Generation] = {
    "10 MB": call(1, content=Content(input=(Message(role="user", parts=(Text(content="ä" * 5_000_000),)),))),
    "odd": call(1, content=Content(input=(Message(role="user\0", parts=(Text(content=ODD_TEXT + "\u202e\u2066"),)),))),
    "ids": call(
        1, id="'; DROP TABLE calls; --\0\ud800", request=Request(user="\udc00", session_id="\0", model="\u202e")
    ),
    "figures": call(
        1,
        usage=Usage(input_tokens=10**30, output_tokens=-5, cache_read_input_tokens=2**63),
        cost=Cost(total=float("inf")),
        status_code=10**40,
        timing=Timing(started_at=-(10**30), ended_at=10**40, first_chunk_at=0),
    ),
    "huge cost": call(
        1, cost=Cost(total=1e300), request=Request(trace=Trace(metadata={"tags": ["t" * 10**6, "\ud83d"]}))
    ),
    "nothing": call(1, model="", provider="", request=Request(user="", session_id="")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_records(name: str, path: Path) -> None:
    stored(path, [HOSTILE[name], call(2)])
    assert {each.span_id: each for each in read(path)} == {each.span_id: each for each in (HOSTILE[name], call(2))}
    with Reader(path) as reader:
        assert len(reader.rows()) == 2
        for by in ("model", "user", "session", "tag", "day"):
            assert sum(each.calls for each in reader.sums((by,))) >= (by != "tag")
    daily_is_true(path)


def test_what_json_cannot_hold_is_stored_without_content(path: Path) -> None:
    nested = Content(output=(Message(role="assistant", parts=(ToolCall(arguments=deep(100)),)),))
    endless: list[Any] = []
    endless.append(endless)
    stored(path, [call(1, content=nested), call(2, tags={"words": 1})])
    ledger = Ledger(path, Keep())
    ledger.offer(call(3, tags={"endless": endless}))
    ledger.offer(call(4))
    assert ledger.flush(10)
    ledger.close(5)
    assert ledger.state.dropped == {"encode": 1}
    assert [each.id for each in read(path)] == ["gen-1", "gen-2", "gen-4"]


def test_calls_get_too_old(path: Path) -> None:
    clock = VirtualClock(skips=True)
    now = clock.epoch()

    def at(age: int, number: int) -> Generation:
        return call(number, timing=Timing(started_at=now - age, ended_at=now))

    ages = [at(90 * DAY + SECOND, 1), at(90 * DAY - SECOND, 2), at(0, 3)]
    stored(path, ages, keep=Keep(days=90), clock=clock)
    assert [each.id for each in read(path)] == ["gen-2", "gen-3"]
    clock.seconds += 2 * 86_400
    stored(path, [at(0, 4)], keep=Keep(days=90), clock=clock)
    assert [each.id for each in read(path)] == ["gen-3", "gen-4"]
    daily_is_true(path)


def test_the_file_stays_within_its_size(path: Path) -> None:
    said = Content(input=(Message(role="user", parts=(Text(content="x" * 4_000),)),))
    most = 2_000_000
    for start in range(0, 2_000, 100):
        stored(path, [call(each, content=said) for each in range(start, start + 100)], keep=Keep(size=most))
    assert most / 2 < path.stat().st_size < most * 1.1
    kept = [each.id for each in read(path)]
    assert kept == [f"gen-{each}" for each in range(2_000 - len(kept), 2_000)]  # the oldest went
    stored(path, [call(2_000)], keep=Keep(size=most // 4))
    stored(path, [call(2_001)], keep=Keep(size=most // 4))
    assert path.stat().st_size < most / 2
    daily_is_true(path)


def test_a_failed_call_counts_as_an_error(path: Path) -> None:
    stored(
        path, [call(1, outcome=Outcome.FAILED), call(2, error=Error(type="500")), call(3, outcome=Outcome.CANCELLED)]
    )
    with Reader(path) as reader:
        assert [each.failed for each in reader.rows()] == [False, True, True]
        assert reader.sums()[0].errors == 2


def test_a_call_starts_when_it_started(path: Path) -> None:
    stored(path, [CHAT])
    with Reader(path) as reader:
        (row,) = reader.rows()
    assert (row.started_at, row.duration, row.first_chunk) == (STARTED_AT, 2 * SECOND, 420_000_000)
    assert row.tags == ("nightly", "report", "team=growth")
