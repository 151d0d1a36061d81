"""The endpoints around inference: models, providers, key, credits, activity and presets. Pure payloads."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orobserve.testing.pricing import MODELS, ZERO, Model, number, numeral
from orobserve.testing.routing import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orobserve.testing.ledger import Entry
    from orobserve.testing.request import Payload

_DAY = 86_400
_KEPT_DAYS = 30  # of activity
_RELEASED = 1_700_000_000
_USER = "user_2dHFtVWx2n56w6HkM0000000000"
_WORKSPACE = "750e8400-e29b-41d4-a716-446655440002"


@dataclass(slots=True, kw_only=True)
class Account:
    """The account behind every key: change its fields to see limits in GET /key and GET /credits, and refusals."""

    total_credits: Decimal = Decimal(100)
    limit: Decimal | None = None
    limit_reset: str | None = None
    include_byok_in_limit: bool = False
    is_free_tier: bool = False
    is_management_key: bool = False
    management_keys: frozenset[str] | None = None  # that may ask for activity and credits; None: every key may


def models() -> Payload:
    """List the catalogue with its prices as strings."""
    rows = [_model(model) for model in MODELS.values()]
    return {"data": rows, "links": {"next": None}, "total_count": len(rows)}


def models_count() -> Payload:
    """Count the catalogue."""
    return {"data": {"count": len(MODELS)}}


def _model(model: Model) -> Payload:
    pricing = {"prompt": numeral(model.prompt), "completion": numeral(model.completion)}
    if model.unit:
        pricing["request"] = numeral(model.unit)
    pricing |= {"input_cache_read": numeral(model.cache_read), "input_cache_write": numeral(model.cache_write)}
    return {
        "id": model.slug,
        "canonical_slug": model.slug,
        "hugging_face_id": None,
        "name": model.name,
        "created": _RELEASED,
        "description": "A model of the simulator.",
        "context_length": model.context,
        "architecture": {
            "modality": f"{'+'.join(model.inputs)}->{'+'.join(model.outputs)}",
            "input_modalities": list(model.inputs),
            "output_modalities": list(model.outputs),
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": pricing,
        "top_provider": {"context_length": model.context, "max_completion_tokens": 16_384, "is_moderated": False},
        "per_request_limits": None,
        "supported_parameters": ["max_tokens", "temperature", "tools", "tool_choice", "response_format"],
        "supported_voices": None,
        "default_parameters": None,
        "links": {"details": f"/api/v1/models/{model.slug}/endpoints"},
    }


def providers() -> Payload:
    """List the providers."""
    return {
        "data": [
            {
                "name": name,
                "slug": slug,
                "privacy_policy_url": None,
                "terms_of_service_url": None,
                "status_page_url": None,
                "headquarters": "US",
                "datacenters": ["US"],
            }
            for slug, name in PROVIDERS.items()
        ]
    }


def key(account: Account, secret: str, entries: Iterable[Entry]) -> Payload:
    """Tell the budget of the calling key."""
    mine = [entry.charge for entry in entries if entry.answer.request.key == secret]
    used = sum((charge.charged for charge in mine), ZERO)
    byok = sum((charge.upstream for charge in mine), ZERO)
    counted = used + byok if account.include_byok_in_limit else used
    left = None if account.limit is None else number(max(ZERO, account.limit - counted))
    periods = ("", "_daily", "_weekly", "_monthly")
    return {
        "data": {
            "label": f"{secret[:12]}...{secret[-3:]}",
            "limit": None if account.limit is None else number(account.limit),
            "limit_remaining": left,
            "limit_reset": account.limit_reset,
            "include_byok_in_limit": account.include_byok_in_limit,
            **{f"usage{period}": number(used) for period in periods},
            **{f"byok_usage{period}": number(byok) for period in periods},
            "is_free_tier": account.is_free_tier,
            "is_management_key": account.is_management_key,
            "is_provisioning_key": account.is_management_key,
            "creator_user_id": _USER,
            "expires_at": None,
            "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore."},
        }
    }


def credits_left(account: Account, entries: Iterable[Entry]) -> Payload:
    """Tell bought and used credits."""
    used = sum((entry.charge.charged for entry in entries), ZERO)
    return {"data": {"total_credits": number(account.total_credits), "total_usage": number(used)}}


def activity(entries: Iterable[Entry], now: float, query: Mapping[str, str]) -> Payload | None:
    """Sum up the completed UTC days of the last thirty by model and provider; None where the query cannot be right.

    Everything here belongs to one user and one workspace: the filters for others find nothing.
    """
    today = int(now) // _DAY
    days = {_day(day * _DAY) for day in range(today - _KEPT_DAYS, today)}
    if "date" in query and query["date"] not in days:
        return None
    days &= {query.get("date", each) for each in days}
    groups: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        secret = entry.answer.request.key
        is_wanted = query.get("api_key_hash") in {None, hashlib.sha256(secret.encode()).hexdigest()}
        if _day(entry.answer.created) in days and is_wanted and _is_here(query):
            groups[(_day(entry.answer.created), entry.answer.model, entry.answer.provider)].append(entry)
    extra = {"workspace_id": _WORKSPACE} if query.get("group_by") == "workspace" else {}
    return {"data": [{**_row(*group, found), **extra} for group, found in sorted(groups.items())]}


def _is_here(query: Mapping[str, str]) -> bool:
    return query.get("user_id") in {None, _USER} and query.get("workspace_id") in {None, _WORKSPACE}


def _day(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, timezone.utc).date().isoformat()


def _row(date: str, model: str, provider: str, entries: list[Entry]) -> Payload:
    tokens = [entry.answer.tokens for entry in entries]
    return {
        "date": date,
        "model": model,
        "model_permaslug": model,
        "endpoint_id": "550e8400-e29b-41d4-a716-446655440000",
        "provider_name": provider,
        "usage": number(sum((entry.charge.charged for entry in entries), ZERO)),
        "byok_usage_inference": number(sum((entry.charge.upstream for entry in entries), ZERO)),
        "requests": len(entries),
        "prompt_tokens": sum(item.prompt for item in tokens),
        "completion_tokens": sum(item.completion for item in tokens),
        "reasoning_tokens": sum(item.reasoning for item in tokens),
    }


def preset(slug: str, body: Payload, now: float) -> Payload:
    """Answer the creation of a preset from an inference body: the messages are ignored and nothing is billed."""
    stamp = datetime.fromtimestamp(int(now), timezone.utc).isoformat()
    content = {"messages", "input", "stream", "system", "instructions"}
    config: dict[str, Any] = {name: value for name, value in body.items() if name not in content}
    system = body.get("system") or body.get("instructions")
    owner = "650e8400-e29b-41d4-a716-446655440001"
    version = "550e8400-e29b-41d4-a716-446655440000"
    return {
        "data": {
            "id": owner,
            "slug": slug,
            "name": slug,
            "description": None,
            "status": "active",
            "status_updated_at": None,
            "creator_user_id": _USER,
            "workspace_id": _WORKSPACE,
            "created_at": stamp,
            "updated_at": stamp,
            "designated_version_id": version,
            "designated_version": {
                "id": version,
                "preset_id": owner,
                "version": 1,
                "system_prompt": system if isinstance(system, str) else None,
                "config": config,
                "creator_id": _USER,
                "created_at": stamp,
                "updated_at": stamp,
            },
        }
    }
