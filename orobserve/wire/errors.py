"""Errors wherever OpenRouter puts them: envelope, choice, stream event, the Responses and Messages shapes."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from orobserve.generation import Error
from orobserve.wire.values import Object, first, flag, mapping, number, objects, strings, text

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN = "_OTHER"


def read_error(given: object, *, around: Object | None = None, status: int | None = None) -> Error | None:
    """Return the error that an `error` value describes, or None if there is none.

    Args:
        given: the value of an `error` key: an object, or a plain text.
        around: the object it stands in, which may hold `error_type`.
        status: the HTTP status, the type of last resort.
    """
    if not given:
        return None
    error = given if isinstance(given, dict) else {"message": given}
    metadata, availability = mapping(error.get("metadata")), mapping(error.get("availability"))
    code = _code(error.get("code"))
    return Error(
        type=first(
            (
                text(metadata.get("error_type")),
                text(error.get("error_type")),
                text((around or {}).get("error_type")),
                text(error.get("type")),
                code,
                _code(error.get("http_status")),
                str(status) if status is not None else None,
            )
        )
        or UNKNOWN,
        message=text(error.get("message")),
        code=code or (str(status) if status is not None else None),
        provider_code=_code(metadata.get("provider_code")) or _previous_code(metadata),
        retry_after=_seconds(availability.get("retry_after")),
        availability_code=text(availability.get("code")),
        retryable=flag(availability.get("retryable")),
        excluded_by=strings(availability.get("excluded_by")),
        fallback_models=strings(availability.get("fallback_models")),
        affected_providers=strings(availability.get("affected_providers")) or _provider_of(metadata),
    )


def status_error(status: int) -> Error:
    """Return the error of a response that says nothing but its status."""
    return Error(type=str(status), code=str(status))


def _code(value: object) -> str | None:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)


def _previous_code(metadata: Object) -> str | None:
    codes = [_code(item.get("code")) for item in objects(metadata.get("previous_errors"))]
    return first(reversed(codes))


def _provider_of(metadata: Object) -> tuple[str, ...] | None:
    return strings(metadata.get("provider_name"))


def _seconds(value: object) -> float | None:
    seconds = number(value)
    return seconds if seconds is not None and seconds >= 0 else None


def retry_after(headers: Mapping[str, str], now_ns: int) -> float | None:
    """Return the Retry-After header in seconds; it is a number or a date (RFC 9110, 10.2.3).

    Args:
        headers: response headers, lower-case names.
        now_ns: the time of the response, nanoseconds since the epoch.
    """
    value = headers.get("retry-after")
    if not value:
        return None
    try:
        return _seconds(float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_ns / 1e9)
    except (ValueError, TypeError, OverflowError):
        return None
