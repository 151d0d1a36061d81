"""The record GET /generation answers with, and the stored content beside it."""

from __future__ import annotations

from datetime import datetime, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING

from orobserve.testing.pricing import cache_discount, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.testing.ledger import Entry
    from orobserve.testing.request import Payload

_API_TYPE: Mapping[str, str] = MappingProxyType(
    {
        "embeddings": "embeddings",
        "rerank": "rerank",
        "speech": "tts",
        "transcriptions": "stt",
        "videos": "video",
        "images": "image",
    }
)
_NORMALISED = 10
_MS_PER_TOKEN = 7
_SETUP_MS = 50


def record(entry: Entry) -> Payload:
    """Build the record of one generation; scenario overrides come last."""
    data = {**_identity(entry), **_money(entry), **_counts(entry), **_course(entry), **_caller(entry)}
    data.update(entry.answer.scenario.record_overrides)
    return {"data": data}


def _identity(entry: Entry) -> Payload:
    answer = entry.answer
    serial = answer.generation_id.rpartition("-")[2]
    slug = answer.way.requested
    return {
        "id": answer.generation_id,
        "upstream_id": f"chatcmpl-{serial}",
        "request_id": f"req-{answer.created}-{serial}",
        "created_at": datetime.fromtimestamp(answer.created, timezone.utc).isoformat(),
        "api_type": _API_TYPE.get(answer.request.dialect, "completions"),
        "model": answer.model,
        "router": slug if slug.startswith("openrouter/") else None,
        "preset_id": None,
        "provider_name": answer.provider,
        "provider_responses": [
            {
                "id": f"chatcmpl-{index}{serial}",
                "endpoint_id": f"endpoint-{index}",
                "model_permaslug": model,
                "provider_name": provider,
                "status": status,
                "latency": _SETUP_MS * (index + 1),
                "is_byok": answer.charge.byok,
            }
            for index, (provider, model, status) in enumerate(_attempts(entry))
        ],
    }


def _attempts(entry: Entry) -> list[tuple[str, str, int]]:
    answer = entry.answer
    status = entry.failure.http_status if entry.failure else 200
    failed = [(item.provider, item.model or answer.way.requested, item.status) for item in answer.way.failed]
    return [*failed, (answer.provider, answer.model, status)]


def _money(entry: Entry) -> Payload:
    charge, answer = entry.charge, entry.answer
    saved = cache_discount(answer.model, answer.tokens)
    return {
        "total_cost": number(charge.charged),
        "usage": number(charge.charged),
        "upstream_inference_cost": number(charge.upstream) if charge.byok else None,
        "cache_discount": None if saved is None else number(saved),
        "is_byok": charge.byok,
        "response_cache_source_id": answer.source_id or None,
    }


def _counts(entry: Entry) -> Payload:
    tokens = entry.answer.tokens
    completion = tokens.completion
    if entry.answer.scenario.billing == "partial":
        completion = int(completion * entry.share)
    if entry.failure:
        completion = 0
    return {
        "tokens_prompt": tokens.prompt - tokens.prompt // _NORMALISED,
        "tokens_completion": completion - completion // _NORMALISED,
        "native_tokens_prompt": tokens.prompt,
        "native_tokens_completion": completion,
        "native_tokens_reasoning": tokens.reasoning,
        "native_tokens_cached": tokens.cached,
        "native_tokens_completion_images": tokens.image,
        "num_media_prompt": None,
        "num_input_audio_prompt": None,
        "num_media_completion": entry.answer.scenario.images or None,
        "num_search_results": entry.answer.scenario.web_searches or None,
        "num_fetches": None,
        "web_search_engine": "exa" if entry.answer.scenario.web_searches else None,
    }


def _course(entry: Entry) -> Payload:
    answer = entry.answer
    generation_time = answer.tokens.completion * _MS_PER_TOKEN
    finish = "error" if entry.failure else answer.finish
    return {
        "streamed": answer.request.stream,
        "cancelled": entry.cancelled or answer.scenario.cancelled,
        "finish_reason": None if entry.cancelled else finish,
        "native_finish_reason": None if entry.cancelled else finish,
        "latency": generation_time + _SETUP_MS,
        "generation_time": generation_time,
        "moderation_latency": answer.scenario.moderation_latency,
        "service_tier": answer.service_tier,
        "data_region": "global",
    }


def _caller(entry: Entry) -> Payload:
    request = entry.answer.request
    body, headers = request.body, request.headers
    return {
        "session_id": _text(body.get("session_id")) or headers.get("x-session-id"),
        "external_user": _text(body.get("user")),
        "app_id": None,
        "http_referer": headers.get("http-referer"),
        "origin": headers.get("http-referer") or "",
        "user_agent": headers.get("user-agent"),
        "workspace_id": None,
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def content(entry: Entry) -> Payload:
    """Build the stored prompt and completion of a generation."""
    answer = entry.answer
    messages = answer.request.body.get("messages")
    stored = {"messages": messages} if isinstance(messages, list) else {"prompt": answer.request.prompt}
    failure = entry.failure
    error = None
    if failure:
        error = {
            "status": failure.http_status,
            "message": failure.message,
            "provider_name": answer.provider,
            "raw": failure.provider_code or None,
            "previous_errors": [
                {"code": item.status, "message": "Provider returned error", "provider_name": item.provider, "raw": None}
                for item in answer.way.failed
            ],
        }
    output = {"completion": None if failure else answer.text, "reasoning": answer.reasoning or None}
    return {"data": {"input": stored, "output": output, "error": error}}
