"""Figures and times in the shapes that products want. Nothing is guessed: a split that does not add up is not given."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.generation import Cost, Usage

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def disjoint_usage(usage: Usage) -> dict[str, int]:
    """Return token buckets that do not overlap and add up to `total`.

    Keys: `input`, `input_cached_tokens`, `input_cache_creation`, `input_audio_tokens`, `output`,
    `output_reasoning_tokens`, `output_audio_tokens`, `total`; parts of 0 are left out. A part that is larger than its
    whole is left out too, since the buckets would then not add up.
    """
    parts = {
        "input": (
            usage.input_tokens,
            {
                "input_cached_tokens": usage.cache_read_input_tokens,
                "input_cache_creation": usage.cache_write_input_tokens,
                "input_audio_tokens": usage.audio_input_tokens,
            },
        ),
        "output": (
            usage.output_tokens,
            {
                "output_reasoning_tokens": usage.reasoning_output_tokens,
                "output_audio_tokens": usage.audio_output_tokens,
            },
        ),
    }
    buckets: dict[str, int] = {}
    for name, (whole, subsets) in parts.items():
        if whole is None:
            continue
        rest = whole
        for subset, tokens in subsets.items():
            if tokens and tokens <= rest:
                buckets[subset] = tokens
                rest -= tokens
        buckets[name] = rest
    if buckets:
        buckets["total"] = sum(buckets.values())
    return buckets


def total_tokens(usage: Usage) -> int | None:
    """Return the total that was told, else that of input and output where both were."""
    given, taken = usage.input_tokens, usage.output_tokens
    if usage.total_tokens is None and given is not None and taken is not None:
        return given + taken
    return usage.total_tokens


def moment(nanoseconds: int) -> datetime:
    """Return a time since the epoch in UTC, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def known(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known: None is left out."""
    return {name: value for name, value in fields.items() if value is not None}


def split_cost(cost: Cost) -> tuple[float, float] | None:
    """Return the cost of input and output where OpenRouter gave both and they add up to the total, else None."""
    given, taken = cost.upstream_input, cost.upstream_output
    if given is None or taken is None or cost.total is None:
        return None
    return (given, taken) if math.isclose(given + taken, cost.total, rel_tol=1e-3, abs_tol=1e-9) else None
