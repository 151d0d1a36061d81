"""The tables, and the steps that bring a file of an older version to this one. The version is SQLite's `user_version`.

- `calls`: a row per call, what is filtered and summed in typed columns. `id` grows with every write: a record that
  replaces another gets a new one, so that whoever follows sees it. `key` is what a call is known by (`_identity`).
- `records`: the whole record of a call as JSON, apart, so that a scan of `calls` reads none of it.
- `daily`: sums per day (UTC), model, provider and API key. Triggers keep it, in the very transaction that writes or
  removes a call, so it cannot differ from what `calls` holds. A known-count beside each sum tells unknown from zero.
- `outbox`: a row per call and destination that has not taken it yet: due, in the hands of a process (`owner`), or dead.
  `version` is the `calls.id` that is to be sent. `destinations` has who they are for, `owners` which processes live.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orobserve.ledger import money
from orobserve.ledger.columns import TOKENS

if TYPE_CHECKING:
    import sqlite3

GROUPS = ("day", "model", "provider", "api_key")  # of `daily`
SUMS = {  # columns of `daily`, and what a call adds to them; the names of a call's columns stand for themselves
    "calls": "1",
    "errors": "failed",
    "unpriced": "cost_nano IS NULL AND NOT failed",
    **money.sums("cost"),
    **money.sums("saving"),
    "response_cache_hits": "ifnull(response_cache = 'hit', 0)",
    "told_tokens": "CASE WHEN cache_read_tokens IS NULL THEN 0 ELSE ifnull(input_tokens, 0) END",
    **{name: f"ifnull({name}, 0)" for name in TOKENS},
    **{f"{name}_known": f"{name} IS NOT NULL" for name in TOKENS},
}
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
    "CREATE INDEX calls_by_generation ON calls (generation_id) WHERE generation_id <> key",
    "CREATE TRIGGER call_gone AFTER DELETE ON calls BEGIN DELETE FROM records WHERE id = OLD.id; END",
)


def _of(row: str, expression: str) -> str:
    """Return an expression of a call's columns inside a trigger, where they are `NEW`'s or `OLD`'s."""
    names = ("cost_nano", "cost_rest", "saving_nano", "saving_rest", "response_cache", "failed", *TOKENS)
    return re.sub(rf"\b({'|'.join(names)})\b", rf"{row}.\1", expression)


def _group(row: str) -> dict[str, str]:
    return {name: f"{row}.day" if name == "day" else f"ifnull({row}.{name}, '')" for name in GROUPS}


_SAME = " AND ".join(f"{name} = {value}" for name, value in _group("OLD").items())
_SECOND = (
    f"""CREATE TABLE daily (
  day INTEGER NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL, api_key TEXT NOT NULL,
  {", ".join(f"{name} INTEGER NOT NULL" for name in SUMS)},
  PRIMARY KEY ({", ".join(GROUPS)})
) WITHOUT ROWID""",
    f"""INSERT INTO daily SELECT day, ifnull(model, ''), ifnull(provider, ''), ifnull(api_key, ''),
  {", ".join(f"sum({value})" for value in SUMS.values())} FROM calls GROUP BY 1, 2, 3, 4""",  # noqa: S608 - ours
    f"""CREATE TRIGGER call_counted AFTER INSERT ON calls BEGIN
  INSERT INTO daily VALUES ({", ".join(_group("NEW").values())}, {", ".join(_of("NEW", v) for v in SUMS.values())})
  ON CONFLICT ({", ".join(GROUPS)}) DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)};
END""",  # noqa: S608 - ours
    f"""CREATE TRIGGER call_discounted AFTER DELETE ON calls BEGIN
  UPDATE daily SET {", ".join(f"{name} = {name} - ({_of('OLD', v)})" for name, v in SUMS.items())} WHERE {_SAME};
  DELETE FROM daily WHERE calls = 0 AND {_SAME};
END""",  # noqa: S608 - ours
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
STEPS = (_FIRST, _SECOND, _OUTBOX)
VERSION = len(STEPS)


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of a file; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, to: int = VERSION) -> None:
    """Bring a file to a version, in one transaction: whole or not at all, whoever else tries the same."""
    if version_of(connection) >= to:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for number in range(version_of(connection), to):  # another process may have been quicker
            for statement in STEPS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
