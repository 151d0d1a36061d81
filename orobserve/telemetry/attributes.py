"""The record as span attributes. Absent stays absent; nothing here is computed that the record does not say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from orobserve.generation import Outcome, known
from orobserve.telemetry import names
from orobserve.wire.values import whole

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from orobserve.config import Config
    from orobserve.generation import Cost, Generation, Routing, Usage
    from orobserve.wire.exchange import Exchange

Attributes: TypeAlias = "dict[str, AttributeValue]"

_LIMIT = 96  # the SDK keeps 128 attributes and drops the oldest, which would be the required ones
_TEXT_LIMIT = 4096
_OUTCOMES = {
    Outcome.COMPLETE: "completed",
    Outcome.CANCELLED: "cancelled",
    Outcome.ABANDONED: "cancelled",
    Outcome.TRUNCATED: "truncated",
    Outcome.FAILED: "error",
}
_SUBSETS = names.FIELDS["subsets"]
_PARTS = ("usage", "cost", "routing", "cache", "error", "stream", "enrichment", "stats")


def _put(attributes: Attributes, part: str, record: object) -> None:
    table = names.FIELDS[part]
    for field, value in known(record).items():
        key = table.get(field)
        if key is not None and value is not None:
            attributes[key] = value


def start_attributes(exchange: Exchange, config: Config) -> Attributes:
    """Return what is known before the call goes out, which is what samplers decide by."""
    route, asked = exchange.route, exchange.asked
    attributes: Attributes = {
        names.OPERATION_NAME: route.endpoint.operation,
        names.PROVIDER_NAME: names.PROVIDER,
        names.SERVER_ADDRESS: route.host,
        names.SERVER_PORT: route.port,
        names.API_TYPE: route.endpoint.api_type,
    }
    if asked.model is not None:
        attributes[names.REQUEST_MODEL] = asked.model
    if config.identity:
        if asked.user:
            attributes[names.USER_ID] = asked.user
        if asked.session_id:
            attributes[names.SESSION_ID] = asked.session_id
    return attributes


def encode(generation: Generation, config: Config) -> Attributes:
    """Return all attributes of a call, within the budget that keeps the required ones."""
    attributes: Attributes = {names.PROVIDER_NAME: names.PROVIDER}
    _put(attributes, "", generation)
    request = generation.request
    _put(attributes, "request", request)
    if request.provider is not None:
        _put(attributes, "provider", request.provider)
    for part in _PARTS:
        record = getattr(generation, part)
        if record is not None:
            _put(attributes, part, record)
    if generation.job is not None:
        _put(attributes, "batch" if generation.operation == "batch" else "job", generation.job)
    _put_figures(attributes, generation, config)
    if generation.routing is not None:
        _put_attempts(attributes, generation.routing)
    _put_identity(attributes, generation, config)
    if request.trace is not None or generation.tags:
        _put_metadata(attributes, generation, config)
    if len(attributes) > _LIMIT:
        attributes = dict(list(attributes.items())[:_LIMIT])  # required first, free metadata last
    return attributes


def _put_figures(attributes: Attributes, generation: Generation, config: Config) -> None:
    usage, cost, stream = generation.usage, generation.cost, generation.stream
    if usage is not None:
        _put_subsets(attributes, usage)
        if "legacy_tokens" in config.compat:
            _put(attributes, "legacy_tokens", usage)
    if cost is not None and cost.total is not None:
        _put_cost(attributes, cost, cost.total, config)
    if stream is not None:
        attributes[names.STREAM_OUTCOME] = _OUTCOMES[generation.outcome]
        first_chunk = generation.timing.time_to_first_chunk
        if first_chunk is not None:
            attributes[names.TIME_TO_FIRST_CHUNK] = first_chunk
    if "legacy_system" in config.compat:
        _put_legacy_system(attributes, generation)


def _put_subsets(attributes: Attributes, usage: Usage) -> None:
    for field, value in known(usage).items():
        if value and field in _SUBSETS:
            attributes[_SUBSETS[field]] = value
    if usage.cache_read_input_tokens:
        attributes[names.PROMPT_CACHE_HIT] = True


def _put_legacy_system(attributes: Attributes, generation: Generation) -> None:
    if generation.provider:
        attributes[names.COMPAT_SYSTEM] = generation.provider.lower()
    if generation.finish_reasons:
        attributes[names.COMPAT_FINISH_REASON] = generation.finish_reasons[0]


def _put_cost(attributes: Attributes, cost: Cost, total: float, config: Config) -> None:
    attributes[names.COST_CURRENCY] = "USD"
    if "next" in config.semconv:
        attributes[names.NEXT_COST_AMOUNT] = total
        attributes[names.NEXT_COST_CURRENCY] = "USD"
        attributes[names.NEXT_COST_SOURCE] = "local" if cost.source == "computed" else "provider"
    elif "cost" in config.compat:
        attributes[names.COMPAT_COST] = total


def _put_attempts(attributes: Attributes, routing: Routing) -> None:
    if routing.attempts:
        attributes[names.ATTEMPT_PROVIDERS] = [attempt.provider or "" for attempt in routing.attempts]
        attributes[names.ATTEMPT_MODELS] = [attempt.model or "" for attempt in routing.attempts]
        attributes[names.ATTEMPT_STATUSES] = [attempt.status or 0 for attempt in routing.attempts]


def _put_identity(attributes: Attributes, generation: Generation, config: Config) -> None:
    request = generation.request
    if config.identity:
        if request.user:
            attributes[names.USER_ID] = request.user
        if request.session_id:
            attributes[names.SESSION_ID] = attributes[names.CONVERSATION_ID] = request.session_id
    if config.app_attribution:
        if request.referer:
            attributes[names.APP_REFERER] = request.referer
        if request.title:
            attributes[names.APP_TITLE] = request.title
    key = request.api_key_hash
    if key and config.api_key_hash:
        attributes[names.API_KEY_HASH] = key
    if key and key in config.api_key_labels:
        attributes[names.API_KEY_LABEL] = config.api_key_labels[key]


def _put_metadata(attributes: Attributes, generation: Generation, config: Config) -> None:
    trace = generation.request.trace
    if trace is not None:
        _put(attributes, "trace", trace)
    custom: dict[str, Any] = {**(generation.tags or {}), **((trace and trace.metadata) or {})}
    for key in list(custom)[: config.metadata_limit]:
        if custom[key] is not None:
            attributes[f"{names.METADATA_PREFIX}{whole(str(key)[:128])}"] = simple(custom[key])


def simple(value: Any) -> str | bool | int | float:  # noqa: ANN401 - JSON, or what a user passed
    """Return a value that an attribute can hold: JSON text for what is neither text, number nor boolean."""
    if isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    if isinstance(value, str):
        return whole(value[:_TEXT_LIMIT])
    try:
        return json.dumps(value, default=str)[:_TEXT_LIMIT]
    except (TypeError, ValueError):  # keys that JSON does not have, or a circle
        return whole(str(value)[:_TEXT_LIMIT])
