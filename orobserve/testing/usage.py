"""Spells token counts and money the way each dialect does, and misspells them when a scenario wants that."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from orobserve.testing.pricing import ZERO, number, numeral

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from orobserve.testing.answers import Answer
    from orobserve.testing.request import Payload

_HUGE = 9_007_199_254_740_993_000


def attach(payload: Payload, usage: Payload, answer: Answer) -> Payload:
    """Put usage into a payload, in the form the scenario asks for (absent, null, or with damaged values)."""
    form = answer.scenario.usage
    if form == "absent":
        return payload
    payload["usage"] = None if form == "null" else _damage(usage, _DAMAGES.get(form))
    return payload


def chat(answer: Answer) -> Payload:
    """Chat completions and legacy completions."""
    tokens = answer.tokens
    usage: Payload = {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.total,
        **money(answer),
        "prompt_tokens_details": {
            "cached_tokens": tokens.cached,
            "cache_write_tokens": tokens.cache_write,
            "audio_tokens": tokens.audio,
            "video_tokens": 0,
        },
        **_split(answer, "prompt", "completions"),
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "image_tokens": tokens.image,
            "audio_tokens": 0,
        },
    }
    return _with_searches(usage, answer)


def responses(answer: Answer) -> Payload:
    """Responses API."""
    tokens = answer.tokens
    usage: Payload = {
        "input_tokens": tokens.prompt,
        "input_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": tokens.cache_write},
        "output_tokens": tokens.completion,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.total,
        **money(answer),
        **_split(answer, "input", "output"),
    }
    return _with_searches(usage, answer)


def messages(answer: Answer) -> Payload:
    """Anthropic counts, whose input excludes what the provider's prompt cache read or wrote; without money."""
    tokens = answer.tokens
    written = {"ephemeral_5m_input_tokens": tokens.cache_write, "ephemeral_1h_input_tokens": 0}
    searches = answer.scenario.web_searches
    return {
        "input_tokens": tokens.prompt - tokens.cached - tokens.cache_write,
        "output_tokens": tokens.completion,
        "cache_creation_input_tokens": tokens.cache_write,
        "cache_read_input_tokens": tokens.cached,
        "cache_creation": written if tokens.cache_write else None,
        "output_tokens_details": {"thinking_tokens": tokens.reasoning} if tokens.reasoning else None,
        "server_tool_use": {"web_search_requests": searches, "web_fetch_requests": 0} if searches else None,
    }


def messages_result(answer: Answer) -> Payload:
    """Anthropic usage of a result that is not streamed: the only Messages usage with money in it."""
    return {
        **messages(answer),
        "inference_geo": None,
        "service_tier": "standard",
        **money(answer),
        **_split(answer, "prompt", "completions"),
    }


def embeddings(answer: Answer) -> Payload:
    """Embeddings."""
    tokens = answer.tokens
    return {
        "prompt_tokens": tokens.prompt,
        "total_tokens": tokens.prompt,
        **money(answer),
        **_split(answer, "prompt", "completions"),
    }


def images(answer: Answer) -> Payload:
    """Images."""
    tokens = answer.tokens
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.total,
        "completion_tokens_details": {"image_tokens": tokens.image, "reasoning_tokens": tokens.reasoning},
        **money(answer),
        **_split(answer, "prompt", "completions"),
    }


def money(answer: Answer) -> Payload:
    """``cost`` and ``is_byok``, each left out or spelled as the scenario says."""
    scenario = answer.scenario
    fields: Payload = {}
    cost = spell(answer.charge.charged, scenario.cost)
    if scenario.cost != "absent":
        fields["cost"] = cost
    if scenario.byok != "unflagged":
        fields["is_byok"] = answer.charge.byok
    return fields


def spell(amount: Decimal, form: str) -> int | float | str | None:
    """Spell an amount of money as number, string or null."""
    if form == "null":
        return None
    return numeral(amount) if form == "string" else number(amount)


def _split(answer: Answer, read: str, written: str) -> Payload:
    """``cost_details``; on calls that are not BYOK its total is null, zero or a copy of the cost."""
    charge = answer.charge
    form = answer.scenario.upstream
    if form == "absent" and not charge.byok:
        return {}
    forms: Mapping[str, Decimal | None] = {"null": None, "zero": ZERO, "equal": charge.charged}
    upstream = charge.upstream if charge.byok else forms[form]
    details = {
        "upstream_inference_cost": None if upstream is None else number(upstream),
        f"upstream_inference_{read}_cost": number(charge.prompt),
        f"upstream_inference_{written}_cost": number(charge.completion),
    }
    return {"cost_details": details}


def _with_searches(usage: Payload, answer: Answer) -> Payload:
    """Add server tool counters when a server tool ran."""
    searches = answer.scenario.web_searches
    if searches:
        usage["server_tool_use_details"] = {
            "tool_calls_requested": searches,
            "tool_calls_executed": searches,
            "web_search_requests": searches,
        }
    return usage


_DAMAGES: Mapping[str, Callable[[object], object]] = MappingProxyType(
    {
        "nulls": lambda _value: None,
        "wrong_types": lambda value: f"{value}" if isinstance(value, int | float) else [],
        "huge": lambda value: value if isinstance(value, bool) else _HUGE,
    }
)


def _damage(usage: object, damage: Callable[[object], object] | None) -> object:
    """Replace every leaf of the usage."""
    if damage is None:
        return usage
    if isinstance(usage, dict):
        return {key: _damage(value, damage) for key, value in usage.items()}
    return damage(usage)
