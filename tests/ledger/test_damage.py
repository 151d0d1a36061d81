"""Files that are no good: set aside with a message, and a new one begun."""

from __future__ import annotations

import logging
import random
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from orobserve.ledger import database
from orobserve.ledger.query import Reader
from orobserve.ledger.store import Keep
from orobserve.ledger.writer import Ledger
from tests.ledger.records import call, stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of some size, in a folder with an odd name."""
    made = tmp_path / "da ta%20#?" / "ledger.db"
    stored(made, map(call, range(1_000)))
    return made


def scribble(path: Path) -> None:
    with path.open("r+b") as file:
        chance = random.Random(5)
        for place in range(2, path.stat().st_size // 4096, 3):
            file.seek(place * 4096)
            file.write(chance.randbytes(2_000))


def truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 77)


def overwrite(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 5_000)


def lose_a_table(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE calls (' WHERE name = 'calls'")


DAMAGES = [scribble, truncate, overwrite, lose_a_table]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_set_aside(
    damage: Callable[[Path], None], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(path)
    broken = path.read_bytes()
    stored(path, [call(5_000), call(5_001)])
    (aside,) = path.parent.glob("ledger.db.damaged-*[0-9]")
    assert aside.read_bytes() == broken
    (told,) = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert str(path) in told
    assert str(aside) in told
    assert "a new one begins" in told
    with Reader(path) as reader:
        assert [each.generation_id for each in reader.rows()] == ["gen-5001", "gen-5000"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_that_comes_while_it_is_written(damage: Callable[[Path], None], path: Path) -> None:
    ledger = Ledger(path, Keep())
    for start in range(5_000, 8_000, 1_000):
        for number in range(start, start + 1_000):
            ledger.offer(call(number))
        assert ledger.flush(30)
        if start == 5_000:
            damage(path)
    ledger.close(5)
    assert ledger.state.delivered == 3_000
    assert len(list(path.parent.glob("ledger.db.damaged-*[0-9]"))) == 1
    with Reader(path) as reader:
        assert reader.sums()[0].calls >= 1_000  # of the batch that met the damage on, all


def test_what_was_not_yet_in_the_main_file_goes_along(path: Path) -> None:
    with database.writing(path) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE calls SET name = 'late'")
        kept = path.parent / "kept"
        kept.mkdir()
        for each in path.parent.glob("ledger.db*"):  # as a process leaves them that is killed now
            shutil.copy(each, kept)
    there = kept / "ledger.db"
    damaged = database.inode(there)
    database.set_aside(there, damaged, "a test")
    names = sorted(each.name.partition("-wal")[1] or each.name.partition("-shm")[1] for each in kept.glob("*damaged*"))
    assert names == ["", "-shm", "-wal"]
    stored(there, [call(1)])
    with Reader(there) as reader:
        assert len(reader.rows()) == 1


def test_only_the_file_that_was_found_damaged_is_set_aside(path: Path) -> None:
    """Two processes find it; the slower one must not set aside the faster one's new file."""
    database.set_aside(path, (database.inode(path) or 0) + 1, "a test")
    database.set_aside(path, None, "a test")
    assert not list(path.parent.glob("*damaged*"))


def test_a_file_from_before_the_first_release_is_set_aside_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE calls (id INTEGER PRIMARY KEY, key, generation_id, cost_nano)")
        connection.execute("CREATE TABLE daily (day INTEGER)")
        connection.execute("INSERT INTO calls VALUES (1, 'gen-0', 'gen-0', 5)")
        connection.execute("PRAGMA user_version = 2")
        connection.commit()
    with Reader(path) as reader:  # who reads may be the first
        assert reader.rows() == []
    stored(path, [call(1)])
    (aside,) = tmp_path.glob("ledger.db.old-*[0-9]")
    with closing(sqlite3.connect(aside)) as connection:
        assert connection.execute("SELECT cost_nano FROM calls").fetchall() == [(5,)]
    assert caplog.text.count("is old (it is from before the first release): it is kept as") == 1


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY)")
    written = path.read_bytes()
    ledger = Ledger(path, Keep())
    ledger.offer(call(1))
    assert ledger.flush(30)
    ledger.close(5)
    assert "another program's database" in (ledger.state.last_error or "")
    assert (path.read_bytes(), [each.name for each in tmp_path.iterdir()]) == (written, ["app.db"])


def test_a_fork_waits_for_who_reads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(path)
    reader.__enter__()
    monkeypatch.setattr(database.time, "sleep", lambda _: reader.__exit__(None, None, None))
    database._before_fork()
    try:
        assert not database._open
    finally:
        database._after_fork_in_parent()


@pytest.mark.parametrize(
    ("words", "is_damage", "is_passing"),
    [
        ("database is locked", False, True),
        ("database table is locked", False, True),
        ("database or disk is full", False, False),
        ("disk I/O error", False, False),
        ("attempt to write a readonly database", False, False),
        ("unable to open database file", False, False),
        ("database disk image is malformed", True, False),
        ("file is not a database", True, False),
        ("malformed database schema (calls)", True, False),
        ("malformed JSON", False, False),
    ],
)
def test_what_an_error_means(words: str, is_damage: bool, is_passing: bool) -> None:
    error = sqlite3.OperationalError(words)
    assert (database.is_damage(error), database.is_passing(error)) == (is_damage, is_passing)
