"""Error bodies of every dialect, and which of them carry a generation id or router metadata."""

from __future__ import annotations

from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.testing.request import Payload
    from orobserve.testing.scenarios import Failure

PHRASES: Mapping[int, str] = MappingProxyType(
    {524: "A Timeout Occurred", 529: "Site is overloaded", 422: "Unprocessable Content", 413: "Content Too Large"}
)
_EARLY = frozenset({400, 401, 402, 403, 405, 413, 422})
_WITHOUT_METADATA = frozenset({401, 429, 500})

_ANTHROPIC_TYPE: Mapping[int, str] = MappingProxyType(
    {
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        408: "timeout_error",
        429: "rate_limit_error",
        500: "api_error",
        502: "api_error",
        503: "overloaded_error",
        524: "timeout_error",
        529: "overloaded_error",
    }
)
LENGTH_ERRORS = frozenset({"context_length_exceeded", "max_tokens_exceeded", "token_limit_exceeded", "string_too_long"})
_RESPONSES_CODES = frozenset({"rate_limit_exceeded", "invalid_prompt", "invalid_image", "image_too_large"})


def reached_a_provider(failure: Failure) -> bool:
    """Whether the failure happened after routing, so that a generation exists."""
    return failure.http_status not in _EARLY


def body(dialect: str, failure: Failure, *, generation_id: str = "", story: Payload | None = None) -> Payload:
    """Build the error body of a dialect."""
    if failure.http_status in _WITHOUT_METADATA:
        story = None
    if dialect == "messages":
        return anthropic(failure, generation_id=generation_id, story=story)
    payload: Payload = {"error": detail(failure)}
    if story is not None:
        payload["openrouter_metadata"] = story
    if failure.http_status != HTTPStatus.UNAUTHORIZED:
        payload["user_id"] = "user_simulated"
    return payload


def detail(failure: Failure) -> Payload:
    """Build ``error`` of the common envelope; availability errors have their own documented shape."""
    if failure.availability:
        return {
            "message": failure.message,
            "error_type": failure.error_type,
            "http_status": failure.http_status,
            "availability": availability(failure),
        }
    kind: Payload = {"error_type": failure.error_type}
    if failure.provider_code and failure.http_status != HTTPStatus.INTERNAL_SERVER_ERROR:
        kind["provider_code"] = failure.provider_code
    return {"code": code(failure), "message": failure.message, "metadata": {**kind, **failure.metadata}}


def code(failure: Failure) -> int | str:
    """Give the wire code."""
    return failure.http_status if failure.code is None else failure.code


def availability(failure: Failure) -> Payload:
    """Explain why a model cannot be served."""
    return {
        "code": failure.availability,
        "retryable": failure.http_status in {429, 502, 503, 529},
        "retry_after": failure.retry_after,
        "requested_models": [],
        "affected_providers": [],
        "fallback_models": [],
        "excluded_by": ["quantization"] if failure.availability == "constraint_filtered" else [],
        "constraint": None,
        "docs_url": "https://openrouter.ai/docs/errors",
    }


def anthropic(failure: Failure, *, generation_id: str = "", story: Payload | None = None) -> Payload:
    """Build the Messages error object; its request id is the generation id once a provider was chosen."""
    error: Payload = {
        "type": _ANTHROPIC_TYPE.get(failure.http_status, "invalid_request_error"),
        "message": failure.message,
        "error_type": failure.error_type,
    }
    payload: Payload = {"type": "error", "error": error, "request_id": generation_id or None}
    if failure.availability:
        error["availability"] = availability(failure)
    if failure.metadata:
        payload["metadata"] = dict(failure.metadata)
    if story is not None:
        payload["openrouter_metadata"] = story
    return payload


def responses_error(failure: Failure) -> Payload:
    """Build ``error`` of a failed response, whose set of codes is narrow."""
    kind = failure.error_type
    return {"code": kind if kind in _RESPONSES_CODES else "server_error", "message": failure.message}


def headers(failure: Failure) -> list[tuple[str, str]]:
    """Build the headers that belong to an error status."""
    found: list[tuple[str, str]] = []
    if failure.retry_after is not None:
        found.append(("Retry-After", str(failure.retry_after)))
    if failure.error_type == "rate_limit_exceeded":
        found += [("X-RateLimit-Limit", "20"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1741305600000")]
    return found


def plain(status: int, message: str, **metadata: object) -> Payload:
    """Build the bare envelope of the endpoints that are not inference."""
    error: Payload = {"code": status, "message": message}
    if metadata:
        error["metadata"] = metadata
    return {"error": error}
