"""The policy as a whole: the order, and the groups of metadata."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orobserve.delivery.policy import policy_for
from orobserve.delivery.settings import Shared, resolve
from orobserve.generation import Attempt, CacheInfo, Content, Cost, Error, Generation, Outcome, Routing, Stats, Usage
from tests.delivery.test_filters import EMPTY, FULL, LABELS
from tests.delivery.test_settings import Plain

RULES = {"groups": [{"rules": [{"field": "input", "operator": "contains", "value": "hello"}]}]}


def delivered(generation: Generation, **settings: Any) -> Generation | None:
    shared = Shared(environ={}, api_key_labels=LABELS)
    (found,) = resolve("destinations", {"exporter": Plain({}), **settings}, shared)
    return policy_for(found)(generation)


def test_nothing_asked_for_changes_nothing_but_names_the_key() -> None:
    named = delivered(FULL)
    assert named == replace(FULL, request=replace(FULL.request, api_key_name=LABELS["ab" * 32]))
    unknown = replace(FULL, request=replace(FULL.request, api_key_hash="ef" * 32))
    assert delivered(unknown) == unknown


@pytest.mark.parametrize(
    ("settings", "passes"),
    [
        ({"enabled": False}, False),
        ({"api_key_hashes": ["ab" * 32]}, True),
        ({"api_key_hashes": ["AB" * 32, "cd" * 32]}, True),
        ({"api_key_hashes": ["cd" * 32]}, False),
        ({"filter_rules": RULES}, True),
        ({"filter_rules": RULES, "privacy_mode": True}, True),  # the filter reads what the destination does not get
        ({"sampling_rate": 0}, False),
        ({"sampling_rate": 0, "always_send_above": 0.2}, True),
        ({"sampling_rate": 0, "always_send": ["error"]}, False),
        ({"filter_rules": {"groups": [{"rules": [{"field": "model", "operator": "not_exists"}]}]}}, False),
    ],
)
def test_who_gets_it(settings: dict[str, Any], passes: bool) -> None:
    assert (delivered(FULL, **settings) is not None) is passes


def test_an_exempt_record_still_has_to_pass_the_filter() -> None:
    failed = replace(FULL, error=Error(type="timeout"))
    rules = {"groups": [{"rules": [{"field": "model", "operator": "equals", "value": "x"}]}]}
    assert delivered(failed, sampling_rate=0, always_send="error") is not None
    assert delivered(failed, sampling_rate=0, always_send="error", filter_rules=rules) is None
    assert delivered(failed, sampling_rate=0, always_send="error", api_key_hashes=["cd" * 32]) is None


def test_a_call_without_a_known_key_is_nobodys() -> None:
    assert delivered(EMPTY, api_key_hashes=["ab" * 32]) is None
    assert delivered(EMPTY) == EMPTY


def test_privacy_keeps_the_figures_and_the_groups() -> None:
    private = delivered(FULL, privacy_mode=True, broadcast_generation_identity=True)
    assert private is not None
    assert private.content is None
    assert private.tags == {
        "openrouter_identity": {
            "external_user": "u-1",
            "session_id": "s-1",
            "api_key_hash": "ab" * 32,
            "api_key_name": "search-team",
        }
    }
    assert (private.usage, private.cost) == (FULL.usage, FULL.cost)


def test_the_mask_of_the_settings_comes_before_the_destinations_own() -> None:
    order: list[str] = []

    def note(word: str) -> Any:
        return lambda content: order.append(word) or content

    shared = Shared(environ={}, mask=note("all"))
    (found,) = resolve("destinations", {"exporter": Plain({}), "mask": note("own")}, shared)
    assert policy_for(found)(FULL) is not None
    assert order == ["all", "own"]


RICH = replace(
    FULL,
    id="gen-1",
    status_code=200,
    service_tier="flex",
    tags={"team": "x"},
    usage=Usage(web_search_requests=2),
    cost=Cost(charged=0.1, upstream=0.2, total=0.3, is_byok=True, source="response"),
    routing=Routing(router="auto", region="iad", attempts=(Attempt(provider="OpenAI", status=200),), attempt_count=1),
    cache=CacheInfo(status="hit", source_id="gen-0"),
    stats=Stats(request_id="req-1", latency_ms=12.5, is_cancelled=False, app_id=7, web_search_engine="exa"),
)


def test_the_groups_are_nested_objects_beside_the_users_tags() -> None:
    names = ("cost", "identity", "request_context")
    found = delivered(RICH, **{f"broadcast_generation_{name}": True for name in names})
    assert found is not None
    assert found.tags == {
        "team": "x",
        "openrouter_generation_cost": {
            "total_cost": 0.3,
            "charged_cost": 0.1,
            "upstream_inference_cost": 0.2,
            "is_byok": True,
            "cost_source": "response",
            "service_tier": "flex",
            "web_search_engine": "exa",
            "web_search_requests": 2,
        },
        "openrouter_identity": {
            "generation_id": "gen-1",
            "request_id": "req-1",
            "external_user": "u-1",
            "session_id": "s-1",
            "api_key_hash": "ab" * 32,
            "api_key_name": "search-team",
            "app_id": 7,
        },
        "openrouter_request_context": {
            "api_type": "chat",
            "operation": "chat",
            "cancelled": False,
            "outcome": "complete",
            "status_code": 200,
            "requested_model": "openai/gpt-4o",
            "router": "auto",
            "region": "iad",
            "provider_name": "OpenAI",
            "provider_responses": [{"provider": "OpenAI", "status": 200}],
            "attempt_count": 1,
            "finish_reason": "stop",
            "native_finish_reason": "end_turn",
            "latency": 12.5,
            "cache_status": "hit",
            "response_cache_source_id": "gen-0",
        },
    }
    assert RICH.tags == {"team": "x"}  # the record itself is as it was


def test_groups_of_an_empty_record_hold_what_is_known() -> None:
    names = ("cost", "identity", "request_context")
    cancelled = replace(EMPTY, outcome=Outcome.CANCELLED, content=Content())
    found = delivered(cancelled, **{f"broadcast_generation_{name}": True for name in names})
    assert found is not None
    assert found.tags == {
        "openrouter_generation_cost": {},
        "openrouter_identity": {},
        "openrouter_request_context": {
            "api_type": "chat",
            "operation": "chat",
            "cancelled": True,
            "outcome": "cancelled",
        },
    }
