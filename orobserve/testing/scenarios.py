"""What a simulated call should do: the knobs of one inference call, and nothing about how they are carried out."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Place = Literal["http", "body200_top", "body200_choice", "midstream", "job"]

NOTHING: Mapping[str, Any] = MappingProxyType({})

STATUS_OF_ERROR_TYPE: Mapping[str, int] = MappingProxyType(
    {
        "authentication": 401,
        "payment_required": 402,
        "permission_denied": 403,
        "content_policy_violation": 403,
        "refusal": 403,
        "not_found": 404,
        "image_not_found": 404,
        "timeout": 408,
        "precondition_failed": 412,
        "payload_too_large": 413,
        "unprocessable": 422,
        "rate_limit_exceeded": 429,
        "server": 500,
        "unmapped": 500,
        "provider_unavailable": 502,
        "provider_overloaded": 529,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One function call the simulated model asks for."""

    name: str
    arguments: str = "{}"
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A provider that was tried and failed before the one that answered."""

    provider: str
    status: int = 502
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error OpenRouter reports, and the place where it reports it.

    ``status`` 0 means the usual status of ``error_type``. ``after`` counts the data events sent before a
    ``midstream`` error. ``code`` replaces the wire code (OpenRouter has used both integers and strings).
    ``job`` makes a video or batch job end as failed. ``style`` selects between the two documented shapes of the
    Responses error event.
    """

    error_type: str = "server"
    status: int = 0
    message: str = "Provider returned error"
    place: Place = "http"
    after: int = 2
    code: int | str | None = None
    availability: str = ""
    retry_after: int | None = None
    provider_code: str = ""
    metadata: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    style: Literal["failed", "flat", "nested", "response.error"] = "failed"

    @property
    def http_status(self) -> int:
        """The status OpenRouter gives this kind of error."""
        return self.status or STATUS_OF_ERROR_TYPE.get(self.error_type, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How a body is cut and dressed on the wire, without changing what it says.

    ``comments`` keep-alive lines precede the first event, ``comments_between`` follow every event. ``write_size`` cuts
    the bytes into socket writes of that size. ``multiline`` spreads each JSON payload over several ``data:`` lines.
    ``usage_choices`` adds a non-empty choice (finish_reason null) to the chat usage chunk, as seen in the wild.
    ``padding`` puts that many whitespace keep-alive lines before a JSON body.
    """

    newline: Literal["\n", "\r", "\r\n"] = "\n"
    bom: bool = False
    multiline: bool = False
    comments: int = 0
    comments_between: int = 0
    write_size: int = 0
    usage_choices: bool = False
    role_chunk: bool = True
    padding: int = 0
    space: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything about one simulated inference call. The default is a plain, successful, billed answer.

    Token counts of None are derived from the texts. ``truncated_after`` ends the response after that many data events
    without a terminal event: torn (connection closed inside the body) or, with ``truncated_clean``, well-formed HTTP.
    ``reset_after`` resets the connection after that many events, 0 meaning before any byte of the response.
    ``hold_after`` keeps the stream open after that many events until the client hangs up.
    ``record_after`` look-ups of GET /generation answer 404 first; ``record_delay`` seconds of the simulator's clock
    must pass as well; ``record_status`` other than 200 is what look-ups answer for ever after (404: never written).
    ``billing`` says what is charged: by default everything, and nothing when the call fails.
    """

    name: str = "default"
    # routing
    provider: str = ""
    model: str = ""
    failed_attempts: tuple[Attempt, ...] = ()
    fallback: bool = False
    strategy: str = ""
    pipeline: tuple[Mapping[str, Any], ...] = ()
    # money
    byok: Literal["", "fee", "free", "unflagged"] = ""
    cost: Literal["number", "string", "null", "absent"] = "number"
    upstream: Literal["null", "zero", "equal", "absent"] = "null"
    billing: Literal["", "full", "partial", "none"] = ""
    usage: Literal["normal", "absent", "null", "nulls", "wrong_types", "huge"] = "normal"
    # tokens
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int | None = None
    audio_tokens: int = 0
    image_tokens: int = 0
    web_searches: int = 0
    # content
    text: str | None = None
    chunks: int | None = None
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    citations: tuple[str, ...] = ()
    images: int = 0
    finish: Literal["stop", "length", "content_filter", "tool_calls", "error"] = "stop"
    service_tier: str = ""
    # faults
    error: Failure | None = None
    truncated_after: int | None = None
    truncated_clean: bool = False
    reset_after: int | None = None
    hold_after: int | None = None
    body: Literal["normal", "html", "empty", "malformed", "array"] = "normal"
    encoding: Literal["", "gzip", "deflate", "br", "zstd"] = ""
    framing: Framing = field(default_factory=Framing)
    # time
    first_delay: float = 0.0
    chunk_delay: float = 0.0
    # afterwards
    record_after: int = 1
    record_delay: float = 0.0
    record_status: int = 200
    record_overrides: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    moderation_latency: int | None = None
    cancelled: bool = False
    polls: int = 1
    late_id: bool = False
