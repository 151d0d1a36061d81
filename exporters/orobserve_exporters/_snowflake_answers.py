"""What Snowflake's SQL API answers, in words that name what to change. Messages are never quoted: they may hold values.

https://docs.snowflake.com/en/developer-guide/sql-api/handling-errors
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orobserve.delivery import Result, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve.delivery import HTTPResponse

MISSING = {"001757", "002003", "002043"}  # no such table, or none that the role may see
STALE = {*MISSING, "000904", "100072"}  # also: no such column, and NULL where it may not be

_RUNNING, _TIMED_OUT, _FAILED = 202, 408, 422
_POLL = 2.0  # seconds
_LENGTH = re.compile(r"(?:VARCHAR|CHAR|STRING|TEXT)\((\d+)\)", re.IGNORECASE)
_HANDLE = re.compile(r"[0-9A-Za-z-]{1,64}")
_WORD = re.compile(r"[0-9A-Za-z]{1,10}")

_PATH = "the table, or what it is in, does not exist or is hidden from the role: check database, schema, table and role"
_HINTS = {
    **dict.fromkeys(MISSING, _PATH),
    "000606": "there is no such warehouse for the role: check warehouse, and grant USAGE on it",
    "000625": "too many statements wait for the table",
    "000630": "the statement took too long: choose a larger warehouse",
    "000904": "a column is not what it was",
    "003001": "the role lacks a right: grant USAGE on database, schema and warehouse, and SELECT, INSERT and UPDATE"
    " on the table",
    "100072": "a column that may not be NULL would be",
    "100078": "a text is too long for its column",
    "390189": "the user does not have the role: check role",
    **dict.fromkeys(("100035", "100038", "100040", "100071"), "a column's type does not take what belongs there"),
}
_ONE_ROW = {"100035", "100038", "100040", "100071", "100072", "100078"}
_VERDICTS = {
    "000625": Verdict.RETRY,
    **dict.fromkeys(_ONE_ROW, Verdict.TOO_LARGE),  # halves may be taken, all but that row in the end
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A column of the table."""

    nullable: bool = True
    default: bool = False
    length: int | None = None  # of a text, in characters


def columns(response: HTTPResponse) -> dict[str, Known]:
    """Return the columns that DESCRIBE TABLE has told, by name; none if it has not."""
    said = _read(response)
    head = said.get("resultSetMetaData")
    kinds = head.get("rowType") if isinstance(head, dict) else None
    names = [str(kind.get("name")) for kind in kinds or () if isinstance(kind, dict)]
    rows = [dict(zip(names, values, strict=False)) for values in said.get("data") or ()]
    return {str(found["name"]): _known(found) for found in rows if found.get("name")}


def handle(response: HTTPResponse) -> str:
    """Return the handle of a statement that still runs; empty if it has none."""
    found = _read(response).get("statementHandle")
    return found if isinstance(found, str) and _HANDLE.fullmatch(found) else ""


def sql_code(response: HTTPResponse) -> str:
    """Return Snowflake's number of an error, which has six digits as a rule; empty if there is none."""
    found = str(_read(response).get("code") or "")
    return found.zfill(6) if _WORD.fullmatch(found) else ""


def explained(response: HTTPResponse) -> Result | None:
    """Return what a failure means, if it is one of Snowflake's own."""
    status, code = response.status, sql_code(response)
    told = f"HTTP {status}" + (f", code {code}" if code else "")
    if status in {401, 403}:
        reason = (
            f"the token is refused ({told}): it may have expired or be of another account, or its user needs a network"
            " policy that lets this address in; check token, account and role"
        )
        return Result(verdict=Verdict.REJECTED, reason=reason)
    if status == _FAILED:
        state = str(_read(response).get("sqlState") or "")
        told += f", SQL state {state}" if _WORD.fullmatch(state) else ""
        verdict = _VERDICTS.get(code, Verdict.REJECTED)
        return Result(verdict=verdict, reason=f"{_HINTS.get(code, 'Snowflake refuses the statement')} ({told})")
    return None


def started(judge: Callable[[HTTPResponse], Result]) -> Callable[[HTTPResponse], Result]:
    """Return a judge of the answer to a statement: one that still runs is gone on with."""

    def judged(response: HTTPResponse) -> Result:
        if response.status == _RUNNING and not handle(response):
            return Result(verdict=Verdict.RETRY, reason="the statement still runs, and has no handle")
        return judge(response)

    return judged


def ended(judge: Callable[[HTTPResponse], Result]) -> Callable[[HTTPResponse], Result]:
    """Return a judge of the answer how far a statement is."""

    def judged(response: HTTPResponse) -> Result:
        if response.status == _RUNNING:
            return Result(verdict=Verdict.RETRY, reason="the statement still runs", retry_after=_POLL)
        if response.status == _TIMED_OUT:  # to ask again would not run it again
            return Result(verdict=Verdict.REJECTED, reason=f"{_HINTS['000630']} (HTTP {_TIMED_OUT})")
        return judge(response)

    return judged


def _read(response: HTTPResponse) -> dict[str, Any]:
    try:
        found = json.loads(response.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _known(found: dict[str, Any]) -> Known:
    length = _LENGTH.match(str(found.get("type")))
    return Known(
        nullable=found.get("null?") != "N",
        default=found.get("default") is not None,
        length=int(length[1]) if length else None,
    )
