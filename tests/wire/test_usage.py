"""The money table and the counts of every dialect."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orobserve.generation import Cost, Usage
from orobserve.wire.usage import price, read_cost, read_usage

INPUT = {"cached_tokens": 1, "cache_write_tokens": 2, "text_tokens": 3, "image_tokens": 4, "audio_tokens": 5}
INPUT |= {"video_tokens": 6, "file_tokens": 7}
INPUT_READ = {"cache_read_input_tokens": 1, "cache_write_input_tokens": 2, "text_input_tokens": 3}
INPUT_READ |= {"image_input_tokens": 4, "audio_input_tokens": 5, "video_input_tokens": 6, "file_input_tokens": 7}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 2}, {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
        (
            {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 9},
            {"input_tokens": 1, "output_tokens": 2, "total_tokens": 9},
        ),
        ({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}),
        ({"output_tokens": 5}, {"output_tokens": 5}),
        ({"search_units": 1, "total_tokens": 150}, {"search_units": 1, "total_tokens": 150}),
        ({"seconds": 9.2}, {"audio_input_seconds": 9.2}),
        ({"prompt_tokens_details": INPUT}, INPUT_READ),
        ({"input_tokens_details": INPUT}, INPUT_READ),
        ({"input_token_details": INPUT}, INPUT_READ),
        (
            {"completion_tokens_details": {"reasoning_tokens": 1, "text_tokens": 2, "image_tokens": 3}},
            {"reasoning_output_tokens": 1, "text_output_tokens": 2, "image_output_tokens": 3},
        ),
        ({"output_tokens_details": {"thinking_tokens": 1}}, {"reasoning_output_tokens": 1}),
        (
            {"cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}},
            {"cache_write_5m_input_tokens": 1, "cache_write_1h_input_tokens": 2},
        ),
        (
            {"server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 2}},
            {"web_search_requests": 1, "web_fetch_requests": 2},
        ),
        (
            {"server_tool_use_details": {"tool_calls_requested": 3, "tool_calls_executed": 2}},
            {"server_tools_requested": 3, "server_tools_executed": 2},
        ),
        ({"prompt_tokens": 7.0}, {"input_tokens": 7}),
    ],
)
def test_counts(given, expected) -> None:
    assert read_usage(given) == Usage(**expected)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"prompt_tokens": None},
        {"prompt_tokens": -1},
        {"prompt_tokens": 1.5},
        {"prompt_tokens": True},
        {"prompt_tokens": "9"},
        {"prompt_tokens": 2**53 + 1},
        {"prompt_tokens": math.nan},
        {"prompt_tokens_details": None},
        {"prompt_tokens_details": [1]},
        {"seconds": "9"},
        {"cost": 1.0},
        {"iterations": [{"input_tokens": 1}], "speed": "fast"},
    ],
)
def test_no_counts(given) -> None:
    assert read_usage(given) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"input_tokens": 12, "cache_read_input_tokens": 25600, "output_tokens": 1}, 25612),
        ({"input_tokens": 12, "cache_read_input_tokens": 25000, "cache_creation_input_tokens": 600}, 25612),
        ({"input_tokens": 12}, 12),
        ({"input_tokens": 12, "cache_read_input_tokens": None}, 12),
        ({"cache_read_input_tokens": 5}, None),
    ],
)
def test_cached_tokens_that_stand_apart_are_added(given, expected) -> None:
    usage = read_usage(given, cache_apart=True)
    assert usage.input_tokens == expected


# cost, upstream, flag in usage, flag in metadata -> total, is_byok, ambiguous
MONEY = [
    (0.01, None, False, None, 0.01, False, None),
    (0.01, 0, False, None, 0.01, False, None),
    (0.01, 0.01, False, None, 0.01, False, None),
    (0.01, 0.5, False, None, 0.01, False, None),
    (0.0005, 0.01, True, None, 0.0105, True, None),
    (0, 0.01, True, None, 0.01, True, None),
    (0.0005, None, True, None, 0.0005, True, None),
    (0.01, None, None, None, 0.01, None, None),
    (0.01, 0, None, None, 0.01, None, None),
    (0.01, 0.01, None, None, 0.01, None, None),
    (0.01, 0.01 * (1 + 1e-12), None, None, 0.01, None, None),
    (0, 0.01, None, None, 0.01, True, None),
    (0, 0, None, None, 0.0, None, None),
    (0.0005, 0.01, None, None, 0.0005, None, True),
    (0.0005, 0.01, None, True, 0.0105, True, None),
    (0.0005, 0.01, None, False, 0.0005, False, None),
    (0.0005, 0.01, False, True, 0.0005, False, None),
    (None, 0.01, True, None, None, True, None),
    (None, 0.01, None, None, None, None, None),
]


@pytest.mark.parametrize(("cost", "upstream", "flag", "elsewhere", "total", "is_byok", "ambiguous"), MONEY)
def test_money(cost, upstream, flag, elsewhere, total, is_byok, ambiguous) -> None:
    given = {"cost": cost, "is_byok": flag, "cost_details": {"upstream_inference_cost": upstream}}
    found = read_cost(given, is_byok=elsewhere)
    assert (found.total, found.is_byok, found.ambiguous) == (total, is_byok, ambiguous)
    assert found.charged == cost
    assert found.source == (None if cost is None else "response")


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"upstream_inference_prompt_cost": 1, "upstream_inference_completions_cost": 2}, (1.0, 2.0)),
        ({"upstream_inference_input_cost": 1, "upstream_inference_output_cost": "2"}, (1.0, 2.0)),
        ({"upstream_inference_input_cost": -1, "upstream_inference_output_cost": None}, (None, None)),
    ],
)
def test_the_upstream_split(details, expected) -> None:
    found = read_cost({"cost": 3, "cost_details": details})
    assert (found.upstream_input, found.upstream_output) == expected
    assert found.total == 3.0


@pytest.mark.parametrize(
    "given",
    [{}, {"cost": None}, {"cost": "free"}, {"cost": -1}, {"cost": math.nan}, {"cost": True}, {"cost_details": 3}],
)
def test_no_money(given) -> None:
    assert read_cost(given) is None


def test_sums_are_exact_in_the_digits_that_were_sent() -> None:
    cost = price(0.1, is_byok=True, source="generation", upstream=0.2)
    assert cost == Cost(charged=0.1, upstream=0.2, total=0.3, is_byok=True, source="generation")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3), st.lists))
def test_any_value_is_either_read_or_unknown(value) -> None:
    keys = ["prompt_tokens", "completion_tokens", "total_tokens", "seconds", "cost", "is_byok", "cost_details"]
    keys += ["prompt_tokens_details", "server_tool_use"]
    given = dict.fromkeys(keys, value)
    usage, cost = read_usage(given), read_cost(given)
    assert usage is None or (usage.input_tokens is None or usage.input_tokens >= 0)
    assert cost is None or cost.charged is None or (cost.charged >= 0 and math.isfinite(cost.charged))
