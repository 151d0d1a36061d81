"""The queue before the file, and who puts what into it."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import orobserve
from orobserve import config
from orobserve.delivery.destination import Destination
from orobserve.delivery.hub import Hub
from orobserve.generation import Cost, Enrichment, Timing
from orobserve.ledger import database
from orobserve.ledger.assembly import assemble, path_of
from orobserve.ledger.query import Reader
from orobserve.ledger.store import Keep
from orobserve.ledger.writer import Ledger
from orobserve.proxy.intake import Intake
from orobserve.receivers import Receivers
from tests.delivery.clocks import EPOCH, VirtualClock
from tests.ledger.offices import Product
from tests.ledger.records import call, late, stored

if TYPE_CHECKING:
    from tests.conftest import Telemetry


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_nothing_is_started_or_made_before_the_first_record(path: Path) -> None:
    ledger = Ledger(path.parent / "new" / "x.db", Keep())
    assert ledger.flush(5)
    ledger.close(5)
    assert not (path.parent / "new").exists()


def test_who_waits_for_another_writer_loses_nothing(path: Path) -> None:
    ledger = Ledger(path, Keep())
    ledger.offer(call(1))
    assert ledger.flush(30)
    other = sqlite3.connect(path, isolation_level=None)
    with closing(other):
        other.execute("BEGIN IMMEDIATE")
        ledger.offer(call(2))
        assert not ledger.flush(0.1)
        assert ledger.state.dropped == {}
        other.execute("ROLLBACK")
    assert ledger.flush(30)
    ledger.close(5)
    assert ledger.state.delivered == 2


def test_who_waits_too_long_for_another_writer_goes_on(path: Path) -> None:
    clock = VirtualClock(skips=True)
    lost: list[tuple[str, str, int]] = []
    ledger = Ledger(path, Keep(), clock=clock, on_drop=lambda *told: lost.append(told))
    ledger.offer(call(1))
    assert ledger.flush(30)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        database_busy, database._BUSY = database._BUSY, 0.001
        try:
            ledger.offer(call(2))
            assert ledger.flush(10_000)
        finally:
            database._BUSY = database_busy
        other.execute("ROLLBACK")
    ledger.offer(call(3))
    assert ledger.flush(30)
    ledger.close(5)
    assert lost == [("ledger", "rejected", 1)]
    assert "locked" in (ledger.state.last_error or "")
    with Reader(path) as reader:
        assert [each.generation_id for each in reader.rows()] == ["gen-3", "gen-1"]


def test_what_there_was_no_time_for_is_counted(path: Path) -> None:
    ledger = Ledger(path, Keep())
    ledger.offer(call(1))
    assert ledger.flush(30)
    ledger._worker.size = 1
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(2, 5):
            ledger.offer(call(number))
        ledger.close(0.1)
        ledger._worker.join(time.monotonic() + 30)
        other.execute("ROLLBACK")
    assert ledger.state.dropped == {"shutdown": 3}


def test_at_the_end_the_destinations_get_what_the_ledger_cannot_take(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY", 0.001)
    product = Product()
    destination = Destination("a", product, lambda given: given)
    receivers = Receivers(Ledger(path, Keep()), Hub([destination]))
    stored(path, [call(1)])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        receivers.offer(call(2))
        receivers.close(0.5)
        other.execute("ROLLBACK")
    assert product.taken == ["gen-2"]


def test_a_full_queue_drops_and_counts(path: Path) -> None:
    clock = VirtualClock()
    ledger = Ledger(path, Keep(), clock=clock)
    ledger._worker.capacity = 3
    for number in range(5):
        assert ledger.has_room(call(number)) is (number < 3)
        ledger.offer(call(number))
    assert ledger.state.dropped == {"queue_full": 2}
    ledger.close(1)
    ledger.offer(call(9))
    assert ledger.state.dropped["shutdown"] >= 1


@pytest.mark.swallows
def test_one_record_does_not_take_the_others_with_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orobserve.ledger import store

    def columns(record: Any) -> dict[str, Any]:
        if record.id == "gen-2":
            raise TypeError("a record that nobody thought of")
        return original(record)

    original = store.columns
    monkeypatch.setattr(store, "columns", columns)
    ledger = Ledger(path, Keep())
    for number in range(5):
        ledger.offer(call(number))
    assert ledger.flush(30)
    ledger.close(5)
    assert (ledger.state.delivered, ledger.state.dropped) == (4, {"encode": 1})


def reply(request: httpx.Request) -> httpx.Response:
    number = request.headers["x-number"]
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "cost": 0.5}
    said = [{"message": {"role": "assistant", "content": f"answer {number}"}, "finish_reason": "stop"}]
    return httpx.Response(200, json={"id": f"gen-{number}", "model": "openai/gpt-4o", "usage": usage, "choices": said})


def post(count: int = 1) -> None:
    question = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "a question"}]}
    with httpx.Client(transport=httpx.MockTransport(reply), verify=False) as client:
        for number in range(count):
            headers = {"authorization": "Bearer sk-or-v1-secret-canary", "x-number": str(number)}
            client.post("https://openrouter.ai/api/v1/chat/completions", json=question, headers=headers)


def test_instrument_writes_every_call_with_what_was_said(telemetry: Telemetry, path: Path) -> None:
    telemetry.instrument(ledger=path)
    post(3)
    assert orobserve.flush(20.0)
    with Reader(path) as reader:
        assert [each.generation_id for each in reader.rows()] == ["gen-2", "gen-1", "gen-0"]
        found = reader.call("gen-1")
        assert str(reader.sums()[0].cost) == "1.5"
    assert found is not None
    assert found.content is not None
    assert "answer 1" in repr(found.content.output)
    span = telemetry.spans[1]
    assert span.context is not None
    assert found.span_id == f"{span.context.span_id:016x}"
    assert not any("messages" in name for name in span.attributes or {})  # of spans, it says nothing
    assert b"secret-canary" not in path.read_bytes()


def test_sampling_and_privacy_of_a_destination_do_not_touch_it(
    telemetry: Telemetry, path: Path, tmp_path: Path
) -> None:
    file = {"type": "file", "config": {"path": str(tmp_path / "calls")}, "sampling_rate": 0.0, "privacy_mode": True}
    telemetry.instrument(ledger=path, destinations=[file])
    post(5)
    assert orobserve.flush(20.0)
    with Reader(path) as reader:
        assert len(reader.rows()) == 5
    assert not (tmp_path / "calls").exists() or not (tmp_path / "calls").read_bytes()


def test_without_content_nobody_reads_it(telemetry: Telemetry, path: Path) -> None:
    telemetry.instrument(ledger=path, ledger_content=False)
    post()
    assert orobserve.flush(20.0)
    with Reader(path) as reader:
        found = reader.call("gen-0")
    assert found is not None
    assert found.content is None
    assert b"a question" not in path.read_bytes()


def test_a_callback_that_hangs_keeps_nothing_from_it(path: Path) -> None:
    rest = threading.Event()
    orobserve.on_generation(lambda _: rest.wait(30) and None)
    orobserve.instrument(ledger=path, console=False)
    post()
    try:
        assert not orobserve.flush(1.5)
        with Reader(path) as reader:
            assert len(reader.rows()) == 1
    finally:
        rest.set()


def test_uninstrument_writes_what_is_left(telemetry: Telemetry, path: Path) -> None:
    telemetry.instrument(ledger=str(path))
    post()
    orobserve.uninstrument()
    with Reader(path) as reader:
        assert len(reader.rows()) == 1


def test_it_is_off_unless_asked_for(telemetry: Telemetry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    telemetry.instrument()
    post()
    assert orobserve.flush(20.0)
    assert list(tmp_path.iterdir()) == []


def test_the_receiver_completes_what_the_application_has_written(path: Path) -> None:
    first = call(1, cost=None)
    own, received = Ledger(path, Keep()), Ledger(path, Keep())
    own.offer(first)
    assert own.flush(20)
    intake = Intake(Receivers(received))
    other = call(1, trace_id="c" * 32, span_id="d" * 16, content=None)
    assert intake.offer([call(1, cost=None, content=None), other, other]) == 3
    assert intake.close(20) == 0
    own.close(5)
    received.close(5)
    with Reader(path) as reader:
        (row,) = reader.rows()
        assert (row.span_id, str(row.cost)) == (first.span_id, "0.0042")
        found = reader.call("gen-1")
    assert found is not None
    assert found.content == first.content


def test_the_receiver_has_its_sender_wait_for_room(path: Path) -> None:
    ledger = Ledger(path, Keep(), clock=VirtualClock())
    intake = Intake(Receivers(ledger), hold=1e6)
    intake._captured._worker.capacity = 2  # type: ignore[union-attr]
    intake._captured._worker.size = 1  # type: ignore[union-attr]
    calls = [call(number, timing=Timing(started_at=EPOCH, ended_at=EPOCH)) for number in range(1, 6)]
    assert 2 <= intake.offer(calls) <= 3  # one may be held by the thread already
    assert intake.close(20) == 0
    ledger.close(1)


def test_late_records_are_told_by_their_enrichment() -> None:
    assert late(call(1)).enrichment == Enrichment(status="complete", is_late=True)


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, ".local/share/orobserve/ledger.db"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/orobserve/ledger.db"),
        ("darwin", {"XDG_DATA_HOME": "/data"}, "Library/Application Support/orobserve/ledger.db"),
        ("win32", {}, "AppData/Local/orobserve/ledger.db"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/orobserve/ledger.db"),
    ],
)
def test_where_it_is(platform: str, environ: dict[str, str], expected: str) -> None:
    assert database.default_path(environ, platform) == Path.home() / expected


def test_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    place = tmp_path / "orobserve" / "ledger.db"
    assert path_of(config.load({}, {})) == path_of(config.load({"ledger": True}, {})) == place
    assert path_of(config.load({}, {"OROBSERVE_LEDGER": "~/x.db"})) == Path("~/x.db").expanduser()
    made = assemble(config.load({"ledger_days": 0, "ledger_size": "1MB", "mask": lambda said: said}, {}))
    assert (made._keep, made.path) == (Keep(days=None, size=1_000_000), place)
    assert assemble(config.load({}, {}))._keep == Keep(days=90, size=2_000_000_000)
    assert config.load({"ledger": False}, {"OROBSERVE_LEDGER": "true"}).ledger is False
    wanted = [
        config.load(given, {}).wants_content
        for given in ({}, {"ledger": True}, {"ledger": True, "ledger_content": False})
    ]
    assert wanted == [False, True, False]


def test_cost_of_a_call_without_figures_is_unknown(path: Path) -> None:
    ledger = Ledger(path, Keep())
    ledger.offer(call(1, cost=Cost()))
    assert ledger.flush(20)
    ledger.close(5)
    with Reader(path) as reader:
        assert (reader.rows()[0].cost, reader.sums()[0].unpriced) == (None, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
def test_a_folder_in_its_place(path: Path) -> None:
    path.mkdir()
    ledger = Ledger(path, Keep())
    ledger.offer(call(1))
    assert ledger.flush(20)
    ledger.close(5)
    assert ledger.state.dropped == {"rejected": 1}
