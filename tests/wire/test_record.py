"""OpenRouter's own record: what it adds to a response, and that adding changes nothing else."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orobserve.generation import (
    Attempt,
    CacheInfo,
    Content,
    Cost,
    Generation,
    Message,
    Outcome,
    Reasoning,
    Request,
    Routing,
    Text,
    Timing,
    Usage,
)
from orobserve.wire.record import is_record_of, is_short_of_figures, merge, merge_content

# The example of https://openrouter.ai/docs/api-reference/get-a-generation, with a second attempt.
DOCUMENTED: dict[str, Any] = {
    "id": "gen-3bhGkxlo4XFrqiabUM7NDtwDzWwG",
    "upstream_id": "chatcmpl-791bcf62-080e-4568-87d0-94c72e3b4946",
    "request_id": "req-1727282430-aBcDeFgHiJkLmNoPqRsT",
    "total_cost": 0.0015,
    "cache_discount": -0.0002,
    "upstream_inference_cost": 0.0012,
    "created_at": "2024-07-15T23:33:19.433273+00:00",
    "model": "sao10k/l3-stheno-8b",
    "app_id": 12345,
    "streamed": True,
    "cancelled": False,
    "provider_name": "Infermatic",
    "latency": 1250,
    "moderation_latency": 50,
    "generation_time": 1200,
    "finish_reason": "stop",
    "native_finish_reason": "stop",
    "tokens_prompt": 10,
    "tokens_completion": 25,
    "native_tokens_prompt": 12,
    "native_tokens_completion": 27,
    "native_tokens_completion_images": 0,
    "native_tokens_reasoning": 5,
    "native_tokens_cached": 3,
    "num_search_results": 5,
    "num_fetches": 2,
    "web_search_engine": "exa",
    "origin": "https://openrouter.ai/",
    "usage": 0.0015,
    "is_byok": False,
    "external_user": "user-123",
    "api_type": "completions",
    "router": "openrouter/auto",
    "service_tier": "priority",
    "data_region": "global",
    "workspace_id": "750e8400",
    "preset_id": "preset-1",
    "session_id": "sess-1",
    "http_referer": "https://app.example.com",
    "response_cache_source_id": None,
    "provider_responses": [
        {"provider_name": "OpenAI", "model_permaslug": "openai/gpt-4o", "status": 503, "latency": 80, "is_byok": False},
        {
            "provider_name": "Infermatic",
            "model_permaslug": "sao10k/l3",
            "status": 200,
            "latency": 1100,
            "is_byok": False,
        },
    ],
}
SAID = Generation(
    api_type="chat_completions",
    operation="chat",
    outcome=Outcome.COMPLETE,
    timing=Timing(started_at=1, ended_at=2),
    request=Request(model="openrouter/auto"),
    server_address="openrouter.ai",
    server_port=443,
    id="gen-3bhGkxlo4XFrqiabUM7NDtwDzWwG",
    model="sao10k/l3-stheno-8b",
    provider="Infermatic",
    usage=Usage(
        input_tokens=12, output_tokens=27, total_tokens=39, reasoning_output_tokens=5, cache_read_input_tokens=3
    ),
    cost=Cost(charged=0.0015, total=0.0015, is_byok=False, source="response"),
)


def bare(**fields: Any) -> Generation:
    return merge(Generation(**{**SAID.__dict__, "usage": None, "cost": None, "provider": None, "model": None}), fields)


def test_the_documented_example() -> None:
    before = copy.deepcopy(SAID)
    merged = merge(SAID, DOCUMENTED)
    assert before == SAID
    assert merged.cost == Cost(
        charged=0.0015, upstream=0.0012, total=0.0015, is_byok=False, cache_discount=-0.0002, source="generation"
    )
    assert merged.usage is not None
    assert (merged.usage.input_tokens, merged.usage.output_tokens, merged.usage.total_tokens) == (12, 27, 39)
    assert merged.usage.web_fetch_requests == 2
    assert merged.stats is not None
    assert (merged.stats.normalized_input_tokens, merged.stats.normalized_output_tokens) == (10, 25)
    assert (merged.stats.latency_ms, merged.stats.generation_time_ms, merged.stats.moderation_latency_ms) == (
        1250,
        1200,
        50,
    )
    assert (merged.stats.app_id, merged.stats.data_region, merged.stats.web_search_engine) == (12345, "global", "exa")
    assert merged.stats.is_cancelled is False
    assert merged.routing is not None
    assert (merged.routing.router, merged.routing.attempt_count, merged.routing.fallback) == (
        "openrouter/auto",
        2,
        True,
    )
    assert merged.routing.attempts[0] == Attempt(
        provider="OpenAI", model="openai/gpt-4o", status=503, latency_ms=80, is_byok=False
    )
    assert (merged.request.session_id, merged.request.user) == ("sess-1", "user-123")
    assert merged.request.referer == "https://app.example.com"
    assert merged.service_tier == "priority"
    assert merged.enrichment is not None
    assert (merged.enrichment.status, merged.enrichment.mismatch) == ("complete", None)


def test_a_second_time_changes_nothing() -> None:
    once = merge(SAID, DOCUMENTED)
    assert merge(once, DOCUMENTED) == once


def test_the_record_wins_for_figures_and_differences_are_named() -> None:
    record = {
        **DOCUMENTED,
        "total_cost": 0.002,
        "native_tokens_prompt": 13,
        "native_tokens_reasoning": 6,
        "provider_name": "Other",
        "model": "another/model",
        "is_byok": True,
    }
    merged = merge(SAID, record)
    assert merged.enrichment is not None
    assert set(merged.enrichment.mismatch or ()) == {
        "usage.input_tokens",
        "usage.reasoning_output_tokens",
        "cost.charged",
        "cost.is_byok",
        "cost.usage",
        "provider",
        "model",
    }
    assert merged.usage is not None
    assert (merged.usage.input_tokens, merged.usage.total_tokens) == (13, 40)
    assert merged.cost is not None
    assert (merged.cost.charged, merged.cost.total) == (0.002, 0.0032)
    assert (merged.provider, merged.model) == ("Infermatic", "sao10k/l3-stheno-8b")  # the response's own words


def test_upstream_of_a_byok_call_comes_from_where_it_is_told() -> None:
    said = Cost(charged=0.0001, upstream=0.002, upstream_input=0.0015, total=0.0021, is_byok=True, source="response")
    merged = merge(
        Generation(**{**SAID.__dict__, "cost": said}), {"id": SAID.id, "total_cost": 0.0001, "is_byok": True}
    )
    assert merged.cost is not None
    assert (merged.cost.total, merged.cost.upstream_input, merged.cost.source) == (0.0021, 0.0015, "generation")
    unsure = merge(Generation(**{**SAID.__dict__, "cost": said}), {"total_cost": 0.0001})
    assert unsure.cost is not None
    assert (unsure.cost.is_byok, unsure.cost.total) == (True, 0.0021)


def test_a_record_without_a_cost_takes_none_away() -> None:
    merged = merge(SAID, {"total_cost": None, "cache_discount": 0.1})
    assert merged.cost is not None
    assert (merged.cost.total, merged.cost.source, merged.cost.cache_discount) == (0.0015, "response", 0.1)
    assert merge(merged, {"total_cost": 0.0015}).cost == Cost(
        charged=0.0015, total=0.0015, is_byok=False, source="generation", cache_discount=0.1
    )
    assert bare().cost is None
    assert bare(usage=0.5).cost == Cost(charged=0.5, total=0.5, source="generation")


def test_what_only_the_record_says() -> None:
    merged = bare(
        native_tokens_prompt=7,
        provider_name="P",
        model="m",
        finish_reason="length",
        native_finish_reason="max",
        response_cache_source_id="gen-source",
    )
    assert merged.usage == Usage(input_tokens=7, total_tokens=7)
    assert (merged.provider, merged.model) == ("P", "m")
    assert (merged.finish_reasons, merged.native_finish_reasons) == (("length",), ("max",))
    assert merged.cache == CacheInfo(status="hit", source_id="gen-source")
    assert merged.enrichment is not None
    assert merged.enrichment.mismatch is None


def test_the_routers_own_words_stay() -> None:
    routing = Routing(strategy="direct", attempt_count=1, fallback=False, attempts=(Attempt(provider="A"),))
    merged = merge(Generation(**{**SAID.__dict__, "routing": routing}), DOCUMENTED)
    assert merged.routing is not None
    assert (merged.routing.strategy, merged.routing.attempt_count, len(merged.routing.attempts)) == ("direct", 1, 2)
    assert merge(Generation(**{**SAID.__dict__, "routing": routing}), {}).routing == routing
    assert bare(router="openrouter/auto").routing == Routing(router="openrouter/auto")
    alone = bare(provider_responses=[{"provider_name": "A", "status": 200}]).routing
    assert alone == Routing(attempts=(Attempt(provider="A", status=200),), attempt_count=1, fallback=False)


ENRICHED = merge(SAID, DOCUMENTED)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(DOCUMENTED, JSON)), st.sampled_from([SAID, ENRICHED]))
def test_nonsense_neither_raises_nor_takes_away(record: dict[str, Any], said: Generation) -> None:
    said_before, record_before = copy.deepcopy(said), repr(record)
    merged = merge(said, record)
    assert (said, repr(record)) == (said_before, record_before)
    for part in ("usage", "cost"):
        before, after = getattr(said, part), getattr(merged, part)
        known = {name for name, value in before.__dict__.items() if value is not None}
        assert {name for name, value in after.__dict__.items() if value is not None} >= known
    assert merged.id == SAID.id


@pytest.mark.parametrize(
    ("answer", "expected"),
    [({"data": {"id": "gen-1"}}, True), ({"data": {"id": "gen-2"}}, False), ({"data": None}, False), ([], False)],
)
def test_whose_record_it_is(answer: Any, expected: bool) -> None:
    assert is_record_of("gen-1", answer) is expected


def short(**fields: Any) -> bool:
    return is_short_of_figures(Generation(**{**SAID.__dict__, **fields}))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"cost": None}, True),
        ({"cost": Cost(upstream=0.1)}, True),
        ({"cost": Cost(charged=0.1, upstream=0.2, total=0.1, ambiguous=True)}, True),
        ({"cost": Cost(charged=0.1, total=0.1), "api_type": "rerank"}, True),
        ({"cost": Cost(charged=0.1, total=0.1)}, False),
        ({"outcome": Outcome.CANCELLED}, True),
        ({"outcome": Outcome.FAILED, "status_code": 429, "cost": None}, False),
        ({"outcome": Outcome.FAILED, "status_code": 200, "cost": None}, True),
        ({"outcome": Outcome.FAILED, "status_code": None, "cost": None}, True),
    ],
)
def test_what_is_left_open(fields: dict[str, Any], expected: bool) -> None:
    assert short(**fields) is expected


def test_stored_content_completes_what_was_not_read() -> None:
    stored = json.loads('{"input":{"prompt":"x"},"output":{"completion":"All of it.","reasoning":"Hm."}}')
    asked = Message(role="user", parts=(Text(content="Why?"),))
    cut = Generation(**{**SAID.__dict__, "outcome": Outcome.CANCELLED, "content": Content(input=(asked,))})
    merged = merge_content(cut, stored)
    assert merged.content is not None
    assert merged.content.input == (asked,)
    (answer,) = merged.content.output
    assert answer.parts == (Reasoning(content="Hm."), Text(content="All of it."))
    assert merge_content(cut, {"output": {"completion": None}}) is cut
    assert merge_content(cut, {}) is cut
    assert merge_content(SAID, stored) is SAID
