"""OpenRouter's own record of a call (GET /generation), and what it adds to what the response has said.

https://openrouter.ai/docs/api-reference/get-a-generation
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orobserve.generation import (
    Attempt,
    CacheInfo,
    Content,
    Cost,
    Enrichment,
    Message,
    Outcome,
    Reasoning,
    Routing,
    Stats,
    Text,
    Usage,
    fill,
    known,
)
from orobserve.wire.routing import bare_slug
from orobserve.wire.usage import price
from orobserve.wire.values import Object, amount, count, flag, mapping, number, objects, text

if TYPE_CHECKING:
    from orobserve.generation import Generation, Request

# Native counts, the same as the response's own. The record has no count of tokens written to a prompt cache.
_USAGE = {
    "native_tokens_prompt": "input_tokens",
    "native_tokens_completion": "output_tokens",
    "native_tokens_reasoning": "reasoning_output_tokens",
    "native_tokens_cached": "cache_read_input_tokens",
    "native_tokens_completion_images": "image_output_tokens",
}
_STATS = {
    "request_id": ("request_id", text),
    "upstream_id": ("upstream_id", text),
    "latency": ("latency_ms", number),
    "generation_time": ("generation_time_ms", number),
    "moderation_latency": ("moderation_latency_ms", number),
    "tokens_prompt": ("normalized_input_tokens", count),
    "tokens_completion": ("normalized_output_tokens", count),
    "data_region": ("data_region", text),
    "workspace_id": ("workspace_id", text),
    "preset_id": ("preset_id", text),
    "app_id": ("app_id", count),
    "num_search_results": ("web_search_results", count),
    "web_search_engine": ("web_search_engine", text),
    "cancelled": ("is_cancelled", flag),
}
# All that is read of a record, by its names.
FIELDS = frozenset(
    {
        *_USAGE,
        *_STATS,
        *("provider_name", "model", "finish_reason", "native_finish_reason", "service_tier", "num_fetches"),
        *("total_cost", "usage", "is_byok", "upstream_inference_cost", "cache_discount"),
        *("provider_responses", "router", "response_cache_source_id", "session_id", "external_user", "http_referer"),
    }
)
_TOLERANCE = 1e-9
_UNFLAGGED = frozenset({"rerank", "transcriptions"})


def merge(generation: Generation, given: Object) -> Generation:
    """Return the generation with what its record says; nothing is changed in place.

    The record's figures win for tokens and cost; for all else the response's own words do. Where both speak and
    differ, `enrichment.mismatch` names the field. A figure that the record lacks stays what the response said.

    Args:
        generation: what is known of the call so far.
        given: the record, which is `data` of the answer.
    """
    usage, cost = _usage(generation.usage, given), _cost(generation.cost, given)
    provider, model = text(given.get("provider_name")), text(given.get("model"))
    mismatch = [
        *_differences("usage", generation.usage, usage),
        *_differences("cost", generation.cost, cost),
        *(["cost.usage"] if _differ(amount(given.get("total_cost")), amount(given.get("usage"))) else []),
        *(["provider"] if _differ(generation.provider, provider) else []),
        *(["model"] if generation.model and model and bare_slug(generation.model) != bare_slug(model) else []),
    ]
    finish, native = text(given.get("finish_reason")), text(given.get("native_finish_reason"))
    return replace(
        generation,
        model=generation.model or model,
        provider=generation.provider or provider,
        service_tier=generation.service_tier or text(given.get("service_tier")),
        finish_reasons=generation.finish_reasons or ((finish,) if finish else None),
        native_finish_reasons=generation.native_finish_reasons or ((native,) if native else None),
        usage=usage,
        cost=cost,
        routing=_routing(generation.routing, given),
        cache=_cache(generation.cache, given),
        request=_request(generation.request, given),
        stats=fill(Stats, _read(given)),
        enrichment=Enrichment(status="complete", mismatch=tuple(mismatch) or None),
    )


def _read(given: Object) -> dict[str, Any]:
    fields = {field: read(given.get(key)) for key, (field, read) in _STATS.items()}
    return {field: value for field, value in fields.items() if value is not None}


def _usage(said: Usage | None, given: Object) -> Usage | None:
    fields: dict[str, Any] = dict(known(said)) if said is not None else {}
    for key, field in _USAGE.items():
        tokens = count(given.get(key))
        if tokens is not None:
            fields[field] = tokens
    if fields.get("web_fetch_requests") is None and (fetches := count(given.get("num_fetches"))) is not None:
        fields["web_fetch_requests"] = fetches
    if (fields.get("input_tokens"), fields.get("output_tokens")) != _totals(said):
        fields["total_tokens"] = (fields.get("input_tokens") or 0) + (fields.get("output_tokens") or 0)
    return fill(Usage, fields) if fields else None


def _totals(said: Usage | None) -> tuple[int | None, int | None]:
    return (said.input_tokens, said.output_tokens) if said is not None else (None, None)


def _cost(said: Cost | None, given: Object) -> Cost | None:
    """Return the record's cost; the upstream's bill is the response's where the record, as it may, leaves it out."""
    charged, discount = amount(given.get("total_cost")), number(given.get("cache_discount"))
    if discount is None and said is not None:
        discount = said.cache_discount
    if charged is None:
        charged = amount(given.get("usage"))
    if charged is None:
        return replace(said, cache_discount=discount) if said is not None else None
    is_byok, upstream = flag(given.get("is_byok")), amount(given.get("upstream_inference_cost"))
    given_split = {}
    if said is not None:
        is_byok = said.is_byok if is_byok is None else is_byok
        upstream = said.upstream if upstream is None else upstream
        given_split = {"upstream_input": said.upstream_input, "upstream_output": said.upstream_output}
    cost = price(charged, is_byok=is_byok, source="generation", upstream=upstream, **given_split)
    return replace(cost, cache_discount=discount) if discount is not None else cost


def _differences(part: str, said: Usage | Cost | None, recorded: Usage | Cost | None) -> list[str]:
    if said is None or recorded is None:
        return []
    fields = tuple(_USAGE.values())
    if isinstance(said, Cost):  # without BYOK the upstream's bill is noise: null, 0 or the charge again
        fields = ("charged", "is_byok", "upstream") if said.is_byok else ("charged", "is_byok")
    return [f"{part}.{field}" for field in fields if _differ(getattr(said, field), getattr(recorded, field))]


def _differ(said: float | str | None, recorded: float | str | None) -> bool:
    if said is None or recorded is None:
        return False
    if isinstance(said, str) or isinstance(recorded, str):
        return said != recorded
    return not math.isclose(said, recorded, rel_tol=_TOLERANCE, abs_tol=0.0)


def _routing(said: Routing | None, given: Object) -> Routing | None:
    attempts = tuple(
        Attempt(
            provider=text(item.get("provider_name")),
            model=text(item.get("model_permaslug")),
            status=count(item.get("status")),
            latency_ms=number(item.get("latency")),
            is_byok=flag(item.get("is_byok")),
            service_tier=text(item.get("routed_service_tier")),
        )
        for item in objects(given.get("provider_responses"))
    )
    router = text(given.get("router"))
    if not attempts and router is None:
        return said
    fields: dict[str, Any] = dict(known(said)) if said is not None else {}
    if router is not None:
        fields["router"] = router
    if attempts:
        fields["attempts"] = attempts  # they carry latencies, which the router's own metadata does not
        if fields.get("attempt_count") is None:
            fields["attempt_count"] = len(attempts)
        fields["fallback"] = bool(fields.get("fallback")) or len(attempts) > 1
    return fill(Routing, fields)


def _cache(said: CacheInfo | None, given: Object) -> CacheInfo | None:
    source = text(given.get("response_cache_source_id"))
    if source is None:
        return said
    return replace(said or CacheInfo(), status="hit", source_id=source)


def _request(asked: Request, given: Object) -> Request:
    found = {
        "session_id": text(given.get("session_id")),
        "user": text(given.get("external_user")),
        "referer": text(given.get("http_referer")),
    }
    missing: dict[str, Any] = {field: value for field, value in found.items() if value and not getattr(asked, field)}
    return replace(asked, **missing) if missing else asked


def merge_content(generation: Generation, given: Object) -> Generation:
    """Return the generation with the answer that OpenRouter has stored of it (GET /generation/content).

    Only for a stream that was not read to its end; what was asked is known already.

    Args:
        generation: what is known of the call so far.
        given: the stored content, which is `data` of the answer.
    """
    output = mapping(given.get("output"))
    parts = [
        kind(content=stored)
        for kind, stored in ((Reasoning, output.get("reasoning")), (Text, output.get("completion")))
        if isinstance(stored, str) and stored
    ]
    if not parts or generation.outcome is Outcome.COMPLETE:
        return generation
    answer = Message(role="assistant", parts=tuple(parts))
    said = generation.content or Content()
    return replace(generation, content=replace(said, output=(answer,)))


def is_record_of(generation_id: str, answer: object) -> bool:
    """Tell whether an answer of GET /generation is the record of this very call."""
    return mapping(mapping(answer).get("data")).get("id") == generation_id


def is_short_of_figures(generation: Generation) -> bool:
    """Tell whether the response has left open what the call cost.

    It said nothing, or nothing clear (BYOK or not?), or was not read to its end. Reranks and transcriptions never say
    whether the key was the caller's own, and then their cost is OpenRouter's fee alone.
    """
    if generation.outcome is Outcome.FAILED and (generation.status_code or 0) >= 400:  # noqa: PLR2004 - HTTP errors
        return False  # refused before anything was generated, or after attempts that cost nothing
    cost = generation.cost
    if cost is None or cost.total is None or cost.ambiguous:
        return True
    is_unflagged = cost.is_byok is None and generation.api_type in _UNFLAGGED
    return is_unflagged or generation.outcome is not Outcome.COMPLETE
