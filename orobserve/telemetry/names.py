"""Every attribute and metric name, once. The table maps a field of the record to its attribute, in both directions.

Names: `open-telemetry/semantic-conventions-genai` as emitted by opentelemetry-util-genai 1.3b0 (schema 1.37.0), and
`openrouter.*` for what the conventions do not cover.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SCOPE = "orobserve"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.37.0"
PROVIDER = "openrouter"  # the flavour of telemetry; the upstream that served the call is UPSTREAM

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
API_TYPE = "openrouter.api.type"
USER_ID = "user.id"
SESSION_ID = "session.id"
CONVERSATION_ID = "gen_ai.conversation.id"
ERROR_TYPE = "error.type"
UPSTREAM = "openrouter.provider.name"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
PROMPT_CACHE_HIT = "openrouter.prompt_cache.hit"
API_KEY_HASH = "openrouter.api_key.hash"
API_KEY_LABEL = "openrouter.api_key.label"
APP_REFERER = "openrouter.app.referer"
APP_TITLE = "openrouter.app.title"
STREAM_OUTCOME = "openrouter.stream.outcome"
COST_TOTAL = "openrouter.cost.total"
COST_CHARGED = "openrouter.cost.charged"
COST_KIND = "openrouter.cost.kind"
COST_CURRENCY = "openrouter.cost.currency"
BYOK = "openrouter.byok"
ATTEMPT_PROVIDERS = "openrouter.routing.attempt_providers"
ATTEMPT_MODELS = "openrouter.routing.attempt_models"
ATTEMPT_STATUSES = "openrouter.routing.attempt_statuses"
RESPONSE_CACHE_STATUS = "openrouter.response_cache.status"
TOKEN_TYPE = "gen_ai.token.type"
TOKEN_KIND = "openrouter.token.kind"
TOKEN_MODALITY = "gen_ai.token.modality"
TOOL_KIND = "openrouter.tool.kind"
HTTP_STATUS = "http.response.status_code"
METADATA_PREFIX = "trace.metadata."
TAG_PREFIX = "openrouter.tag."  # on metrics: the tags that the user has chosen
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"
EVENT_DETAILS = "gen_ai.client.inference.operation.details"
LATE_EVENT = "openrouter.generation.details"  # what came after the span had ended
ATTEMPT_EVENT = "openrouter.attempt"
ATTEMPT_NUMBER = "openrouter.attempt.number"  # from 1
KEY_LABEL = "openrouter.key.label"
KEY_PERIOD = "openrouter.key.period"
ENRICHMENT_OUTCOME = "outcome"
ERROR_EVENT = "openrouter.error"  # on another instrumentation's span: an attempt that failed
EXCEPTION_EVENT = "exception"
EXCEPTION_TYPE = "exception.type"
EXCEPTION_MESSAGE = "exception.message"
OPENINFERENCE_KIND = "openinference.span.kind"

# Compatibility spellings
COMPAT_COST = "gen_ai.usage.cost"
COMPAT_SYSTEM = "gen_ai.system"
COMPAT_FINISH_REASON = "gen_ai.response.finish_reason"
NEXT_COST_AMOUNT = "gen_ai.usage.cost.amount"
NEXT_COST_CURRENCY = "gen_ai.usage.cost.currency"
NEXT_COST_SOURCE = "gen_ai.usage.cost.source"

# Attribute of each field, by the part of the record that the field stands in ("" is the record itself).
FIELDS: Mapping[str, Mapping[str, str]] = {
    "": {
        "operation": OPERATION_NAME,
        "api_type": API_TYPE,
        "server_address": SERVER_ADDRESS,
        "server_port": SERVER_PORT,
        "id": "openrouter.generation.id",
        "response_id": "gen_ai.response.id",
        "model": RESPONSE_MODEL,
        "provider": UPSTREAM,
        "finish_reasons": FINISH_REASONS,
        "native_finish_reasons": "openrouter.response.native_finish_reasons",
        "service_tier": "openrouter.response.service_tier",
        "system_fingerprint": "openrouter.response.system_fingerprint",
        "citation_count": "openrouter.response.citation_count",
        "image_count": "openrouter.response.image_count",
        "tool_call_count": "openrouter.response.tool_call_count",
        "resend_count": "http.request.resend_count",
        "body_fault": "openrouter.response.body_fault",
    },
    "request": {
        "model": REQUEST_MODEL,
        "models": "openrouter.request.models",
        "variant": "openrouter.request.variant",
        "preset": "openrouter.request.preset",
        "route": "openrouter.request.route",
        "plugins": "openrouter.request.plugins",
        "server_tools": "openrouter.request.server_tools",
        "tool_count": "openrouter.request.tool_count",
        "tool_choice": "openrouter.request.tool_choice",
        "service_tier": "openrouter.request.service_tier",
        "stream": "gen_ai.request.stream",
        "temperature": "gen_ai.request.temperature",
        "top_p": "gen_ai.request.top_p",
        "top_k": "gen_ai.request.top_k",
        "frequency_penalty": "gen_ai.request.frequency_penalty",
        "presence_penalty": "gen_ai.request.presence_penalty",
        "seed": "gen_ai.request.seed",
        "max_tokens": "gen_ai.request.max_tokens",
        "stop_sequences": "gen_ai.request.stop_sequences",
        "choice_count": "gen_ai.request.choice.count",
        "reasoning_level": "gen_ai.request.reasoning.level",
        "reasoning_max_tokens": "openrouter.request.reasoning.max_tokens",
        "output_type": "gen_ai.output.type",
        "encoding_formats": "gen_ai.request.encoding_formats",
        "dimensions": "gen_ai.embeddings.dimension.count",
        "document_count": "openrouter.rerank.document_count",
        "cache_control": "openrouter.request.cache_control",
        "response_cache": "openrouter.request.cache.enabled",
        "response_cache_ttl": "openrouter.request.cache.ttl",
    },
    "provider": {
        "order": "openrouter.request.provider.order",
        "only": "openrouter.request.provider.only",
        "ignore": "openrouter.request.provider.ignore",
        "quantizations": "openrouter.request.provider.quantizations",
        "sort": "openrouter.request.provider.sort",
        "allow_fallbacks": "openrouter.request.provider.allow_fallbacks",
        "require_parameters": "openrouter.request.provider.require_parameters",
        "zdr": "openrouter.request.provider.zdr",
        "data_collection": "openrouter.request.provider.data_collection",
        "max_price_prompt": "openrouter.request.provider.max_price.prompt",
        "max_price_completion": "openrouter.request.provider.max_price.completion",
    },
    "trace": {
        "trace_id": "openrouter.trace.id",
        "trace_name": "openrouter.trace.name",
        "span_name": "openrouter.trace.span_name",
        "generation_name": "openrouter.trace.generation_name",
        "parent_span_id": "openrouter.trace.parent_span_id",
    },
    "usage": {
        "input_tokens": INPUT_TOKENS,
        "output_tokens": OUTPUT_TOKENS,
        "total_tokens": "openrouter.usage.total_tokens",
        "search_units": "openrouter.rerank.search_units",
        "audio_input_seconds": "openrouter.audio.input_seconds",
        "web_search_requests": "openrouter.web_search.requests",
        "web_fetch_requests": "openrouter.web_fetch.requests",
        "server_tools_requested": "openrouter.server_tools.requested",
        "server_tools_executed": "openrouter.server_tools.executed",
    },
    # Subsets of the totals: written only when they are more than 0.
    "subsets": {
        "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
        "cache_write_input_tokens": "gen_ai.usage.cache_write.input_tokens",
        "reasoning_output_tokens": "gen_ai.usage.reasoning.output_tokens",
        "text_input_tokens": "gen_ai.usage.text.input_tokens",
        "image_input_tokens": "gen_ai.usage.image.input_tokens",
        "audio_input_tokens": "gen_ai.usage.audio.input_tokens",
        "text_output_tokens": "gen_ai.usage.text.output_tokens",
        "image_output_tokens": "gen_ai.usage.image.output_tokens",
        "audio_output_tokens": "gen_ai.usage.audio.output_tokens",
        "video_input_tokens": "openrouter.usage.video.input_tokens",
        "file_input_tokens": "openrouter.usage.file.input_tokens",
        "cache_write_5m_input_tokens": "openrouter.usage.cache_write_5m.input_tokens",
        "cache_write_1h_input_tokens": "openrouter.usage.cache_write_1h.input_tokens",
        "accepted_prediction_tokens": "openrouter.usage.accepted_prediction_tokens",
        "rejected_prediction_tokens": "openrouter.usage.rejected_prediction_tokens",
    },
    "cost": {
        "charged": COST_CHARGED,
        "upstream": "openrouter.cost.upstream",
        "upstream_input": "openrouter.cost.upstream.input",
        "upstream_output": "openrouter.cost.upstream.output",
        "total": COST_TOTAL,
        "is_byok": BYOK,
        "ambiguous": "openrouter.cost.ambiguous",
        "cache_discount": "openrouter.cost.cache_discount",
        "source": "openrouter.cost.source",
    },
    "routing": {
        "router": "openrouter.router",
        "strategy": "openrouter.routing.strategy",
        "region": "openrouter.routing.region",
        "requested_model": "openrouter.routing.requested_model",
        "attempt_count": "openrouter.routing.attempt_count",
        "endpoint_count": "openrouter.routing.endpoint_count",
        "fallback": "openrouter.routing.fallback",
        "pipeline_stages": "openrouter.pipeline.stages",
        "pipeline_cost": "openrouter.pipeline.cost",
        "guardrail_blocked": "openrouter.guardrail.blocked",
        "guardrail_ids": "openrouter.guardrail.ids",
    },
    "cache": {
        "status": RESPONSE_CACHE_STATUS,
        "age": "openrouter.response_cache.age",
        "ttl": "openrouter.response_cache.ttl",
        "source_id": "openrouter.response_cache.source_id",
    },
    "stats": {
        "request_id": "openrouter.request.id",
        "upstream_id": "openrouter.upstream.id",
        "latency_ms": "openrouter.generation.latency_ms",
        "generation_time_ms": "openrouter.generation.generation_time_ms",
        "moderation_latency_ms": "openrouter.generation.moderation_latency_ms",
        "normalized_input_tokens": "openrouter.usage.normalized.input_tokens",
        "normalized_output_tokens": "openrouter.usage.normalized.output_tokens",
        "data_region": "openrouter.data_region",
        "workspace_id": "openrouter.workspace.id",
        "preset_id": "openrouter.preset.id",
        "app_id": "openrouter.app.id",
        "web_search_results": "openrouter.web_search.results",
        "web_search_engine": "openrouter.web_search.engine",
    },
    "enrichment": {
        "status": "openrouter.enrichment.status",
        "attempts": "openrouter.enrichment.attempts",
        "delay_ms": "openrouter.enrichment.delay_ms",
        "mismatch": "openrouter.enrichment.mismatch",
    },
    # One provider that was tried: on an event of the generation's span, or a span of its own below it.
    "attempt": {
        "provider": UPSTREAM,
        "model": "openrouter.attempt.model",
        "status": HTTP_STATUS,
        "latency_ms": "openrouter.attempt.latency_ms",
        "is_byok": BYOK,
        "service_tier": "openrouter.attempt.service_tier",
    },
    "error": {
        "type": ERROR_TYPE,
        "code": "openrouter.error.code",
        "provider_code": "openrouter.error.provider_code",
        "retry_after": "openrouter.error.retry_after",
        "availability_code": "openrouter.error.availability.code",
        "retryable": "openrouter.error.availability.retryable",
        "excluded_by": "openrouter.error.availability.excluded_by",
        "fallback_models": "openrouter.error.availability.fallback_models",
        "affected_providers": "openrouter.error.availability.affected_providers",
    },
    "stream": {
        "chunk_count": "openrouter.stream.chunk_count",
        "keepalive_count": "openrouter.stream.keepalive_count",
        "usage_missing": "openrouter.stream.usage_missing",
    },
    "job": {
        "id": "openrouter.video.id",
        "status": "openrouter.video.status",
        "poll_count": "openrouter.video.poll_count",
    },
    "batch": {
        "id": "openrouter.batch.id",
        "status": "openrouter.batch.status",
        "poll_count": "openrouter.batch.poll_count",
    },
    "legacy_tokens": {
        "input_tokens": "gen_ai.usage.prompt_tokens",
        "output_tokens": "gen_ai.usage.completion_tokens",
        "total_tokens": "gen_ai.usage.total_tokens",
        "cache_write_input_tokens": "gen_ai.usage.cache_creation.input_tokens",
    },
}
