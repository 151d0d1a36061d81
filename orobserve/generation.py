"""The record: everything known about one OpenRouter call, in the words of the OpenTelemetry semantic conventions.

A `Generation` is immutable and knows nothing of HTTP, JSON, clocks or telemetry. Unknown is `None`: never 0, -1 or
"unknown". Providers' spellings (`prompt_tokens`, `native_tokens_...`) end in `orobserve.wire`.

The records with many optional fields have no slots: a field that is not set costs nothing then, neither when the record
is made (`fill`) nor when it is read (`known`). That is a quarter of what observing a call costs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

_Record = TypeVar("_Record")

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def fill(kind: type[_Record], fields: Mapping[str, Any]) -> _Record:
    """Return a record of a class without slots with just these fields set; the others keep their defaults."""
    record = object.__new__(kind)
    record.__dict__.update(fields)
    return record


def changed(record: _Record, **changes: Any) -> _Record:  # noqa: ANN401 - fields of any kind
    """Return a copy of a record of a class without slots with other values in some fields; `replace`, but quick."""
    return fill(type(record), {**known(record), **changes})


def known(record: object) -> Mapping[str, Any]:
    """Return the fields of a record that are set; some of them may be None."""
    return record.__dict__


class Outcome(Enum):
    """How a call ended. `COMPLETE` means the protocol's own terminal event (or the whole body) was seen."""

    COMPLETE = "complete"
    CANCELLED = "cancelled"  # the caller closed the stream, left its loop, or its task was cancelled
    ABANDONED = "abandoned"  # nobody read or closed the response: the garbage collector ended it
    TRUNCATED = "truncated"  # the peer ended the stream without its terminal event
    FAILED = "failed"  # a transport exception, or an error that OpenRouter reported


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text part of a message."""

    type: ClassVar[str] = "text"
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """Readable reasoning; encrypted reasoning and signatures are never kept."""

    type: ClassVar[str] = "reasoning"
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call the model asks for. `arguments` is JSON when it parses, else the text as sent."""

    type: ClassVar[str] = "tool_call"
    id: str | None = None
    name: str | None = None
    arguments: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallResponse:
    """A tool's answer, sent back to the model."""

    type: ClassVar[str] = "tool_call_response"
    id: str | None = None
    response: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """An image, sound, video or file, replaced by what it is: never its bytes.

    `type` is `blob` (inline; `size` in bytes), `uri` or `file`.
    """

    type: str
    modality: str
    mime_type: str | None = None
    uri: str | None = None
    file_id: str | None = None
    size: int | None = None


Part: TypeAlias = Text | Reasoning | ToolCall | ToolCallResponse | Media


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of the conversation; `role` is `system`, `user`, `assistant` or `tool`."""

    role: str
    parts: tuple[Part, ...]
    name: str | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A page or document that an answer names as its source."""

    url: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What was said. Present only where somebody asked for content."""

    input: tuple[Message, ...] = ()
    output: tuple[Message, ...] = ()
    system: tuple[Part, ...] = ()
    tools: tuple[Json, ...] = ()
    citations: tuple[Citation, ...] = ()  # of the output, each once


@dataclass(frozen=True, kw_only=True)
class ProviderPreferences:
    """The request's `provider` object. Prices in USD per million tokens."""

    order: tuple[str, ...] | None = None
    only: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None
    quantizations: tuple[str, ...] | None = None
    sort: str | None = None
    allow_fallbacks: bool | None = None
    require_parameters: bool | None = None
    zdr: bool | None = None
    data_collection: str | None = None
    max_price_prompt: float | None = None
    max_price_completion: float | None = None


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The request's `trace` object: the five known keys and everything else as `metadata`."""

    trace_id: str | None = None
    trace_name: str | None = None
    span_name: str | None = None
    generation_name: str | None = None
    parent_span_id: str | None = None
    metadata: Mapping[str, Json] | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for, as sent."""

    model: str | None = None
    models: tuple[str, ...] | None = None
    variant: str | None = None
    preset: str | None = None
    route: str | None = None
    provider: ProviderPreferences | None = None
    plugins: tuple[str, ...] | None = None
    server_tools: tuple[str, ...] | None = None
    tool_count: int | None = None
    tool_choice: str | None = None
    service_tier: str | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop_sequences: tuple[str, ...] | None = None
    choice_count: int | None = None
    reasoning_level: str | None = None
    reasoning_max_tokens: int | None = None
    output_type: str | None = None
    encoding_formats: tuple[str, ...] | None = None
    dimensions: int | None = None
    document_count: int | None = None
    cache_control: bool | None = None
    response_cache: bool | None = None
    response_cache_ttl: int | None = None  # seconds
    user: str | None = None
    session_id: str | None = None
    trace: Trace | None = None
    referer: str | None = None
    title: str | None = None
    api_key_hash: str | None = None  # SHA-256 hex, as in OpenRouter's Keys API
    api_key_name: str | None = None  # the user's label for it; only destinations get it


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Token counts of the model's own tokeniser. Totals are inclusive; every other count is a subset, never added."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_write_5m_input_tokens: int | None = None
    cache_write_1h_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    text_input_tokens: int | None = None
    image_input_tokens: int | None = None
    audio_input_tokens: int | None = None
    video_input_tokens: int | None = None
    file_input_tokens: int | None = None
    text_output_tokens: int | None = None
    image_output_tokens: int | None = None
    audio_output_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    web_search_requests: int | None = None
    web_fetch_requests: int | None = None
    server_tools_requested: int | None = None
    server_tools_executed: int | None = None
    search_units: int | None = None
    audio_input_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """USD. `total` is the number to sum: `charged`, plus `upstream` when the key was the caller's own (BYOK)."""

    charged: float | None = None
    upstream: float | None = None
    upstream_input: float | None = None
    upstream_output: float | None = None
    total: float | None = None
    is_byok: bool | None = None
    ambiguous: bool | None = None  # True: the BYOK flag is missing and the figures disagree
    cache_discount: float | None = None  # saved by the provider's prompt cache; negative: a surcharge for writing it
    source: str | None = None  # `response`, or `generation`: OpenRouter's own record of the call


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One provider that was tried; `status` is its HTTP status, `latency_ms` as OpenRouter recorded it."""

    provider: str | None = None
    model: str | None = None
    status: int | None = None
    latency_ms: float | None = None
    is_byok: bool | None = None
    service_tier: str | None = None


@dataclass(frozen=True, kw_only=True)
class Routing:
    """How OpenRouter found the provider. The last attempt is the one that answered, if any did."""

    router: str | None = None
    strategy: str | None = None
    region: str | None = None
    requested_model: str | None = None
    attempt_count: int | None = None
    attempts: tuple[Attempt, ...] = ()
    endpoint_count: int | None = None
    fallback: bool | None = None
    pipeline_stages: tuple[str, ...] | None = None
    pipeline_cost: float | None = None
    guardrail_blocked: bool | None = None
    guardrail_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class CacheInfo:
    """OpenRouter's own response cache (not the providers' prompt caches, which are in `Usage`). Seconds."""

    status: str | None = None  # `hit` or `miss`
    age: int | None = None
    ttl: int | None = None
    source_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Error:
    """What went wrong. `type` is low-cardinality; `message` is free text of the peer and may quote the prompt."""

    type: str
    message: str | None = None
    code: str | None = None
    provider_code: str | None = None
    retry_after: float | None = None  # seconds
    availability_code: str | None = None
    retryable: bool | None = None
    excluded_by: tuple[str, ...] | None = None
    fallback_models: tuple[str, ...] | None = None
    affected_providers: tuple[str, ...] | None = None
    transport: bool = False  # True: an exception of the HTTP library; `type` is its qualified name


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Nanoseconds since the epoch; the first chunk is the first one with content, reasoning or a tool call."""

    started_at: int
    ended_at: int
    first_chunk_at: int | None = None
    chunks_at: tuple[int, ...] = ()  # of every chunk from the first with content on; only kept where asked for

    @property
    def chunk_gaps(self) -> list[float]:
        """Seconds between one chunk and the next."""
        return [(later - earlier) / 1e9 for earlier, later in zip(self.chunks_at, self.chunks_at[1:], strict=False)]

    @property
    def duration(self) -> float:
        """Seconds from the request's start to its last byte or abort."""
        return (self.ended_at - self.started_at) / 1e9

    @property
    def time_to_first_chunk(self) -> float | None:
        """Seconds from the request's start to the first chunk with content; None when nothing was streamed."""
        return None if self.first_chunk_at is None else (self.first_chunk_at - self.started_at) / 1e9


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What passed in a streamed response."""

    chunk_count: int = 0  # data events
    keepalive_count: int = 0  # comments and pings
    usage_missing: bool | None = None  # True: the stream ended without usage


@dataclass(frozen=True, kw_only=True)
class Job:
    """A video or a batch that OpenRouter works on after the call: `status` as the API names it."""

    id: str
    status: str | None = None
    finished: bool = False
    poll_count: int | None = None


@dataclass(frozen=True, kw_only=True)
class Stats:
    """What only OpenRouter's own record of a call says (GET /generation). Latencies in milliseconds, as recorded."""

    request_id: str | None = None  # shared by all generations of one API call
    upstream_id: str | None = None
    latency_ms: float | None = None
    generation_time_ms: float | None = None
    moderation_latency_ms: float | None = None
    normalized_input_tokens: int | None = None  # of OpenRouter's own tokeniser, never to be mixed with `Usage`
    normalized_output_tokens: int | None = None
    data_region: str | None = None
    workspace_id: str | None = None
    preset_id: str | None = None
    app_id: int | None = None
    web_search_results: int | None = None
    web_search_engine: str | None = None
    is_cancelled: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Enrichment:
    """What came of asking OpenRouter for its record of the call.

    `status` is `complete`, `not_needed`, or why the record is not in: `pending` (the span was ended early by a flush or
    an exit), `timeout`, `not_found`, `unauthorized`, `error`, `dropped` (too many calls were waiting).
    """

    status: str
    attempts: int | None = None
    delay_ms: float | None = None  # from the call's end to the answer
    mismatch: tuple[str, ...] | None = None  # fields in which the response and the record differ
    is_late: bool | None = None  # True: the span had ended; this record replaces what was known of the call then


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One OpenRouter call. `id` is the generation id (`gen-...`), the key to everything OpenRouter knows of it."""

    api_type: str | None  # unknown where only a span of somebody else tells of the call; so is the server
    operation: str
    outcome: Outcome
    timing: Timing
    request: Request
    server_address: str | None
    server_port: int | None
    id: str | None = None
    response_id: str | None = None
    status_code: int | None = None
    model: str | None = None
    provider: str | None = None  # the upstream that served it, by display name
    finish_reasons: tuple[str, ...] | None = None
    native_finish_reasons: tuple[str, ...] | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    routing: Routing | None = None
    cache: CacheInfo | None = None
    error: Error | None = None
    stream: Stream | None = None
    job: Job | None = None
    citation_count: int | None = None
    image_count: int | None = None
    tool_call_count: int | None = None
    resend_count: int | None = None  # how often the HTTP library sent it again, redirects included
    body_fault: str | None = None  # why the body could not be read: `malformed`, `oversized`, `empty`, `undecodable`
    content: Content | None = field(default=None, repr=False)  # may quote anything
    stats: Stats | None = None
    enrichment: Enrichment | None = None
    name: str | None = None  # the generation's own name, where it was given one
    trace_name: str | None = None  # of the parent above it, and of the one between, where they were named
    span_name: str | None = None
    tags: Mapping[str, Json] | None = None  # from `orobserve.context(...)`
    trace_id: str | None = None  # 32 hex digits of the span that stands for this call
    span_id: str | None = None  # 16 hex digits
    parent_span_id: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it counts as an error."""
        return self.error is not None or self.outcome is Outcome.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What an API key has spent and may still spend, in USD. `remaining` is None for a key without a limit."""

    label: str
    remaining: float | None
    period: str  # after which the limit starts anew: `daily`, `weekly`, `monthly`, or `total` for never
    usage: Mapping[str, float]  # by period: `total`, `daily`, `weekly`, `monthly`
