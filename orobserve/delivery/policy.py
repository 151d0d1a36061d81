"""What a destination gets of a record, in the one order that holds for all of them. Pure: no I/O, clock, environment.

The groups of metadata that Broadcast lets a destination ask for are objects in `generation.tags`. Their fields are
those of OpenRouter's own record of a call, by the names it gives them where the meaning is the same; what is unknown
is left out. Tokens, cost, model, user and session are in every record, whatever the groups.

- `openrouter_generation_cost`: `total_cost` (the number to sum), `charged_cost`, `upstream_inference_cost`,
  `upstream_inference_prompt_cost`, `upstream_inference_completions_cost`, `cache_discount`, `pipeline_cost`, `is_byok`,
  `cost_source`, `service_tier`, `num_search_results`, `web_search_engine`, `web_search_requests`, `web_fetch_requests`.
- `openrouter_identity`: `generation_id`, `response_id`, `request_id`, `upstream_id`, `external_user`, `session_id`,
  `api_key_hash`, `api_key_name`, `http_referer`, `app_title`, `app_id`, `workspace_id`, `preset_id`. Privacy mode
  leaves it, as Broadcast does.
- `openrouter_request_context`: `api_type`, `operation`, `streamed`, `cancelled`, `outcome`, `status_code`,
  `requested_model`, `preset`, `router`, `strategy`, `region`, `data_region`, `provider_name`, `provider_responses`,
  `attempt_count`, `finish_reason`, `native_finish_reason`, `latency`, `generation_time`, `moderation_latency` (ms),
  `cache_status`, `response_cache_source_id`.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from orobserve.delivery import privacy, sampling
from orobserve.generation import Cost, Outcome, Request, Routing, Stats, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orobserve.delivery.settings import DestinationSettings
    from orobserve.generation import Generation

_NO_COST, _NO_USAGE, _NO_STATS, _NO_ROUTING = Cost(), Usage(), Stats(), Routing()


def policy_for(settings: DestinationSettings) -> Callable[[Generation], Generation | None]:
    """Return what turns a record into the one that a destination gets, or into None."""

    def apply(generation: Generation) -> Generation | None:
        if not settings.enabled or not _has_key(settings, generation.request):
            return None
        rules = settings.filter_rules
        if rules is not None and not rules.match(generation, settings.api_key_labels):
            return None
        if not sampling.is_exempt(
            generation, settings.always_send, settings.always_send_above
        ) and not sampling.is_sampled(generation, settings.name, settings.sampling_rate):
            return None
        generation = _with_groups(_with_key_name(generation, settings.api_key_labels), settings)
        if settings.privacy_mode:
            return privacy.strip(generation)
        return privacy.mask(generation, settings.masks, settings.mask_patterns)

    return apply


def _has_key(settings: DestinationSettings, request: Request) -> bool:
    return settings.api_key_hashes is None or request.api_key_hash in settings.api_key_hashes


def _with_key_name(generation: Generation, labels: Mapping[str, str]) -> Generation:
    name = labels.get(generation.request.api_key_hash or "")
    return generation if name is None else replace(generation, request=replace(generation.request, api_key_name=name))


def _with_groups(generation: Generation, settings: DestinationSettings) -> Generation:
    groups: dict[str, dict[str, Any]] = {}
    if settings.broadcast_generation_cost:
        groups["openrouter_generation_cost"] = _cost(generation)
    if settings.broadcast_generation_identity:
        groups["openrouter_identity"] = _identity(generation)
    if settings.broadcast_generation_request_context:
        groups["openrouter_request_context"] = _context(generation)
    if not groups:
        return generation
    known = {name: {key: value for key, value in group.items() if value is not None} for name, group in groups.items()}
    return replace(generation, tags={**(generation.tags or {}), **known})


def _cost(generation: Generation) -> dict[str, Any]:
    cost, usage = generation.cost or _NO_COST, generation.usage or _NO_USAGE
    stats, routing = generation.stats or _NO_STATS, generation.routing or _NO_ROUTING
    return {
        "total_cost": cost.total,
        "charged_cost": cost.charged,
        "upstream_inference_cost": cost.upstream,
        "upstream_inference_prompt_cost": cost.upstream_input,
        "upstream_inference_completions_cost": cost.upstream_output,
        "cache_discount": cost.cache_discount,
        "pipeline_cost": routing.pipeline_cost,
        "is_byok": cost.is_byok,
        "cost_source": cost.source,
        "service_tier": generation.service_tier,
        "num_search_results": stats.web_search_results,
        "web_search_engine": stats.web_search_engine,
        "web_search_requests": usage.web_search_requests,
        "web_fetch_requests": usage.web_fetch_requests,
    }


def _identity(generation: Generation) -> dict[str, Any]:
    request, stats = generation.request, generation.stats or _NO_STATS
    return {
        "generation_id": generation.id,
        "response_id": generation.response_id,
        "request_id": stats.request_id,
        "upstream_id": stats.upstream_id,
        "external_user": request.user,
        "session_id": request.session_id,
        "api_key_hash": request.api_key_hash,
        "api_key_name": request.api_key_name,
        "http_referer": request.referer,
        "app_title": request.title,
        "app_id": stats.app_id,
        "workspace_id": stats.workspace_id,
        "preset_id": stats.preset_id,
    }


def _context(generation: Generation) -> dict[str, Any]:
    request, stats = generation.request, generation.stats or _NO_STATS
    routing, cache = generation.routing or _NO_ROUTING, generation.cache
    is_cancelled = True if generation.outcome is Outcome.CANCELLED else stats.is_cancelled
    return {
        "api_type": generation.api_type,
        "operation": generation.operation,
        "streamed": request.stream,
        "cancelled": is_cancelled,
        "outcome": generation.outcome.value,
        "status_code": generation.status_code,
        "requested_model": request.model,
        "preset": request.preset,
        "router": routing.router,
        "strategy": routing.strategy,
        "region": routing.region,
        "data_region": stats.data_region,
        "provider_name": generation.provider,
        "provider_responses": [_known(asdict(attempt)) for attempt in routing.attempts] or None,
        "attempt_count": routing.attempt_count,
        "finish_reason": _first(generation.finish_reasons),
        "native_finish_reason": _first(generation.native_finish_reasons),
        "latency": stats.latency_ms,
        "generation_time": stats.generation_time_ms,
        "moderation_latency": stats.moderation_latency_ms,
        "cache_status": cache.status if cache else None,
        "response_cache_source_id": cache.source_id if cache else None,
    }


def _first(words: tuple[str, ...] | None) -> str | None:
    return words[0] if words else None


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
