"""Errors wherever OpenRouter puts them."""

from __future__ import annotations

import pytest

from orobserve.generation import Error
from orobserve.wire.errors import UNKNOWN, read_error, retry_after

NOON = 1_787_400_000  # 2026-08-22T12:00:00Z


@pytest.mark.parametrize("given", [None, False, {}, "", [], 0])
def test_no_error(given) -> None:
    assert read_error(given) is None


@pytest.mark.parametrize(
    ("given", "around", "expected"),
    [
        ("boom", None, UNKNOWN),
        (["boom"], None, UNKNOWN),
        ({"message": "boom"}, None, UNKNOWN),
        ({"code": 502}, None, "502"),
        ({"code": "server_error"}, None, "server_error"),
        ({"http_status": 404}, None, "404"),
        ({"code": 502, "http_status": 404}, None, "502"),
        ({"code": 502, "type": "overloaded_error"}, None, "overloaded_error"),
        ({"code": 502, "type": "overloaded_error"}, {"error_type": "server"}, "server"),
        ({"code": 502, "error_type": "timeout", "type": "api_error"}, {"error_type": "server"}, "timeout"),
        ({"error_type": "timeout", "metadata": {"error_type": "refusal"}}, {"error_type": "server"}, "refusal"),
        ({"code": 502, "metadata": "none", "error_type": 5, "type": None}, {"error_type": []}, "502"),
        ({"code": True}, None, UNKNOWN),
        ({"code": 1.5}, None, UNKNOWN),
    ],
)
def test_the_type_comes_from_the_most_telling_place(given, around, expected) -> None:
    assert read_error(given, around=around).type == expected


@pytest.mark.parametrize(
    ("metadata", "provider_code", "providers"),
    [
        ({"provider_code": "429"}, "429", None),
        ({"provider_code": 429}, "429", None),
        ({"previous_errors": [{"code": 429}, {"code": "overloaded"}]}, "overloaded", None),
        ({"previous_errors": [{"code": 429}, {"code": None}, 7]}, "429", None),
        ({"previous_errors": []}, None, None),
        ({"provider_name": "Google"}, None, ("Google",)),
        ({"provider_name": 7}, None, None),
    ],
)
def test_what_the_provider_said(metadata, provider_code, providers) -> None:
    error = read_error({"message": "m", "metadata": metadata})
    assert (error.provider_code, error.affected_providers) == (provider_code, providers)


def test_availability() -> None:
    availability = {
        "code": "constraint_filtered",
        "retryable": True,
        "retry_after": 12,
        "affected_providers": ["openai"],
        "fallback_models": ["a/b", "", 3],
        "excluded_by": "max_price",
    }
    assert read_error({"error_type": "not_found", "availability": availability}) == Error(
        type="not_found",
        retry_after=12.0,
        availability_code="constraint_filtered",
        retryable=True,
        excluded_by=("max_price",),
        fallback_models=("a/b",),
        affected_providers=("openai",),
    )


@pytest.mark.parametrize("value", [-1, "5", None, True])
def test_odd_waits_are_unknown(value) -> None:
    assert read_error({"message": "m", "availability": {"retry_after": value}}).retry_after is None


@pytest.mark.parametrize("given", [{"flagged_input": "SECRET"}, {"patterns": ["SECRET"]}, {"raw": "SECRET"}])
def test_content_in_metadata_is_not_kept(given) -> None:
    assert "SECRET" not in repr(read_error({"message": "m", "metadata": given}))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("Sat, 22 Aug 2026 12:00:30 GMT", 30.0),
        ("Sat, 22 Aug 2026 14:00:30 +0200", 30.0),
        ("Sat, 22 Aug 2026 11:00:00 GMT", 0.0),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Sat, 99 Aug 2026 12:00:30 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(value, expected) -> None:
    headers = {} if value is None else {"retry-after": value}
    assert retry_after(headers, NOON * 1_000_000_000) == expected
