"""How the router came to its choice."""

from __future__ import annotations

import pytest

from orobserve.generation import Attempt, Request, Routing
from orobserve.wire.routing import bare_slug, read_routing, selected_provider


@pytest.mark.parametrize(
    ("model", "models", "answered", "fallback"),
    [
        ("a/b", ("c/d",), "a/b", False),
        ("A/b:free", ("c/d",), "a/B", False),
        ("~a/b@preset/x", ("c/d",), "a/b:nitro", False),
        ("a/b", ("c/d",), "a/b-2024-08-06", False),
        ("a/b", ("c/d",), "c/d", True),
        ("a/b", ("a/b-mini",), "a/b-mini", True),
        ("a/b", ("c/d",), "e/f", True),
        ("a/b", ("c/d",), None, None),
        ("a/b", None, "c/d", None),
        (None, ("c/d",), "c/d", None),
    ],
)
def test_fallback(model, models, answered, fallback) -> None:
    routing = read_routing({}, Request(model=model, models=models), answered, 200)
    assert routing == (None if fallback is None else Routing(fallback=fallback))


@pytest.mark.parametrize(
    ("model", "router"),
    [
        ("openrouter/auto", "openrouter/auto"),
        ("openrouter/free", "openrouter/free"),
        ("openrouter/pareto-code", "openrouter/pareto-code"),
        ("openrouter/some-model", None),
        ("openai/gpt-4o", None),
        (None, None),
    ],
)
def test_router(model, router) -> None:
    routing = read_routing({}, Request(model=model), "a/b", 200)
    assert (routing and routing.router) == router


@pytest.mark.parametrize(
    ("metadata", "count", "fallback"),
    [
        ({"attempt": 1}, 1, False),
        ({"attempt": 2}, 2, True),
        ({"attempt": 0}, 0, False),
        ({"attempts": [{}, {}]}, 2, True),
        ({"attempts": []}, None, False),
        ({"strategy": "direct"}, None, False),
    ],
)
def test_attempts(metadata, count, fallback) -> None:
    routing = read_routing(metadata, Request(), None, 200)
    assert (routing.attempt_count, routing.fallback) == (count, fallback)
    assert routing.attempts == (Attempt(),) * len(metadata.get("attempts", ()))


@pytest.mark.parametrize(
    ("pipeline", "status", "blocked", "ids", "cost", "stages"),
    [
        ([], 403, None, None, None, None),
        ([{"type": "plugin", "name": "web", "cost_usd": 0.1}], 403, None, None, 0.1, ("plugin/web",)),
        ([{"type": "guardrail", "guardrail_id": "g"}], 403, True, ("g",), None, ("guardrail",)),
        ([{"type": "guardrail", "name": "x", "cost_usd": None}], 200, None, None, None, ("guardrail/x",)),
        ([{"name": "a", "cost_usd": 0.1}, {"cost_usd": 0.2}], 200, None, None, 0.3, ("a",)),
    ],
)
def test_pipeline(pipeline, status, blocked, ids, cost, stages) -> None:
    routing = read_routing({"pipeline": pipeline}, Request(), None, status)
    assert (routing.guardrail_blocked, routing.guardrail_ids) == (blocked, ids)
    assert (routing.pipeline_cost, routing.pipeline_stages) == (cost, stages)


def test_matched_patterns_are_content() -> None:
    stage = {"type": "guardrail", "name": "regex", "summary": "SECRET", "data": {"patterns": ["SECRET"]}}
    assert "SECRET" not in repr(read_routing({"pipeline": [stage]}, Request(), None, 403))


@pytest.mark.parametrize(
    ("available", "provider"),
    [
        ([{"provider": "A", "selected": False}, {"provider": "B", "selected": True}], "B"),
        ([{"provider": "A", "selected": "yes"}], None),
        ([{"selected": True}, {"provider": "C", "selected": True}], "C"),
        (None, None),
    ],
)
def test_selected_provider(available, provider) -> None:
    assert selected_provider({"endpoints": {"available": available}}) == provider


def test_bare_slug() -> None:
    assert bare_slug("~OpenAI/GPT-latest:free@preset/x") == "openai/gpt-latest"
