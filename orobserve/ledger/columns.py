"""What of a record is a column: that by which calls are found, grouped and summed. Everything else is in its JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from orobserve._identity import key_of, parts_of
from orobserve.generation import Outcome, Usage
from orobserve.ledger import money

if TYPE_CHECKING:
    from orobserve.generation import Generation

DAY = 86_400 * 10**9  # nanoseconds
TOKENS = {  # columns of token counts, and the fields of `Usage` they come from
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_write_input_tokens",
    "reasoning_tokens": "reasoning_output_tokens",
}
_MOST = 10**12  # what one call may count, so that sums of all calls stay within 64 bits
_LATEST = 2**62  # nanoseconds: the year 2116
_MOST_TAGS, _LONGEST = 64, 256
_NO_USAGE = Usage()


def columns(generation: Generation) -> dict[str, Any]:
    """Return the values by column; None is unknown, and so is what no honest record can hold."""
    asked, timing, usage = generation.request, generation.timing, generation.usage or _NO_USAGE
    cost = money.split(generation.cost.total) if generation.cost is not None else None
    started = _whole(timing.started_at, _LATEST) or 0
    first = timing.first_chunk_at
    is_placed = bool(generation.span_id and generation.span_id.strip("0"))
    texts = {
        "key": _key(generation, is_placed=is_placed),
        "generation_id": generation.id,
        "trace_id": generation.trace_id,
        "span_id": generation.span_id if is_placed else None,
        "parent_span_id": generation.parent_span_id,
        "operation": generation.operation,
        "model": generation.model or asked.model,
        "provider": generation.provider,
        "user": asked.user,
        "session": asked.session_id,
        "api_key": asked.api_key_hash,
        "name": generation.name,
        "outcome": generation.outcome.value,
        "error": generation.error.type if generation.error is not None else None,
        "tags": _tags(generation),
    }
    return {
        **{name: _text(value) for name, value in texts.items()},
        "started_at": started,
        "day": started // DAY,
        "duration": _whole(timing.ended_at - timing.started_at, _LATEST),
        "first_chunk": None if first is None else _whole(first - timing.started_at, _LATEST),
        "status": _whole(generation.status_code, _MOST),
        "failed": int(generation.error is not None or generation.outcome is Outcome.FAILED),
        **{name: _whole(getattr(usage, field), _MOST) for name, field in TOKENS.items()},
        "cost_nano": cost.nano if cost is not None else None,
        "cost_rest": cost.rest if cost is not None else None,
        "parts": parts_of(generation).value,
    }


def _key(generation: Generation, *, is_placed: bool) -> str:
    """Return what the call is known by. Attempts inside a span of somebody else's share its ids, not their start."""
    found = key_of(generation)
    if found == generation.id:
        return found
    return f"{found}:{generation.timing.started_at}" if is_placed else uuid4().hex


def tags_of(generation: Generation) -> list[str]:
    """Return the words of the key `tags` in the call's metadata, and its other plain entries as `key=value`."""
    trace = generation.request.trace
    custom = {**((trace and trace.metadata) or {}), **(generation.tags or {})}
    listed = custom.get("tags")
    words = [str(tag) for tag in listed] if isinstance(listed, (list, tuple)) else []
    plain = [f"{key}={_word(value)}" for key, value in custom.items() if isinstance(value, (str, int, float))]
    return [tag for tag in dict.fromkeys(words + plain) if len(tag) <= _LONGEST][:_MOST_TAGS]


def _tags(generation: Generation) -> str | None:
    found = tags_of(generation)
    return json.dumps([_text(tag) for tag in found], ensure_ascii=False) if found else None


def _word(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _text(value: object) -> str | None:
    """Return a text as the database can hold it."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")  # SQLite's functions end a text at NUL


def _whole(value: object, most: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else None
