"""What of a record is a column: that by which calls are found, grouped and summed. Everything else is in its JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from orobserve._identity import key_of, parts_of
from orobserve.generation import Cost, Usage
from orobserve.ledger import money
from orobserve.ledger.percentiles import bin_of

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
_NO_USAGE, _NO_COST = Usage(), Cost()


def columns(generation: Generation) -> dict[str, Any]:
    """Return the values by column; None is unknown, and so is what no honest record can hold."""
    asked, timing, usage = generation.request, generation.timing, generation.usage or _NO_USAGE
    paid = generation.cost or _NO_COST
    cost, saving = money.split(paid.total), money.split(paid.cache_discount)
    started = _whole(timing.started_at, _LATEST) or 0
    duration = _whole(timing.ended_at - timing.started_at, _LATEST)
    first = timing.first_chunk_at
    first_chunk = None if first is None else _whole(first - timing.started_at, _LATEST)
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
        "response_cache": _response_cache(generation),
    }
    return {
        **{name: _text(value) for name, value in texts.items()},
        "started_at": started,
        "day": started // DAY,
        "duration": duration,
        "duration_bin": bin_of(duration),
        "first_chunk": first_chunk,
        "first_chunk_bin": bin_of(first_chunk),
        "status": _whole(generation.status_code, _MOST),
        "failed": int(generation.failed),
        **{name: _whole(getattr(usage, field), _MOST) for name, field in TOKENS.items()},
        **money.columns("cost", cost),
        **money.columns("saving", saving),
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
    return [tag for tag in dict.fromkeys(words + plain) if 0 < len(tag) <= _LONGEST][:_MOST_TAGS]


def _tags(generation: Generation) -> str | None:
    found = tags_of(generation)
    return json.dumps([_text(tag) for tag in found], ensure_ascii=False) if found else None


def _response_cache(generation: Generation) -> str | None:
    status = generation.cache.status if generation.cache is not None else None
    return status if status in {"hit", "miss"} else None


def _word(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _text(value: object) -> str | None:
    """Return a text as the database can hold it; an empty one tells nothing."""
    if not isinstance(value, str) or not value:
        return None
    found = value if value.isascii() else value.encode("utf-8", "replace").decode()
    return found.replace("\0", "\ufffd")  # where SQLite's functions of JSON would end the text


def _whole(value: object, most: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else None
