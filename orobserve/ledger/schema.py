"""The tables, and the steps that bring a file of an older version to this one. The version is SQLite's `user_version`.

- `calls`: a row per call, what is filtered and summed in typed columns. `id` grows with every write: a record that
  replaces another gets a new one, so that whoever follows sees it. `key` is what a call is known by (`_identity`).
- `records`: the whole record of a call as JSON, apart, so that a scan of `calls` reads none of it.
- sums that are kept: see `rollups`.
- `outbox`: a row per call and destination that has not taken it yet: due, in the hands of a process (`owner`), or dead.
  `version` is the `calls.id` that is to be sent. `destinations` has who they are for, `owners` which processes live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.ledger import rollups
from orobserve.ledger.columns import TOKENS
from orobserve.ledger.transactions import transaction

if TYPE_CHECKING:
    import sqlite3

_CALLS = f"""CREATE TABLE calls (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL UNIQUE,
  generation_id TEXT, trace_id TEXT, span_id TEXT, parent_span_id TEXT,
  started_at INTEGER NOT NULL, day INTEGER NOT NULL,
  duration INTEGER, duration_bin INTEGER, first_chunk INTEGER, first_chunk_bin INTEGER,
  operation TEXT, model TEXT, provider TEXT, user TEXT, session TEXT, api_key TEXT, name TEXT, tags TEXT,
  outcome TEXT, status INTEGER, failed INTEGER NOT NULL, error TEXT,
  {" INTEGER, ".join(TOKENS)} INTEGER,
  cost_nano INTEGER, cost_rest INTEGER, saving_nano INTEGER, saving_rest INTEGER, response_cache TEXT,
  parts INTEGER NOT NULL
)"""
_FIRST = (
    _CALLS,
    "CREATE TABLE records (id INTEGER PRIMARY KEY, record NOT NULL)",
    "CREATE INDEX calls_by_span ON calls (span_id)",
    "CREATE INDEX calls_by_time ON calls (started_at)",
    "CREATE INDEX calls_by_session ON calls (session, started_at) WHERE session IS NOT NULL",
    "CREATE INDEX calls_by_failure ON calls (started_at) WHERE failed",
    "CREATE INDEX calls_by_user ON calls (user, started_at) WHERE user IS NOT NULL",
    "CREATE INDEX calls_by_generation ON calls (generation_id) WHERE generation_id <> key",
    "CREATE TRIGGER call_gone AFTER DELETE ON calls BEGIN DELETE FROM records WHERE id = OLD.id; END",
)


_OUTBOX = (
    """CREATE TABLE destinations (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, place TEXT NOT NULL,
  delivered INTEGER NOT NULL DEFAULT 0, delivered_at INTEGER, reason TEXT,
  UNIQUE (name, place)
)""",
    "CREATE TABLE owners (id INTEGER PRIMARY KEY, until INTEGER NOT NULL)",
    """CREATE TABLE outbox (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL, destination INTEGER NOT NULL, version INTEGER NOT NULL,
  due_at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, owner INTEGER,
  dead INTEGER NOT NULL DEFAULT 0, reason TEXT,
  UNIQUE (key, destination)
)""",
    "CREATE INDEX outbox_due ON outbox (destination, due_at) WHERE owner IS NULL AND dead = 0",
    "CREATE INDEX outbox_owned ON outbox (owner) WHERE owner IS NOT NULL",
    "CREATE TRIGGER call_unposted AFTER DELETE ON calls BEGIN DELETE FROM outbox WHERE key = OLD.key; END",
)
STEPS = (_FIRST, rollups.TABLES, _OUTBOX)
VERSION = len(STEPS)


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of a file; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_foreign(connection: sqlite3.Connection) -> bool:
    """Tell whether a file has tables, and none of them are ours: it is some other program's."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return bool(tables) and ("calls" not in tables or "generation_id" not in _columns(connection))


def is_unreleased(connection: sqlite3.Connection) -> bool:
    """Tell whether a file was written before the first release: its columns are others, and no step leads to these."""
    found = _columns(connection)
    return bool(found) and "duration_bin" not in found


def _columns(connection: sqlite3.Connection) -> set[str]:
    return {name for _, name, *_ in connection.execute("PRAGMA table_info(calls)")}


def migrate(connection: sqlite3.Connection, to: int = VERSION) -> None:
    """Bring a file to a version, in one transaction: whole or not at all, whoever else tries the same."""
    if version_of(connection) >= to:
        return
    with transaction(connection):
        for number in range(version_of(connection), to):  # another process may have been quicker
            for statement in STEPS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
