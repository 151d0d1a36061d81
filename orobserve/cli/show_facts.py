"""What is known of one call, section by section, as values: for machines as they are, for people as lines."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orobserve.cli import calls, selection
from orobserve.generation import Usage, known
from orobserve.ledger.columns import tags_of
from orobserve.telemetry.console import money, plain, told
from orobserve.telemetry.unpriced import why_unknown

if TYPE_CHECKING:
    from orobserve.generation import Cost, Generation

Section = dict[str, Any]

_TOLD = {  # of a request, in the first section
    *("model", "models", "user", "session_id", "api_key_hash", "api_key_name", "title", "referer", "trace", "provider"),
    "stream",
}
_SOURCES = {
    "response": "the response itself",
    "generation": "OpenRouter's record of the call (GET /generation)",
}


def sections(generation: Generation, labels: Mapping[str, str]) -> dict[str, Section]:
    """Return the sections that have something to say, by title.

    Args:
        generation: the call.
        labels: the user's names for API keys, by hash.
    """
    found = {
        "call": _call(generation, labels),
        "request": _request(generation),
        "tokens": _tokens(generation),
        "cost (USD)": _cost(generation),
        "routing": _fields(generation.routing, "attempts"),
        "response": _response(generation),
        "response cache": _fields(generation.cache),
        "error": _fields(generation.error),
        "OpenRouter's record": {**_fields(generation.enrichment), **_fields(generation.stats)},
        "job": _fields(generation.job),
        "ids": {
            "generation": generation.id,
            "response": generation.response_id if generation.response_id != generation.id else None,
            "trace": generation.trace_id,
            "span": generation.span_id,
            "parent_span": generation.parent_span_id,
        },
    }
    return {title: tidy for title, each in found.items() if (tidy := _told_of(each))}


def _told_of(section: Section) -> Section:
    return {name: value for name, value in section.items() if _is_told(name, value)}


def _is_told(name: str, value: object) -> bool:
    return name == "total" or (value is not None and value not in ((), []))


def _fields(record: object, *without: str) -> Section:
    return {} if record is None else {name: each for name, each in known(record).items() if name not in without}


def _call(generation: Generation, labels: Mapping[str, str]) -> Section:
    asked = generation.request
    return {
        "operation": generation.operation,
        "api": generation.api_type,
        "started_at": selection.utc(generation.timing.started_at),
        "model_asked": asked.model,
        "or_models": asked.models,
        "model_served": generation.model,
        "provider": generation.provider,
        "outcome": generation.outcome.value,
        "status": generation.status_code,
        "user": asked.user,
        "session": asked.session_id,
        "tags": tags_of(generation),
        "key": asked.api_key_name or selection.key_name(asked.api_key_hash, labels),
        "app": asked.title,
        "app_url": asked.referer,
        "name": generation.name,
        "trace_name": generation.trace_name,
        "span_name": generation.span_name,
        "service_tier": generation.service_tier,
        "server": generation.server_address,
    }


def _request(generation: Generation) -> Section:
    preferences = {f"provider_{name}": each for name, each in _fields(generation.request.provider).items()}
    return {**_fields(generation.request, *_TOLD), **preferences}


def _tokens(generation: Generation) -> Section:
    usage = generation.usage
    if usage is None:
        return {}
    order = [name for name in Usage.__dataclass_fields__ if name in known(usage)]  # totals before their parts
    rate = calls.rate(usage.cache_read_input_tokens, usage.input_tokens)
    return {**{name.removesuffix("_tokens"): getattr(usage, name) for name in order}, "prompt_cache_rate": rate}


def _cost(generation: Generation) -> Section:
    cost = generation.cost
    if cost is None or cost.total is None:
        return {"total": None, "why": why_unknown(generation), **({} if cost is None else _parts(cost))}
    return {"total": _usd(cost.total), "which_is": _derivation(cost), **_parts(cost)}


def _parts(cost: Cost) -> Section:
    names = ("charged", "upstream", "upstream_input", "upstream_output", "cache_discount")
    return {
        **{name: _usd(getattr(cost, name)) for name in names},
        "byok": cost.is_byok,
        "ambiguous": cost.ambiguous,
        "source": _SOURCES.get(cost.source or "", cost.source),
    }


def _derivation(cost: Cost) -> str:
    """Return of what the total is the sum."""
    parts = [f"{money(cost.charged)} charged by OpenRouter"] if cost.charged is not None else []
    if cost.is_byok and cost.upstream is not None:
        parts.append(f"{money(cost.upstream)} charged by the provider to your own key (BYOK)")
    return " + ".join(parts) or "as told"


def _response(generation: Generation) -> Section:
    names = ("finish_reasons", "native_finish_reasons", "tool_call_count", "citation_count", "image_count")
    return {
        **{name: getattr(generation, name) for name in names},
        **_fields(generation.stream),
        **{name: getattr(generation, name) for name in ("system_fingerprint", "resend_count", "body_fault")},
    }


def bars(generation: Generation) -> list[Section]:
    """Return what happened when: `what`, `start` (seconds from the request's), `seconds`, and an HTTP `status`.

    The attempts at providers are one after the other, as long as OpenRouter says; one of unknown length has none.
    """
    timing = generation.timing
    first = timing.time_to_first_chunk
    found = [{"what": "whole call", "start": 0.0, "seconds": timing.duration}]
    if first is not None:
        found = [
            {"what": "to the first chunk", "start": 0.0, "seconds": first},
            {"what": "streaming", "start": first, "seconds": max(0.0, timing.duration - first)},
        ]
    at = 0.0
    for number, each in enumerate(generation.routing.attempts if generation.routing else (), 1):
        seconds = None if each.latency_ms is None else each.latency_ms / 1e3
        what = f"attempt {number}: {each.provider or each.model or '?'}"
        found.append({"what": what, "start": at, "seconds": seconds, "status": each.status})
        at += seconds or 0.0
    return found


def timeline(generation: Generation) -> Section:
    """Return the times as machines get them, in seconds."""
    line = told(generation)
    return {
        "seconds": line.duration,
        "time_to_first_chunk": line.first_chunk,
        "tokens_per_second": line.tokens_per_second,
        "bars": bars(generation),
    }


def text(name: str, value: Any) -> str:  # noqa: ANN401 - of any field
    """Return a value as one line for people; None is unknown."""
    if value is None or isinstance(value, Decimal):
        return money(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0%} of the input" if name == "prompt_cache_rate" else f"{value:g}"
    if isinstance(value, Mapping):
        value = [f"{key}={each}" for key, each in value.items()]
    return plain(", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))


def _usd(dollars: float | None) -> Decimal | None:
    return None if dollars is None else Decimal(repr(dollars))
