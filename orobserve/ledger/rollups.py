"""Sums that are kept, so that a report need not read every call.

- `daily`: per day (UTC), model, provider and API key.
- `rollup`: per hour or day and one value of a kind: a model, say, or a tag.
- `histogram`: likewise, how many calls are in each bin of durations (`percentiles`), as JSON.

They hold the calls up to the id in `folded`. The calls since then, and those in `gone` (removed although the sums hold
them), are the view `fresh`, with the sign 1 or -1: whoever reads the sums adds it, so that they tell what `calls` does.
Every `FOLD_AT` calls, their writer folds them into the sums, in the same transaction: to add each call by itself would
cost more than to write it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from orobserve.ledger import money
from orobserve.ledger.columns import TOKENS

if TYPE_CHECKING:
    import sqlite3
    from typing import TypeAlias

    _Counter: TypeAlias = Counter[int | None]  # of calls by bin; None: unknown
    _Cells: TypeAlias = dict[tuple[str, int, int, str], tuple[_Counter, _Counter]]  # by kind, hours, hour, value

FOLD_AT = 8_192
HOUR = 3_600 * 10**9  # nanoseconds
DAILY = ("model", "provider", "api_key")  # what `daily` is by, besides the day
SUMS = {  # names of sums, and what a call adds to them: SQL of its columns
    "calls": "1",
    "errors": "failed",
    "unpriced": "cost_nano IS NULL AND NOT failed",
    **money.sums("cost"),
    **money.sums("saving"),
    "response_cache_hits": "ifnull(response_cache = 'hit', 0)",
    "told_tokens": "CASE WHEN cache_read_tokens IS NULL THEN 0 ELSE ifnull(input_tokens, 0) END",
    **{name: f"ifnull({name}, 0)" for name in TOKENS},
    **{f"{name}_known": f"{name} IS NOT NULL" for name in TOKENS},  # tells unknown from zero
}
_json = json.JSONEncoder(separators=(",", ":")).encode
BINS = ("duration_bin", "first_chunk_bin")
# Kinds, and by how many hours each is summed and its durations are counted, the most first: of users, sessions and tags
# there are too many for hours, and of sessions for histograms.
SUMMED = {**dict.fromkeys(DAILY, 1), **dict.fromkeys(("user", "session", "tag"), 24)}
COUNTED = {**dict.fromkeys(DAILY, (24, 1)), "user": (24,), "tag": (24,)}

_COLUMNS = (
    *("started_at", "model", "provider", "user", "session", "api_key", "tags", "failed", "response_cache"),
    *(*BINS, *TOKENS, "cost_nano", "cost_rest", "saving_nano", "saving_rest"),
)
_LISTED = ", ".join(_COLUMNS)
_KEYS = {"daily": ("day", *DAILY), "rollup": ("kind", "value", "hour"), "histogram": ("kind", "hours", "hour", "value")}
TABLES = (
    f"""CREATE TABLE daily (
  day INTEGER NOT NULL, {", ".join(f"{name} TEXT NOT NULL" for name in DAILY)},
  {", ".join(f"{name} INTEGER NOT NULL" for name in SUMS)},
  PRIMARY KEY ({", ".join(_KEYS["daily"])})
) WITHOUT ROWID""",
    f"""CREATE TABLE rollup (
  kind TEXT NOT NULL, value TEXT NOT NULL, hour INTEGER NOT NULL,
  {", ".join(f"{name} INTEGER NOT NULL" for name in SUMS)},
  PRIMARY KEY ({", ".join(_KEYS["rollup"])})
) WITHOUT ROWID""",
    f"""CREATE TABLE histogram (
  kind TEXT NOT NULL, hours INTEGER NOT NULL, hour INTEGER NOT NULL, value TEXT NOT NULL,
  {", ".join(f"{name} TEXT NOT NULL" for name in BINS)},
  PRIMARY KEY ({", ".join(_KEYS["histogram"])})
) WITHOUT ROWID""",
    "CREATE INDEX daily_empty ON daily (calls) WHERE calls = 0",
    "CREATE INDEX rollup_empty ON rollup (calls) WHERE calls = 0",
    "CREATE TABLE folded (id INTEGER NOT NULL)",
    "INSERT INTO folded VALUES (0)",
    f"CREATE TABLE gone (id INTEGER PRIMARY KEY, {_LISTED})",
    f"""CREATE VIEW fresh AS SELECT 1 AS sign, {_LISTED} FROM calls WHERE id > (SELECT id FROM folded)
  UNION ALL SELECT -1, {_LISTED} FROM gone""",  # noqa: S608 - names of ours
    f"""CREATE TRIGGER call_uncounted AFTER DELETE ON calls WHEN OLD.id <= (SELECT id FROM folded) BEGIN
  INSERT INTO gone ({_LISTED}) VALUES ({", ".join(f"OLD.{name}" for name in _COLUMNS)});
END""",  # noqa: S608 - names of ours
)


def column_of(kind: str) -> str:
    """Return the SQL of a call's value of a kind; see `source_of`."""
    return "given.value" if kind == "tag" else kind


def source_of(table: str, kinds: tuple[str, ...]) -> str:
    """Return the SQL of a table of calls; where tags are asked for, each call once for each of its tags."""
    return f"{table}, json_each({table}.tags) AS given" if "tag" in kinds else table


def fold(connection: sqlite3.Connection, at: int = FOLD_AT) -> None:
    """Bring the kept sums up to date, in the transaction that is open, where so many calls have come or gone."""
    last, known, gone = connection.execute(
        "SELECT (SELECT ifnull(max(id), 0) FROM calls), id, (SELECT ifnull(max(id), 0) FROM gone) FROM folded"
    ).fetchone()
    if max(last - known, gone) < at:
        return
    times = [f"started_at / {24 * HOUR}", *(f"ifnull({name}, '')" for name in DAILY)]
    connection.execute(_sums("daily", times, "fresh"))
    for kind, hours in SUMMED.items():
        groups = [f"'{kind}'", f"ifnull({column_of(kind)}, '')", f"started_at / {hours * HOUR} * {hours}"]
        connection.execute(_sums("rollup", groups, source_of("fresh", (kind,))))
    _count(connection)
    if gone:
        for table in ("daily", "rollup"):
            connection.execute(f"DELETE FROM {table} WHERE calls = 0")  # noqa: S608 - names of ours
        connection.execute("DELETE FROM gone")
    connection.execute("UPDATE folded SET id = ?", (last,))


def _sums(table: str, groups: list[str], source: str) -> str:
    signed = ", ".join(f"sum(sign * ({value}))" for value in SUMS.values())
    numbers = ", ".join(str(number) for number in range(1, len(groups) + 1))
    more = ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)
    return f"""INSERT INTO {table} SELECT {", ".join(groups)}, {signed} FROM {source} WHERE 1 GROUP BY {numbers}
        ON CONFLICT ({", ".join(_KEYS[table])}) DO UPDATE SET {more}"""  # noqa: S608 - names of ours


def _count(connection: sqlite3.Connection) -> None:
    """Add what is fresh to the histograms."""
    plain = [kind for kind in COUNTED if kind != "tag"]
    sql = f"SELECT sign, started_at / {HOUR}, tags, {', '.join((*plain, *BINS))} FROM fresh"  # noqa: S608 - names of ours
    by_hour: _Cells = defaultdict(lambda: (Counter(), Counter()))
    for sign, hour, tags, *values, duration, first_chunk in connection.execute(sql):
        tagged = [("tag", tag) for tag in json.loads(tags)] if tags else ()
        for kind, value in (*zip(plain, values, strict=True), *tagged):
            durations, first_chunks = by_hour[kind, 1, hour, value or ""]
            durations[duration] += sign
            first_chunks[first_chunk] += sign
    cells: _Cells = defaultdict(lambda: (Counter(), Counter()))
    for (kind, _, hour, value), counters in by_hour.items():
        for hours in COUNTED[kind]:
            for counter, counted in zip(cells[kind, hours, hour // hours * hours, value], counters, strict=True):
                counter.update(counted)
    for key, counters in cells.items():
        _keep(connection, key, counters)


def _keep(connection: sqlite3.Connection, key: tuple[str, int, int, str], counters: tuple[_Counter, _Counter]) -> None:
    which = " AND ".join(f"{name} = ?" for name in _KEYS["histogram"])
    found = connection.execute(f"SELECT {', '.join(BINS)} FROM histogram WHERE {which}", key).fetchone()  # noqa: S608
    for counter, kept in zip(counters, found or (), strict=False):
        counter.update(bins_of(kept))
    written = [_json({bin_: count for bin_, count in each.items() if count and bin_ is not None}) for each in counters]
    if written != ["{}", "{}"]:
        connection.execute("INSERT OR REPLACE INTO histogram VALUES (?, ?, ?, ?, ?, ?)", (*key, *written))
    elif found:
        connection.execute(f"DELETE FROM histogram WHERE {which}", key)  # noqa: S608 - names of ours


def bins_of(kept: str) -> dict[int, int]:
    """Return the counts by bin of a cell of `histogram`."""
    return {int(number): count for number, count in json.loads(kept).items()}
