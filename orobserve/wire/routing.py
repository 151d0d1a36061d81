"""`openrouter_metadata`: how the router came to its choice, on responses, final chunks and error envelopes."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from orobserve.generation import Attempt, Request, Routing
from orobserve.wire.values import Object, amount, count, first, mapping, objects, strings, text

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROUTERS = ("openrouter/auto", "openrouter/free", "openrouter/bodybuilder", "openrouter/pareto", "openrouter/fusion")


def selected_provider(metadata: Object) -> str | None:
    """Return the provider of the endpoint that was chosen."""
    endpoints = objects(mapping(metadata.get("endpoints")).get("available"))
    return first(text(item.get("provider")) for item in endpoints if item.get("selected") is True)


def read_routing(metadata: Object, request: Request, model: str | None, status: int | None) -> Routing | None:
    """Return what is known of the routing, from the metadata if it was asked for and from the models otherwise."""
    router = request.model if request.model and request.model.startswith(_ROUTERS) else None
    if not metadata:
        fallback = _is_fallback(request, model)
        return Routing(router=router, fallback=fallback) if router or fallback is not None else None
    attempts = tuple(
        Attempt(provider=text(item.get("provider")), model=text(item.get("model")), status=count(item.get("status")))
        for item in objects(metadata.get("attempts"))
    )
    pipeline = objects(metadata.get("pipeline"))
    attempt_count = count(metadata.get("attempt"))
    guardrails = [stage for stage in pipeline if stage.get("type") == "guardrail"]
    return Routing(
        router=router,
        strategy=text(metadata.get("strategy")),
        region=text(metadata.get("region")),
        requested_model=text(metadata.get("requested")),
        attempt_count=attempt_count if attempt_count is not None else (len(attempts) or None),
        attempts=attempts,
        endpoint_count=count(mapping(metadata.get("endpoints")).get("total")),
        fallback=_is_fallback(request, model) or (attempt_count or len(attempts)) > 1,
        pipeline_stages=strings([_stage(stage) for stage in pipeline]),
        pipeline_cost=_sum(amount(stage.get("cost_usd")) for stage in pipeline),
        guardrail_blocked=True if guardrails and status == 403 else None,  # noqa: PLR2004 - HTTP Forbidden
        guardrail_ids=strings([stage.get("guardrail_id") for stage in guardrails]),
    )


def _stage(stage: Object) -> str | None:
    return "/".join(part for part in (text(stage.get("type")), text(stage.get("name"))) if part) or None


def _sum(costs: Iterable[float | None]) -> float | None:
    known = [Decimal(repr(cost)) for cost in costs if cost is not None]
    return float(sum(known)) if known else None


def _is_fallback(request: Request, model: str | None) -> bool | None:
    """Tell whether another model than the first choice answered; unknown unless fallbacks were given.

    A dated name (`gpt-4o-2024-08-06` for `gpt-4o`) is the same model.
    """
    if not request.models or not model or not request.model:
        return None
    answered, asked = bare_slug(model), bare_slug(request.model)
    if answered == asked:
        return False
    return not answered.startswith(asked) or answered in map(bare_slug, request.models)


def bare_slug(model: str) -> str:
    """Return a slug as it can be compared: lower case, without variant, preset and alias mark."""
    return model.lower().split("@")[0].split(":")[0].lstrip("~")
