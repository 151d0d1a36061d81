"""What BigQuery answers, in words that name what to change. Messages are never quoted: they may hold values.

https://cloud.google.com/bigquery/docs/error-messages
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from orobserve.delivery import Result, Verdict
from orobserve_exporters._bigquery_table import OURS

if TYPE_CHECKING:
    from orobserve.delivery import HTTPResponse

_WORD = re.compile(r"[A-Za-z_]{1,40}")
_QUOTAS = {"rateLimitExceeded", "quotaExceeded"}
_LATER = {*_QUOTAS, "backendError", "internalError", "stopped", "timeout"}
_RIGHTS = "grant BigQuery Data Editor on the dataset to the service account"
_HINTS = {
    400: "BigQuery cannot make sense of the request: check project_id, dataset and table",
    401: "the credentials are refused: check service_account_key",
    403: f"the service account lacks a permission, or the project cannot stream without billing: {_RIGHTS}",
    404: "there is no such path: check project_id, dataset and table",
}


def read(response: HTTPResponse) -> dict[str, Any]:
    """Return the JSON object of an answer; empty if it is none."""
    try:
        found = json.loads(response.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def explained(response: HTTPResponse) -> Result | None:
    """Return what a failure means, if there is more to say than its status does."""
    status, reason = response.status, _reason(response)
    told = f"HTTP {status}" + (f", {reason}" if reason else "")
    if reason in _QUOTAS:  # a 403
        return Result(verdict=Verdict.RETRY, reason=told)
    hint = _HINTS.get(status)
    return Result(verdict=Verdict.REJECTED, reason=f"{hint} ({told})") if hint else None


def token_refused(response: HTTPResponse) -> str:
    """Return why there is no token."""
    found = read(response).get("error")
    word = f", {found}" if isinstance(found, str) and _WORD.fullmatch(found) else ""
    return (
        f"the credentials are refused (HTTP {response.status}{word}): the key may be deleted or disabled, or this"
        " machine's clock be wrong; check service_account_key"
    )


def settled(response: HTTPResponse, count: int) -> tuple[list[int], Result]:
    """Return which rows of an `insertAll` are to be sent again, and what became of all.

    An answer of 200 may say that rows were not taken. `RETRY` is the word only where none was settled: what is sent
    again is always less than before, or waits. One that cannot be read, as it is too long, may be about any row.

    Args:
        response: the answer.
        count: how many rows were sent.
    """
    if response.body and not response.body.rstrip().endswith(b"}"):
        return [], Result(verdict=Verdict.TOO_LARGE, reason="the answer about the rows cannot be read")
    faults = _faults(response, count)
    again = [index for index, found in faults.items() if {reason for reason, _ in found} <= _LATER]
    if again and len(again) == count:
        words = sorted({reason for index in again for reason, _ in faults[index]})
        return again, Result(verdict=Verdict.RETRY, reason=f"no row is taken for now: {', '.join(words)}")
    refused = [found for index, found in faults.items() if index not in again]
    causes = sorted({f"{reason}{place}" for found in refused for reason, place in found if reason not in _LATER})
    reason = f"rows are refused: {', '.join(causes[:3])}" if refused else ""
    return again, Result(verdict=Verdict.DELIVERED, rejected=len(refused), reason=reason)


def _faults(response: HTTPResponse, count: int) -> dict[int, list[tuple[str, str]]]:
    """Return reasons and columns by row."""
    found: dict[int, list[tuple[str, str]]] = {}
    for entry in read(response).get("insertErrors") or ():
        index = entry.get("index", 0)
        if not isinstance(index, int) or not 0 <= index < count:
            continue
        errors: list[dict[str, Any]] = entry.get("errors") or [{}]
        told = [(_word(error.get("reason")), _place(error.get("location"))) for error in errors]
        found.setdefault(index, []).extend(told)
    return found


def _word(reason: object) -> str:
    return reason if isinstance(reason, str) and _WORD.fullmatch(reason) else "unknown"


def _place(location: object) -> str:
    return f" at {location}" if isinstance(location, str) and location.upper() in OURS else ""


def _reason(response: HTTPResponse) -> str:
    """Return BigQuery's own word for an error."""
    error = read(response).get("error")
    errors = error.get("errors") if isinstance(error, dict) else None
    found = errors[0].get("reason") if errors and isinstance(errors[0], dict) else None
    return found if isinstance(found, str) and _WORD.fullmatch(found) else ""
