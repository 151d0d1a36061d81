"""Scenarios with a name, for the request header ``x-simulator-scenario`` and for `Simulator.next`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from orobserve.testing.scenarios import Attempt, Failure, Framing, Scenario, ToolCall

if TYPE_CHECKING:
    from collections.abc import Mapping

_WEATHER = ToolCall(name="get_weather", arguments='{"city":"Lisbon"}')


def _failing(name: str, kind: str, **details: object) -> Scenario:
    return Scenario(name=name, error=Failure(error_type=kind, **details))  # type: ignore[arg-type]


_SUCCESSES = (
    Scenario(name="default"),
    Scenario(name="reasoning", reasoning="First think about it, then say it."),
    Scenario(name="tools", tool_calls=(_WEATHER,)),
    Scenario(name="parallel_tools", tool_calls=(_WEATHER, ToolCall(name="get_time", arguments='{"zone":"UTC"}'))),
    Scenario(name="citations", citations=("https://example.com/a", "https://example.com/b"), web_searches=1),
    Scenario(name="image_output", images=1),
    Scenario(name="prompt_cache_read", cached_tokens=1200),
    Scenario(name="prompt_cache_write", cache_write_tokens=1200),
    Scenario(name="length", finish="length"),
    Scenario(name="content_filter", finish="content_filter"),
    Scenario(name="unicode", text="Grüße, 世界! 👩‍🚀 naïve café\u2028end"),
    Scenario(name="long", text="lorem ipsum dolor " * 400),
    Scenario(name="free_of_charge", prompt_tokens=0, completion_tokens=0),
    Scenario(
        name="fallback_provider", failed_attempts=(Attempt(provider="Azure", status=429),), provider="Amazon Bedrock"
    ),
    Scenario(name="fallback_model", failed_attempts=(Attempt(provider="OpenAI", status=503),), fallback=True),
    Scenario(
        name="guardrail",
        pipeline=({"type": "guardrail", "name": "moderation", "data": {"flagged": False}, "summary": "passed"},),
        moderation_latency=37,
    ),
)

_MONEY = (
    Scenario(name="byok", byok="fee"),
    Scenario(name="byok_free", byok="free"),
    Scenario(name="byok_unflagged", byok="unflagged"),
    Scenario(name="cost_string", cost="string"),
    Scenario(name="cost_null", cost="null"),
    Scenario(name="cost_absent", cost="absent"),
    Scenario(name="upstream_zero", upstream="zero"),
    Scenario(name="upstream_equal", upstream="equal"),
    Scenario(name="upstream_absent", upstream="absent"),
    Scenario(name="usage_absent", usage="absent"),
    Scenario(name="usage_null", usage="null"),
    Scenario(name="usage_nulls", usage="nulls"),
    Scenario(name="usage_wrong_types", usage="wrong_types"),
    Scenario(name="usage_huge", usage="huge"),
)

_ERRORS = (
    _failing("bad_request", "invalid_request", message="Invalid request parameters"),
    _failing("payment_required", "payment_required", message="Insufficient credits."),
    _failing(
        "moderation",
        "content_policy_violation",
        message="Your chosen model requires moderation and your input was flagged",
        metadata={
            "reasons": ["violence"],
            "flagged_input": "a flagged input",
            "provider_name": "OpenAI",
            "model_slug": "openai/gpt-4o",
        },
    ),
    _failing("guardrail_block", "permission_denied", message="Blocked by guardrail", metadata={"patterns": ["secret"]}),
    _failing("model_not_found", "not_found", message="No such model", availability="model_not_found"),
    _failing("no_endpoints", "not_found", message="No endpoints found", availability="constraint_filtered"),
    _failing(
        "capacity",
        "provider_overloaded",
        status=503,
        message="At capacity",
        availability="capacity_exhausted",
        retry_after=5,
    ),
    _failing("context_length", "context_length_exceeded", message="Too long"),
    _failing("rate_limited", "rate_limit_exceeded", message="Rate limit exceeded", retry_after=1),
    _failing("server_error", "server", message="Internal Server Error"),
    _failing(
        "provider_error",
        "provider_unavailable",
        provider_code="upstream_error",
        metadata={"provider_name": "OpenAI", "raw": '{"error":"down"}', "previous_errors": []},
    ),
    _failing("overloaded", "provider_overloaded"),
    _failing("timeout", "timeout", status=524, message="Request timed out. Please try again later."),
    _failing("error_in_body", "provider_unavailable", place="body200_top"),
    _failing("error_in_choice", "provider_unavailable", place="body200_choice"),
    _failing("midstream_error", "provider_unavailable", place="midstream"),
    _failing("midstream_error_string_code", "server", place="midstream", code="server_error"),
    _failing("midstream_error_flat", "server", place="midstream", style="flat"),
    _failing("midstream_error_nested", "server", place="midstream", style="nested"),
    _failing("response_error_event", "server", place="midstream", style="response.error"),
    _failing("job_failed", "provider_unavailable", place="job", message="The job failed"),
)

_FAULTS = (
    Scenario(name="truncated", truncated_after=3),
    Scenario(name="truncated_clean", truncated_after=3, truncated_clean=True),
    Scenario(name="reset", reset_after=0, billing="none"),
    Scenario(name="reset_midstream", reset_after=3),
    Scenario(name="held", hold_after=3),
    Scenario(name="held_partial", hold_after=3, billing="partial"),
    Scenario(name="html", body="html"),
    Scenario(name="empty", body="empty"),
    Scenario(name="malformed", body="malformed"),
    Scenario(name="array", body="array"),
)

_WIRE = (
    *(Scenario(name=encoding, encoding=encoding) for encoding in ("gzip", "deflate", "br", "zstd")),
    Scenario(name="keepalives", framing=Framing(comments=3, comments_between=1, padding=3)),
    Scenario(name="cr", framing=Framing(newline="\r")),
    Scenario(name="crlf", framing=Framing(newline="\r\n")),
    Scenario(name="bom", framing=Framing(bom=True)),
    Scenario(name="multiline", framing=Framing(multiline=True)),
    Scenario(name="no_space", framing=Framing(space=False)),
    Scenario(name="bytewise", framing=Framing(write_size=1), text="Grüße 👋"),
    Scenario(name="usage_choices", framing=Framing(usage_choices=True)),
    Scenario(name="no_role_chunk", framing=Framing(role_chunk=False)),
)

_AFTERWARDS = (
    Scenario(name="record_at_once", record_after=0),
    Scenario(name="record_late", record_after=5),
    Scenario(name="record_never", record_status=404),
    Scenario(name="record_rate_limited", record_status=429),
    Scenario(name="record_broken", record_status=500),
    Scenario(name="record_forbidden", record_status=401),
    Scenario(name="record_cancelled", cancelled=True),
    Scenario(name="late_id", late_id=True),
)

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {scenario.name: scenario for scenario in (*_SUCCESSES, *_MONEY, *_ERRORS, *_FAULTS, *_WIRE, *_AFTERWARDS)}
)
