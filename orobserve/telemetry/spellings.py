"""How others spell what a record holds: one table from attribute names to fields. It knows no span and no encoding.

Where the names are from: the GenAI conventions, current and older (`gen_ai.usage.prompt_tokens`); OpenRouter's
Broadcast (`gen_ai.usage.input_tokens.cached`, `trace.metadata.openrouter.*`: its guides, and what receivers have seen);
OpenInference (`llm.token_count.*`); OpenLLMetry (`llm.usage.*`, `traceloop.*`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from orobserve.wire.record import FIELDS as RECORD_FIELDS
from orobserve.wire.values import count, flag, integer, number, strings, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orobserve.wire.values import Object

Reader: TypeAlias = "Callable[[Any], Any]"

DEFAULT_NAMES = frozenset({"LLM Generation", "OpenRouter Request", "generation", "chat"})  # nobody's choice
RECORD = "openrouter_generation."  # below the metadata prefixes: fields of OpenRouter's own record of the call
METADATA_PREFIXES = ("span.metadata.", "trace.metadata.")  # the later one wins
ASSOCIATIONS = "traceloop.association.properties."
# Metadata that a field of the record says, by names below the prefixes.
SAID = frozenset(
    {
        "provider_responses",
        "openrouter.source",
        *(f"openrouter.{name}" for name in ("api_key_name", "provider_name", "finish_reason", "first_token_ms")),
        *(f"{RECORD}{name}" for name in ("streamed", "cancelled", "byok_usage_inference", *RECORD_FIELDS)),
    }
)


def parsed(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return the object or list of a JSON text; anything else as it is."""
    if isinstance(value, str) and value[:1] in {"[", "{"}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):  # cut by somebody's length limit
            return value
    return value


def _words(value: object) -> tuple[str, ...] | None:
    """Read a list, a JSON list in a text (as Broadcast writes it), or one word."""
    return strings(parsed(value))


def _whole(value: object) -> int | None:
    """Read a count; some senders write all numbers as doubles, or as texts."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 16 else None  # noqa: PLR2004
    return count(value)


# Field by part of the record ("" is the record itself): how it is read, and its names, the best first.
TABLE: Mapping[tuple[str, str], tuple[Reader, tuple[str, ...]]] = {
    ("", "response_id"): (text, ("gen_ai.response.id", "llm.response.id")),
    ("", "model"): (text, ("gen_ai.response.model", "llm.response.model", "llm.model_name")),
    ("", "finish_reasons"): (
        _words,
        (
            "gen_ai.response.finish_reasons",
            "gen_ai.response.finish_reason",
            "trace.metadata.openrouter.finish_reason",
            "llm.response.finish_reason",
            "gen_ai.completion.0.finish_reason",
        ),
    ),
    ("", "service_tier"): (text, ("openai.response.service_tier", "gen_ai.openai.response.service_tier")),
    ("", "system_fingerprint"): (
        text,
        ("openai.response.system_fingerprint", "gen_ai.openai.response.system_fingerprint"),
    ),
    ("", "status_code"): (count, ("http.response.status_code", "http.status_code")),
    ("request", "model"): (text, ("gen_ai.request.model", "llm.request.model", "llm.model_name")),
    ("request", "stream"): (
        lambda value: True if value is True else None,
        ("gen_ai.request.stream", "trace.metadata.openrouter_generation.streamed", "llm.is_streaming"),
    ),
    ("request", "temperature"): (number, ("gen_ai.request.temperature", "llm.request.temperature")),
    ("request", "top_p"): (number, ("gen_ai.request.top_p", "llm.request.top_p")),
    ("request", "top_k"): (integer, ("gen_ai.request.top_k", "llm.request.top_k")),
    ("request", "frequency_penalty"): (number, ("gen_ai.request.frequency_penalty",)),
    ("request", "presence_penalty"): (number, ("gen_ai.request.presence_penalty",)),
    ("request", "seed"): (integer, ("gen_ai.request.seed",)),
    ("request", "max_tokens"): (count, ("gen_ai.request.max_tokens", "llm.request.max_tokens")),
    ("request", "stop_sequences"): (_words, ("gen_ai.request.stop_sequences",)),
    ("request", "choice_count"): (count, ("gen_ai.request.choice.count",)),
    ("request", "reasoning_level"): (text, ("gen_ai.request.reasoning.level",)),
    ("request", "output_type"): (text, ("gen_ai.output.type",)),
    ("request", "encoding_formats"): (_words, ("gen_ai.request.encoding_formats",)),
    ("request", "dimensions"): (count, ("gen_ai.embeddings.dimension.count",)),
    ("request", "user"): (text, ("user.id", "gen_ai.user.id", "enduser.id", ASSOCIATIONS + "user_id")),
    ("request", "session_id"): (
        text,
        ("session.id", "gen_ai.conversation.id", ASSOCIATIONS + "session_id"),
    ),
    ("request", "api_key_name"): (text, ("trace.metadata.openrouter.api_key_name",)),
    ("usage", "input_tokens"): (
        _whole,
        (
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.prompt_tokens",
            "llm.usage.prompt_tokens",
            "llm.token_count.prompt",
        ),
    ),
    ("usage", "output_tokens"): (
        _whole,
        (
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.completion_tokens",
            "llm.usage.completion_tokens",
            "llm.token_count.completion",
        ),
    ),
    ("usage", "total_tokens"): (
        _whole,
        ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total"),
    ),
    ("usage", "cache_read_input_tokens"): (
        _whole,
        (
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.input_tokens.cached",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.details.cache_read_tokens",
            "llm.usage.cache_read_input_tokens",
            "llm.token_count.prompt_details.cache_read",
        ),
    ),
    ("usage", "cache_write_input_tokens"): (
        _whole,
        (
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.input_tokens.cache_write",
            "gen_ai.usage.input_tokens.cache_creation",
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.details.cache_write_tokens",
            "llm.usage.cache_creation_input_tokens",
            "llm.token_count.prompt_details.cache_write",
        ),
    ),
    ("usage", "reasoning_output_tokens"): (
        _whole,
        (
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.output_tokens.reasoning",
            "gen_ai.usage.reasoning_tokens",
            "gen_ai.usage.details.reasoning_tokens",
            "llm.usage.reasoning_tokens",
            "llm.token_count.completion_details.reasoning",
        ),
    ),
    ("usage", "audio_input_tokens"): (_whole, ("llm.token_count.prompt_details.audio",)),
    ("usage", "audio_output_tokens"): (_whole, ("llm.token_count.completion_details.audio",)),
    # Read only from those who know what was billed: OpenRouter, and us.
    ("cost", "total"): (number, ("gen_ai.usage.total_cost", "gen_ai.usage.cost", "llm.cost.total")),
    ("cost", "input"): (number, ("gen_ai.usage.input_cost", "llm.cost.prompt")),
    ("cost", "output"): (number, ("gen_ai.usage.output_cost", "llm.cost.completion")),
    ("cost", "is_byok"): (flag, ("trace.metadata.openrouter_generation.is_byok",)),
    ("times", "first_chunk_seconds"): (
        number,
        ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"),
    ),
    ("times", "first_chunk_ms"): (number, ("trace.metadata.openrouter.first_token_ms",)),
    ("server", "server_address"): (text, ("server.address", "gen_ai.server.address", "net.peer.name")),
    ("server", "server_port"): (count, ("server.port", "net.peer.port")),
    # The generation id (`gen-...`). A chat completion's `id` is one, and Broadcast puts it there too.
    ("ids", "id"): (
        text,
        (
            "openrouter.generation.id",
            "openrouter.generation_id",
            "trace.metadata.openrouter_identity.generation_id",
            "trace.metadata.openrouter.generation_id",
            "gen_ai.response.id",
            "llm.response.id",
        ),
    ),
    ("names", "trace_name"): (text, ("trace.name",)),
    ("kind", "operation"): (text, ("gen_ai.operation.name", "gen_ai.operation.type")),
    ("kind", "system"): (text, ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")),
    ("kind", "span"): (text, ("span.type",)),
    ("kind", "openinference"): (text, ("openinference.span.kind",)),
    ("kind", "traceloop"): (text, ("llm.request.type",)),
    ("", "provider"): (text, ("trace.metadata.openrouter.provider_name", "openrouter.provider.name")),
}

KNOWN = frozenset(name for _, names in TABLE.values() for name in names)


def read(attributes: Mapping[str, Any]) -> dict[str, Object]:
    """Return the fields that a span's attributes speak of, by part. An empty or ill-typed value says nothing."""
    parts: dict[str, Object] = {}
    for (part, field), (reader, spellings) in TABLE.items():
        for name in spellings:
            value = reader(attributes[name]) if name in attributes else None
            if value is not None:
                parts.setdefault(part, {})[field] = value
                break
    return parts
