"""Usage and cost of every dialect in one place: totals inclusive, subsets never added, unknown never 0.

https://openrouter.ai/docs/use-cases/usage-accounting
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from orobserve.generation import Cost, Usage, fill
from orobserve.wire.values import Object, amount, count, flag, mapping, number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Table: TypeAlias = "Mapping[str, tuple[str, Callable[[Any], Any]]]"

_TOTALS: _Table = {
    "prompt_tokens": ("input_tokens", count),
    "completion_tokens": ("output_tokens", count),
    "input_tokens": ("input_tokens", count),
    "output_tokens": ("output_tokens", count),
    "total_tokens": ("total_tokens", count),
    "cache_read_input_tokens": ("cache_read_input_tokens", count),
    "cache_creation_input_tokens": ("cache_write_input_tokens", count),
    "search_units": ("search_units", count),
    "seconds": ("audio_input_seconds", number),
}
_INPUT: _Table = {
    "cached_tokens": ("cache_read_input_tokens", count),
    "cache_write_tokens": ("cache_write_input_tokens", count),
    "text_tokens": ("text_input_tokens", count),
    "image_tokens": ("image_input_tokens", count),
    "audio_tokens": ("audio_input_tokens", count),
    "video_tokens": ("video_input_tokens", count),
    "file_tokens": ("file_input_tokens", count),
}
_OUTPUT: _Table = {
    "reasoning_tokens": ("reasoning_output_tokens", count),
    "thinking_tokens": ("reasoning_output_tokens", count),
    "text_tokens": ("text_output_tokens", count),
    "image_tokens": ("image_output_tokens", count),
    "audio_tokens": ("audio_output_tokens", count),
    "accepted_prediction_tokens": ("accepted_prediction_tokens", count),
    "rejected_prediction_tokens": ("rejected_prediction_tokens", count),
}
_CACHE_WRITES: _Table = {
    "ephemeral_5m_input_tokens": ("cache_write_5m_input_tokens", count),
    "ephemeral_1h_input_tokens": ("cache_write_1h_input_tokens", count),
}
_SERVER_TOOLS: _Table = {
    "web_search_requests": ("web_search_requests", count),
    "web_fetch_requests": ("web_fetch_requests", count),
    "tool_calls_requested": ("server_tools_requested", count),
    "tool_calls_executed": ("server_tools_executed", count),
}
_DETAILS: Mapping[str, _Table] = {
    "prompt_tokens_details": _INPUT,
    "input_tokens_details": _INPUT,
    "input_token_details": _INPUT,
    "completion_tokens_details": _OUTPUT,
    "output_tokens_details": _OUTPUT,
    "cache_creation": _CACHE_WRITES,
    "server_tool_use": _SERVER_TOOLS,
    "server_tool_use_details": _SERVER_TOOLS,
}
_UPSTREAM: _Table = {
    "upstream_inference_cost": ("upstream", amount),
    "upstream_inference_prompt_cost": ("upstream_input", amount),
    "upstream_inference_input_cost": ("upstream_input", amount),
    "upstream_inference_completions_cost": ("upstream_output", amount),
    "upstream_inference_output_cost": ("upstream_output", amount),
}


def _read(fields: dict[str, Any], given: Mapping[str, Any], table: _Table) -> None:
    for key, value in given.items():
        row = table.get(key)
        if row is not None and value is not None:
            known = row[1](value)
            if known is not None:
                fields[row[0]] = known


def read_usage(given: Object, *, cache_apart: bool = False) -> Usage | None:
    """Return the counts of a usage object, or None if it has none.

    Args:
        given: the object, in any dialect's spelling.
        cache_apart: its input count leaves out cached and cache-write tokens (Anthropic's), so they are added.
    """
    fields: dict[str, Any] = {}
    _read(fields, given, _TOTALS)
    for key, value in given.items():
        if type(value) is dict and key in _DETAILS:
            _read(fields, value, _DETAILS[key])
    input_tokens, output_tokens = fields.get("input_tokens"), fields.get("output_tokens")
    if cache_apart and input_tokens is not None:
        cached = (fields.get("cache_read_input_tokens") or 0) + (fields.get("cache_write_input_tokens") or 0)
        fields["input_tokens"] = input_tokens = input_tokens + cached
    if fields.get("total_tokens") is None and input_tokens is not None and output_tokens is not None:
        fields["total_tokens"] = input_tokens + output_tokens
    return fill(Usage, fields) if fields else None


def read_cost(given: Object, *, is_byok: bool | None = None) -> Cost | None:
    """Return what a usage object says of money, or None if it says nothing.

    Args:
        given: the usage object.
        is_byok: the flag of another place (router metadata), where the usage object has none.
    """
    charged = amount(given.get("cost"))
    fields: dict[str, Any] = {}
    _read(fields, mapping(given.get("cost_details")), _UPSTREAM)
    flagged = flag(given.get("is_byok"))
    if flagged is None:
        flagged = is_byok
    if charged is None and not fields and flagged is None:
        return None
    return price(charged, is_byok=flagged, source="response", **fields)


def price(
    charged: float | None,
    *,
    is_byok: bool | None,
    source: str,
    upstream: float | None = None,
    upstream_input: float | None = None,
    upstream_output: float | None = None,
) -> Cost:
    """Apply the BYOK rule: the upstream's own bill counts only when the caller's key paid it.

    Without the flag, equal or missing figures mean no BYOK, a free charge beside a positive upstream bill means BYOK,
    and anything else stays the charge alone and is marked ambiguous.
    """
    ambiguous = None
    byok = is_byok
    if byok is None and charged is not None and upstream:
        byok = True if charged == 0 else None
        ambiguous = True if charged and not math.isclose(charged, upstream, rel_tol=1e-9) else None
    total = charged
    if charged is not None and byok and upstream is not None:
        total = float(Decimal(repr(charged)) + Decimal(repr(upstream)))  # exact in the digits that were sent
    fields = {
        "charged": charged,
        "upstream": upstream,
        "upstream_input": upstream_input,
        "upstream_output": upstream_output,
        "total": total,
        "is_byok": byok,
        "ambiguous": ambiguous,
        "source": source if charged is not None else None,
    }
    return fill(Cost, fields)
