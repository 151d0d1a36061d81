"""Chooses the served model and provider, and tells the story as router metadata."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from orobserve.testing.pricing import DEFAULT_MODEL, MODELS, model_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.testing.request import InferenceRequest, Payload
    from orobserve.testing.scenarios import Attempt, Scenario

PROVIDERS: Mapping[str, str] = MappingProxyType(
    {
        "openai": "OpenAI",
        "azure": "Azure",
        "anthropic": "Anthropic",
        "amazon-bedrock": "Amazon Bedrock",
        "google-vertex": "Google",
        "google-ai-studio": "Google AI Studio",
        "deepinfra": "DeepInfra",
        "together": "Together",
        "fireworks": "Fireworks",
        "groq": "Groq",
        "deepseek": "DeepSeek",
        "cohere": "Cohere",
        "mistral": "Mistral",
    }
)

ROUTERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "openrouter/auto": ("auto", DEFAULT_MODEL),
        "openrouter/free": ("free", "meta-llama/llama-3.3-70b-instruct:free"),
        "openrouter/bodybuilder": ("bodybuilder", DEFAULT_MODEL),
        "openrouter/pareto": ("pareto", DEFAULT_MODEL),
        "openrouter/fusion": ("fusion", DEFAULT_MODEL),
    }
)

_DEFAULT_BY_DIALECT: Mapping[str, str] = MappingProxyType(
    {
        "embeddings": "openai/text-embedding-3-small",
        "rerank": "cohere/rerank-v3.5",
        "images": "google/gemini-2.5-flash-image",
        "speech": "openai/gpt-4o-mini-tts",
        "transcriptions": "openai/whisper-large-v3",
        "videos": "google/veo-3.1",
    }
)
_KEPT_VARIANTS = frozenset({"free", "thinking", "extended"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a request went."""

    requested: str
    model: str
    provider: str
    strategy: str
    failed: tuple[Attempt, ...] = ()


def route(request: InferenceRequest, scenario: Scenario) -> Route:
    """Resolve routers, presets, aliases, variants and fallbacks into one served model and provider."""
    requested = request.model
    strategy, model = _resolve(requested, request.dialect)
    if scenario.fallback:
        strategy = "fallback"
        others = [slug for slug in request.models if slug != requested]
        model = _resolve(others[0], request.dialect)[1] if others else model
    model = scenario.model or model
    return Route(
        requested=requested or model,
        model=model,
        provider=scenario.provider or _preferred(request) or model_of(model).provider,
        strategy=scenario.strategy or strategy,
        failed=scenario.failed_attempts,
    )


def _resolve(slug: str, dialect: str) -> tuple[str, str]:
    """Turn a slug as sent into (strategy, concrete model)."""
    slug = slug.partition("@preset/")[0]
    if not slug:
        return "direct", _DEFAULT_BY_DIALECT.get(dialect, DEFAULT_MODEL)
    if slug in ROUTERS:
        return ROUTERS[slug]
    if slug.startswith("~"):
        family = slug[1:].removesuffix("-latest")
        known = (model for model in MODELS if model.startswith(family))
        return "latest", next(known, family)
    base, _, variant = slug.partition(":")
    return "direct", f"{base}:{variant}" if variant in _KEPT_VARIANTS else base


def _preferred(request: InferenceRequest) -> str:
    """Honour the first provider the caller lists, when the simulator knows it."""
    preferences = request.body.get("provider")
    if not isinstance(preferences, dict):
        return ""
    for key in ("only", "order"):
        slugs = preferences.get(key)
        if isinstance(slugs, list) and slugs:
            slug = str(slugs[0]).partition("/")[0]
            names = {name.lower(): name for name in PROVIDERS.values()}
            return PROVIDERS.get(slug.lower()) or names.get(slug.lower(), "")
    return ""


def metadata(way: Route, scenario: Scenario, *, is_byok: bool) -> Payload:
    """Build ``openrouter_metadata`` for a call that a provider answered."""
    attempts: list[Payload] = [
        {"provider": attempt.provider, "model": attempt.model or way.requested, "status": attempt.status}
        for attempt in way.failed
    ]
    attempts.append({"provider": way.provider, "model": way.model, "status": 200})
    available = [
        {"provider": attempt["provider"], "model": attempt["model"], "selected": attempt is attempts[-1]}
        for attempt in attempts
    ]
    story: dict[str, Any] = {
        "requested": way.requested,
        "strategy": way.strategy,
        "region": "iad",
        "summary": f"available={len(available)}, selected={way.provider}",
        "attempt": len(attempts),
        "is_byok": is_byok,
        "endpoints": {"total": len(available), "available": available},
        "attempts": attempts,
    }
    if scenario.pipeline:
        story["pipeline"] = [dict(stage) for stage in scenario.pipeline]
    return story


def failed_metadata(way: Route) -> Payload:
    """Build the shorter metadata that errors carry: no provider was reached, or the last one failed too."""
    attempts = [
        {"provider": attempt.provider, "model": attempt.model or way.requested, "status": attempt.status}
        for attempt in way.failed
    ]
    available = [{"provider": way.provider, "model": way.model, "selected": False}]
    return {
        "requested": way.requested,
        "strategy": way.strategy,
        "attempt": len(attempts),
        "endpoints": {"total": 1, "available": available},
        "attempts": attempts,
    }
