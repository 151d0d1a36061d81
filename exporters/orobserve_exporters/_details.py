"""What products want beside messages, tokens and cost: parameters, custom metadata, tags, and facts of OpenRouter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.generation import Outcome

if TYPE_CHECKING:
    from orobserve.generation import Generation

_PARAMETERS = {  # by field of the request, as chat completions spells them
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "seed": "seed",
    "max_tokens": "max_tokens",
    "stop_sequences": "stop",
    "choice_count": "n",
    "reasoning_level": "reasoning_effort",
    "tool_choice": "tool_choice",
    "service_tier": "service_tier",
    "dimensions": "dimensions",
}


def model(generation: Generation) -> str | None:
    """Return the model that answered, else the one that was asked for."""
    return generation.model or generation.request.model


def parameters(generation: Generation) -> dict[str, Any]:
    """Return the sampling parameters that were sent, as chat completions spells them."""
    given = {name: getattr(generation.request, field) for field, name in _PARAMETERS.items()}
    return {name: value for name, value in given.items() if value is not None}


def metadata(generation: Generation) -> dict[str, Any]:
    """Return the custom metadata of the request and of the surrounding code, without the tags."""
    found = _custom(generation)
    if tags(generation):
        del found["tags"]
    return found


def tags(generation: Generation) -> list[str]:
    """Return the words under the key `tags` of the custom metadata; none when it holds anything else than a list."""
    given = _custom(generation).get("tags")
    return [str(tag) for tag in given] if isinstance(given, (list, tuple)) else []


def facts(generation: Generation) -> dict[str, Any]:
    """Return what OpenRouter knows and products have no field for; costs in USD, times in seconds."""
    cost, asked = generation.cost, generation.request.model
    found = {
        "generation_id": generation.id,
        "provider": generation.provider,
        "requested_model": asked if asked != generation.model else None,
        "finish_reasons": list(generation.finish_reasons or ()) or None,
        "outcome": None if generation.outcome is Outcome.COMPLETE else generation.outcome.value,
        "service_tier": generation.service_tier,
        "time_to_first_token": generation.timing.time_to_first_chunk,
        "response_cache": generation.cache and generation.cache.status,
        "cost_usd": cost and cost.total,
    }
    if cost and cost.is_byok:
        found |= {"is_byok": True, "cost_charged_usd": cost.charged, "cost_upstream_usd": cost.upstream}
    return {name: value for name, value in found.items() if value is not None}


def _custom(generation: Generation) -> dict[str, Any]:
    trace = generation.request.trace
    return {**(generation.tags or {}), **((trace and trace.metadata) or {})}
