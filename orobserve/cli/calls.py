"""A call of the ledger, as a line and as JSON: one way of saying it for all commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.cli import selection
from orobserve.ledger.columns import TOKENS
from orobserve.telemetry.console import Told, is_terminal

if TYPE_CHECKING:
    from typing import TextIO

    from orobserve.ledger.query import Row

_BEGINNING = len("gen-1764126029-") + 4


def told(row: Row) -> Told:
    """Return what a line tells of a call."""
    return Told(
        name=row.model or row.operation,
        provider=row.provider,
        input_tokens=row.input_tokens,
        cached=row.cache_read_tokens,
        output_tokens=row.output_tokens,
        cost=row.cost,
        duration=_seconds(row.duration),
        first_chunk=_seconds(row.first_chunk),
        cache=row.response_cache,
        error=row.error,
        outcome=row.outcome,
    )


def as_json(row: Row) -> dict[str, Any]:
    """Return a call as machines get it: times in UTC and seconds, USD; None is unknown."""
    line = told(row)
    return {
        **{name: getattr(row, name) for name in ("generation_id", "trace_id", "span_id")},
        "started_at": selection.utc(row.started_at),
        "seconds": line.duration,
        "time_to_first_chunk": line.first_chunk,
        "tokens_per_second": line.tokens_per_second,
        **{name: getattr(row, name) for name in ("operation", "model", "provider", "user", "session", "api_key")},
        "tags": list(row.tags),
        **{name: getattr(row, name) for name in TOKENS},
        "cost": row.cost,
        "cache_saving": row.cache_saving,
        **{name: getattr(row, name) for name in ("response_cache", "outcome", "status", "failed", "error")},
    }


def shown_id(row_id: str | None, stream: TextIO) -> str | None:
    """Return a generation id as it is shown: on a terminal its beginning, which `orobserve show` takes too."""
    return row_id[:_BEGINNING] if row_id and is_terminal(stream) else row_id


def rate(part: int | None, whole: int | None) -> float | None:
    """Return the share of the input that came from a prompt cache; None where it is not known, or nothing was sent."""
    return None if part is None or not whole else part / whole


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e9
