"""How a call ended and what went wrong, from everything that can tell: body, status, exception, missing end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from orobserve.generation import Error, Outcome
from orobserve.wire.errors import UNKNOWN, status_error
from orobserve.wire.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterable

Reason: TypeAlias = "BaseException | Outcome | None"  # None: after the last byte

ERROR_STATUS = 400
_TRUNCATED = Error(type="stream_truncated", message="the stream ended without its terminal event")


def judge(found: Error | None, reason: Reason, status: int | None, *, truncated: bool) -> tuple[Outcome, Error | None]:
    """Return how the call ended.

    Args:
        found: the error that the body holds.
        reason: what ended the call.
        status: the HTTP status, if a response came.
        truncated: it is a stream whose terminal event has not come.
    """
    error = found or _of_reason(reason) or (status_error(status) if status and status >= ERROR_STATUS else None)
    if error is not None:
        return Outcome.FAILED, error
    if isinstance(reason, Outcome):
        return reason, None
    if reason is not None:
        return Outcome.CANCELLED, None
    return (Outcome.TRUNCATED, _TRUNCATED) if truncated else (Outcome.COMPLETE, None)


def _of_reason(reason: Reason) -> Error | None:
    if reason is Outcome.FAILED:
        return Error(type=UNKNOWN, message="no response", transport=True)
    if isinstance(reason, Exception):
        kind = type(reason)
        return Error(type=f"{kind.__module__}.{kind.__qualname__}", message=str(reason) or None, transport=True)
    return None


def complete(error: Error, status: int | None, retry_after: float | None, secrets: Iterable[str]) -> Error:
    """Add to an error what the response's head says, and take secrets out of its message."""
    changes: dict[str, object] = {}
    if error.type == UNKNOWN and status is not None and status >= ERROR_STATUS:
        changes["type"] = str(status)
        changes["code"] = error.code or str(status)
    if retry_after is not None:
        changes["retry_after"] = retry_after
    if error.message:
        changes["message"] = redact(error.message, secrets)
    return replace(error, **changes)  # type: ignore[arg-type]  # fields of Error
