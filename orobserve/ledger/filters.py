"""Which calls are meant, as a condition of SQL. It knows the columns, and no query."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_SAME = ("model", "provider", "user", "session", "api_key")  # fields that are columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Calls that are all of this; None: any.

    Attributes:
        since: started then or later, in nanoseconds since the epoch.
        until: started before then.
        api_key: the key's SHA-256.
        tag: a word, or an entry of the metadata as `key=value`.
        error: only errors, or none.
    """

    since: int | None = None
    until: int | None = None
    model: str | None = None
    provider: str | None = None
    user: str | None = None
    session: str | None = None
    api_key: str | None = None
    tag: str | None = None
    error: bool | None = None


def where(wanted: Filter, table: str = "calls") -> tuple[str, dict[str, Any]]:
    """Return the condition on the rows of a table of calls, and its values."""
    conditions = ["1"]
    if wanted.since is not None:
        conditions.append("started_at >= :since")
    if wanted.until is not None:
        conditions.append("started_at < :until")
    conditions += [f"{name} = :{name}" for name in _SAME if getattr(wanted, name) is not None]
    if wanted.tag is not None:
        # The first is quick and finds a few too many: a tag may hold what stands between two others.
        conditions.append(f"instr({table}.tags, :tag_written)")
        conditions.append(f"EXISTS (SELECT 1 FROM json_each({table}.tags) WHERE value = :tag)")  # noqa: S608
    if wanted.error is not None:
        conditions.append("failed" if wanted.error else "NOT failed")  # a parameter could not use the index
    values = {name: getattr(wanted, name) for name in ("since", "until", *_SAME, "tag")}
    return " AND ".join(conditions), {**values, "tag_written": json.dumps(wanted.tag, ensure_ascii=False)}
