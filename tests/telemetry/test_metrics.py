"""The metrics: when each is recorded, with which labels, and how many labels there can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from orobserve import config
from orobserve.generation import (
    Attempt,
    CacheInfo,
    Cost,
    Error,
    Request,
    Routing,
    Stream,
    Timing,
    Trace,
    Usage,
)
from orobserve.telemetry.conventions import DURATION_BUCKETS, TOKEN_BUCKETS
from orobserve.telemetry.metrics import COST_BUCKETS, Metrics
from tests.telemetry.calls import STARTED, call, record, values

if TYPE_CHECKING:
    from orobserve.generation import Generation
    from tests.conftest import Telemetry

COMMON = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openrouter",
    "gen_ai.request.model": "openai/gpt-4o",
    "server.address": "openrouter.ai",
    "server.port": 443,
}
STANDARD = {
    "gen_ai.client.operation.duration",
    "gen_ai.client.token.usage",
    "gen_ai.client.operation.time_to_first_chunk",
}
USED = Usage(input_tokens=10, output_tokens=4)
STREAMED = Timing(
    started_at=STARTED,
    ended_at=STARTED + 4_000_000_000,
    first_chunk_at=STARTED + 500_000_000,
    chunks_at=(STARTED, STARTED + 1_000_000_000, STARTED + 3_000_000_000),
)


def measured(telemetry: Telemetry, *generations: Generation, **settings: Any) -> dict[str, dict[Any, Any]]:
    """Record calls and return the data points."""
    metrics = Metrics(telemetry.meter_provider, config.load(settings))
    for generation in generations:
        metrics.begin(generation.operation)
        metrics.record(generation)
    return telemetry.metrics


def only(points: dict[Any, Any]) -> tuple[dict[str, Any], Any]:
    """Return the labels and the data of the one point."""
    ((labels, point),) = points.items()
    return dict(labels), point


def test_duration(telemetry: Telemetry) -> None:
    found = measured(telemetry, record(model="served", provider="OpenAI"))
    labels, point = only(found["gen_ai.client.operation.duration"])
    assert labels == {**COMMON, "gen_ai.response.model": "served", "openrouter.provider.name": "OpenAI"}
    assert (point.count, point.sum) == (1, 1.0)
    assert list(point.explicit_bounds) == DURATION_BUCKETS


def test_failures_count_with_their_type(telemetry: Telemetry) -> None:
    found = measured(telemetry, record(error=Error(type="rate_limit_exceeded", message="secret text")))
    labels, _ = only(found["gen_ai.client.operation.duration"])
    assert labels == {**COMMON, "error.type": "rate_limit_exceeded"}


def test_tokens(telemetry: Telemetry) -> None:
    found = measured(telemetry, record(usage=USED), record())
    points = found["gen_ai.client.token.usage"]
    assert values(points, "gen_ai.token.type") == {"input": 10, "output": 4}
    assert all(point.count == 1 for point in points.values()), "only with counts that were reported"
    assert all(list(point.explicit_bounds) == TOKEN_BUCKETS for point in points.values())


def test_times_of_a_stream(telemetry: Telemetry) -> None:
    found = measured(telemetry, record(timing=STREAMED, stream=Stream()), record())
    _, first = only(found["gen_ai.client.operation.time_to_first_chunk"])
    _, chunks = only(found["gen_ai.client.operation.time_per_output_chunk"])
    assert (first.count, first.sum) == (1, 0.5)
    assert (chunks.count, chunks.sum) == (2, 3.0)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        (Cost(charged=0.25, total=0.25, is_byok=False), {"charged": 0.25}),
        (Cost(charged=0.25, total=0.25), {"charged": 0.25}),
        (Cost(charged=0.25, upstream=0.2, total=0.25, is_byok=False), {"charged": 0.25}),
        (Cost(charged=0.05, upstream=1.0, total=1.05, is_byok=True), {"charged": 0.05, "upstream": 1.0}),
        (Cost(charged=0.0, total=0.0), {"charged": 0.0}),
    ],
)
def test_cost(cost: Cost, expected: dict[str, float], telemetry: Telemetry) -> None:
    found = measured(telemetry, record(cost=cost, provider="OpenAI"))
    points = found["openrouter.client.cost"]
    assert values(points, "openrouter.cost.kind") == expected
    assert sum(expected.values()) == cost.total
    for labels in points:
        assert dict(labels).get("openrouter.byok") == cost.is_byok
        assert dict(labels)["openrouter.provider.name"] == "OpenAI"
    assert "openrouter.client.operation.cost" not in found


def test_unknown_cost_is_not_recorded(telemetry: Telemetry) -> None:
    assert not measured(telemetry, record(), record(cost=Cost(upstream=1.0))).get("openrouter.client.cost")


def test_cost_histogram_is_asked_for(telemetry: Telemetry) -> None:
    found = measured(telemetry, record(cost=Cost(charged=0.25, total=0.25)), cost_histogram=True)
    _, point = only(found["openrouter.client.operation.cost"])
    assert point.sum == 0.25
    assert list(point.explicit_bounds) == COST_BUCKETS


def test_token_details(telemetry: Telemetry) -> None:
    usage = Usage(
        input_tokens=100,
        cache_read_input_tokens=1,
        cache_write_input_tokens=2,
        reasoning_output_tokens=3,
        image_input_tokens=4,
        image_output_tokens=5,
        audio_input_tokens=6,
        audio_output_tokens=7,
        video_input_tokens=8,
    )
    found = measured(telemetry, record(usage=usage))
    assert values(found["openrouter.client.token.details"], "openrouter.token.kind") == {
        "cache_read": 1,
        "cache_write": 2,
        "reasoning": 3,
        "image": 9,
        "audio": 13,
        "video": 8,
    }


def test_response_cache_fallbacks_and_server_tools(telemetry: Telemetry) -> None:
    tried = (Attempt(provider="A", status=502), Attempt(provider=None, status=None), Attempt(provider="B", status=200))
    usage = Usage(web_search_requests=2, web_fetch_requests=1, server_tools_executed=7)
    found = measured(
        telemetry, record(cache=CacheInfo(status="hit"), routing=Routing(attempts=tried), usage=usage), record()
    )
    assert values(found["openrouter.client.response_cache"], "openrouter.response_cache.status") == {"hit": 1}
    assert values(found["openrouter.client.server_tool.calls"], "openrouter.tool.kind") == {
        "web_search": 2,
        "web_fetch": 1,
        "other": 4,
    }
    failed = found["openrouter.client.fallbacks"]
    assert values(failed, "openrouter.provider.name") == {"A": 1, "unknown": 1}
    assert values(failed, "http.response.status_code") == {502: 1, 0: 1}


def test_active_requests_and_drops(telemetry: Telemetry) -> None:
    metrics = Metrics(telemetry.meter_provider, config.Config())
    metrics.begin("chat")
    labels, point = only(telemetry.metrics["openrouter.client.active_requests"])
    assert (labels, point.value) == ({key: COMMON[key] for key in list(COMMON)[:2]}, 1)
    metrics.end("chat")
    assert only(telemetry.metrics["openrouter.client.active_requests"])[1].value == 0
    metrics.drop("generation", "queue_full")
    labels, point = only(telemetry.metrics["orobserve.dropped"])
    assert (labels, point.value) == ({"signal": "generation", "reason": "queue_full"}, 1)


def test_unpriced_calls_until_their_cost_comes(telemetry: Telemetry) -> None:
    metrics = Metrics(telemetry.meter_provider, config.Config())
    free, late = Cost(charged=0.0, total=0.0), Cost(charged=0.5, total=0.5)
    for generation in (record(), record(), record(cost=free), record(error=Error(type="timeout"))):
        metrics.record(generation)
    assert only(telemetry.metrics["openrouter.client.unpriced_requests"])[1].value == 2
    metrics.complete(record(), record(cost=late, model="known by now"))
    metrics.complete(record(), record())
    metrics.complete(record(cost=free), record(cost=free))
    assert only(telemetry.metrics["openrouter.client.unpriced_requests"])[1].value == 1


def test_what_comes_late_is_counted_once_and_only_what_is_more(telemetry: Telemetry) -> None:
    metrics = Metrics(telemetry.meter_provider, config.load({"cost_histogram": True}))
    known = Cost(charged=0.25, upstream=1.0, total=1.25, is_byok=True, cache_discount=0.5)
    more = Cost(charged=0.5, upstream=1.0, total=1.5, is_byok=True, cache_discount=0.125)
    less = Cost(charged=0.25, upstream=0.5, total=0.75, is_byok=True)
    metrics.record(record(cost=known, usage=USED))
    for after in (known, more, less):
        metrics.complete(record(cost=known, usage=USED), record(cost=after, usage=USED))
    found = telemetry.metrics
    assert values(found["openrouter.client.cost"], "openrouter.cost.kind") == {"charged": 0.5, "upstream": 1.0}
    assert only(found["openrouter.client.prompt_cache.savings"])[1].value == 0.125
    assert only(found["openrouter.client.operation.cost"])[1].count == 1
    assert values(found["gen_ai.client.token.usage"], "gen_ai.token.type") == {"input": 10, "output": 4}


def test_a_session_that_goes_to_another_provider(telemetry: Telemetry) -> None:
    metrics = Metrics(telemetry.meter_provider, config.Config())

    def served(session: str | None, provider: str | None, model: str = "m") -> Generation:
        return record(request=Request(model=model, session_id=session), provider=provider)

    for given in (("s1", "A"), ("s2", "B"), ("s1", "A"), ("s1", None), ("s1", "B", "n"), (None, "A"), (None, "B")):
        metrics.record(served(*given))
    assert "openrouter.client.provider_switches" not in telemetry.metrics
    metrics.record(served("s1", "B"))
    metrics.complete(served("s1", "B"), served("s1", "B"))
    metrics.complete(served("s1", None), served("s1", "A"))
    switched = telemetry.metrics["openrouter.client.provider_switches"]
    assert values(switched, "openrouter.provider.name") == {"B": 1, "A": 1}


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ({"tags": {"tags": ["beta", "team=search"]}}, "search"),
        ({"tags": {"team": "ops", "tags": ["team=search"]}}, "ops"),
        ({"tags": {"team": "ops"}, "trace": {"team": "own"}}, "own"),
        ({"tags": {"team": True}}, "true"),
        ({"tags": {"team": ["a", 1]}}, '["a", 1]'),
        ({"tags": {"team": None, "teams": "x", "tags": "team=no"}}, None),
        ({}, None),
    ],
)
def test_tags_are_labels_only_if_chosen(said: dict[str, Any], label: str | None, telemetry: Telemetry) -> None:
    request = Request(model="m", trace=Trace(metadata=said.get("trace")))
    found = measured(telemetry, record(request=request, tags=said.get("tags")), metric_tags="team")
    labels, _ = only(found["gen_ai.client.operation.duration"])
    assert labels.get("openrouter.tag.team") == label
    assert {name for name in labels if "tag" in name} <= {"openrouter.tag.team"}


def test_keys_are_labels_only_if_named(telemetry: Telemetry) -> None:
    mine, other = Request(model="m", api_key_hash="ab12"), Request(model="m", api_key_hash="cd34")
    found = measured(telemetry, record(request=mine), record(request=other), api_key_labels={"ab12": "search"})
    points = found["gen_ai.client.operation.duration"]
    assert {dict(labels).get("openrouter.api_key.label") for labels in points} == {"search", None}
    assert "cd34" not in str(points)


def test_beyond_the_limit_openrouters_words_stay_longest(telemetry: Telemetry) -> None:
    calls = [record(request=Request(model=f"asked-{n}"), model=f"m{n % 2}", provider=f"p{n // 4}") for n in range(16)]
    found = measured(telemetry, *calls, metric_limit=4)["gen_ai.client.operation.duration"]
    told = [[dict(labels).get(f"gen_ai.{name}.model", "") for name in ("request", "response")] for labels in found]
    assert told[:4] == [["asked-0", "m0"], ["asked-1", "m1"], ["asked-2", "m0"], ["asked-3", "m1"]]
    assert told[4:] == [["_other", "m0"], ["_other", "m1"], ["_other", "m0"], ["_other", "m1"], *told[8:]]
    assert sum(point.count for point in found.values()) == 16


@pytest.mark.parametrize(
    ("semconv", "standard", "early"), [("stable", True, False), ("next", False, True), ("stable+next", True, True)]
)
def test_profiles(semconv: str, standard: bool, early: bool, telemetry: Telemetry) -> None:
    usage = Usage(
        input_tokens=10,
        output_tokens=4,
        cache_read_input_tokens=3,
        cache_write_input_tokens=2,
        reasoning_output_tokens=1,
    )
    done = record(usage=usage, timing=STREAMED, stream=Stream())
    found = measured(telemetry, done, record(operation="embeddings"), semconv=semconv)
    assert (found.keys() >= STANDARD) is standard
    prefix = "gen_ai.client.inference."
    assert bool([name for name in found if name.startswith(prefix)]) is early
    if early:
        counters = {name: only(found[f"{prefix}usage.{name}"])[1].value for name in ("input_tokens", "output_tokens")}
        assert counters == {"input_tokens": 10, "output_tokens": 4}
        assert only(found[f"{prefix}usage.reasoning.output_tokens"])[0]["gen_ai.token.modality"] == "text"
        for name in ("duration", "time_to_first_chunk", "operation.input_tokens", "operation.output_tokens"):
            assert only(found[prefix + name])[1].count == 1, "embeddings are no inference operation"
        assert only(found[f"{prefix}time_per_output_chunk"])[1].count == 2
        for name in ("cache_read.input_tokens", "cache_write.input_tokens"):
            assert found[f"{prefix}usage.{name}"]


def test_the_next_profile_counts_zero_without_usage(telemetry: Telemetry) -> None:
    found = measured(telemetry, record(), semconv="next")
    labels, point = only(found["gen_ai.client.inference.usage.input_tokens"])
    assert (labels["gen_ai.token.modality"], point.value) == ("unknown", 0)


def test_labels_hold_nothing_personal(telemetry: Telemetry) -> None:
    telemetry.instrument()
    call(user="u1", session_id="s1", trace={"trace_id": "t1", "team": "search"}, sends={"authorization": "Bearer k-1"})
    call(httpx.ConnectError("text of the error"))
    labels = [label for points in telemetry.metrics.values() for found in points for label in found]
    personal = {"u1", "s1", "t1", "search", "k-1", "text of the error", "gen-1"}
    assert not personal & {value for _, value in labels}


def test_chunk_times_are_asked_for(telemetry: Telemetry) -> None:
    from tests.telemetry.calls import delta, sse

    telemetry.instrument()
    call(sse(delta("a"), delta("b")))
    assert "gen_ai.client.operation.time_per_output_chunk" not in telemetry.metrics
    telemetry.instrument(chunk_metric=True)
    call(sse(delta("a"), delta("b"), delta("c")))
    assert only(telemetry.metrics["gen_ai.client.operation.time_per_output_chunk"])[1].count >= 2
