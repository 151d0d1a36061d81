from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orobserve.delivery import HTTPResponse, Verdict
from orobserve_exporters.braintrust import Braintrust
from tests.exporters.generations import CHAT, ODD_TEXT, SAMPLES
from tests.support.otlp import attributes_of, make, sent, span_of, spans_of

KEY = "sk-braintrust-secret"
CONFIG = {"api_key": KEY, "project_id": "5d7e-1"}
METRICS, METADATA = "braintrust.metrics", "braintrust.metadata"


@pytest.fixture
def exporter() -> Braintrust:
    return make(Braintrust, **CONFIG)


def test_worked_example(exporter: Braintrust) -> None:
    """The product's reference example, field by field."""
    assert sent(exporter, CHAT) == {
        "braintrust.span_attributes": {"type": "llm", "name": "Summarise"},
        "braintrust.input_json": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Summarise the report."},
        ],
        "braintrust.output_json": [
            {"role": "assistant", "content": "It went well.", "reasoning": "Read it first."},
        ],
        METADATA: {
            "model": "claude-sonnet-4",
            "openrouter_model": "anthropic/claude-sonnet-4",
            "provider": "Anthropic",
            "session_id": "s-1",
            "user_id": "u-1",
            "team": "growth",
            "temperature": 0.2,
            "max_tokens": 500,
            "generation_id": "gen-abc",
            "finish_reasons": ["stop"],
        },
        METRICS: {
            "prompt_tokens": 1000,
            "completion_tokens": 200,
            "tokens": 1200,
            "prompt_cached_tokens": 600,
            "prompt_cache_creation_tokens": 100,
            "completion_reasoning_tokens": 50,
            "time_to_first_token": 0.42,
            "estimated_cost": 0.0042,
        },
        "braintrust.tags": ["nightly", "report"],
    }


def test_named_parent_has_no_metrics_that_would_count_twice(exporter: Braintrust) -> None:
    parent, child = spans_of(exporter.encode([CHAT]).body)
    assert child.parent_span_id == parent.span_id
    carried = attributes_of(parent)
    assert carried["braintrust.span_attributes"] == {"type": "task", "name": "Nightly report"}
    assert carried[METADATA] == {"team": "growth", "user_id": "u-1", "session_id": "s-1"}
    assert METRICS not in carried


@pytest.mark.parametrize(("sample", "cost"), [("free", 0.0), ("unpriced", None), ("byok", 0.0105), ("split", 0.003)])
def test_cost(exporter: Braintrust, sample: str, cost: float | None) -> None:
    metrics = sent(exporter, SAMPLES[sample])[METRICS]
    assert metrics.get("estimated_cost") == cost
    assert ("estimated_cost" in metrics) is (cost is not None)


def test_free_variant_does_not_pass_for_the_paid_model(exporter: Braintrust) -> None:
    """The registry would price it."""
    found = sent(exporter, replace(SAMPLES["free"], model="openai/gpt-oss-20b:free"))[METADATA]
    assert (found["model"], found["openrouter_model"]) == ("gpt-oss-20b:free", "openai/gpt-oss-20b:free")


def test_byok_is_said(exporter: Braintrust) -> None:
    found = sent(exporter, SAMPLES["byok"])[METADATA]
    assert (found["is_byok"], found["cost_charged_usd"], found["cost_upstream_usd"]) == (True, 0.0005, 0.01)


def test_failed_call(exporter: Braintrust) -> None:
    span = span_of(exporter, SAMPLES["error"])
    assert (span.status.code, span.status.message) == (2, "Rate limit exceeded")
    assert attributes_of(span)[METADATA]["openrouter_model"] == "openai/gpt-4o-mini"
    assert "estimated_cost" not in attributes_of(span)[METRICS]


def test_content_is_only_there_when_it_was_given(exporter: Braintrust) -> None:
    carried = sent(exporter, SAMPLES["private"])
    assert not {"braintrust.input_json", "braintrust.output_json"} & carried.keys()
    assert "tools" not in carried[METADATA]


def test_tools_are_metadata(exporter: Braintrust) -> None:
    carried = sent(exporter, SAMPLES["tools"])
    assert carried[METADATA]["tools"] == list(SAMPLES["tools"].content.tools)
    assert [call["function"]["name"] for call in carried["braintrust.output_json"][0]["tool_calls"]] == [
        "weather",
        "broken",
    ]


def test_odd_text_arrives(exporter: Braintrust) -> None:
    carried = sent(exporter, SAMPLES["odd_text"])
    expected = ODD_TEXT.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    assert carried["braintrust.input_json"][0]["content"] == expected
    assert carried[METADATA]["dé jà.vu"] == "ça 👍"
    assert carried[METADATA]["deep"] == {"a": [1, None, True]}


@pytest.mark.parametrize(
    ("place", "header", "path"),
    [
        ("5d7e-1", "project_id:5d7e-1", "/v1/project/5d7e-1"),
        ("project_id:5d7e-1", "project_id:5d7e-1", "/v1/project/5d7e-1"),
        ("project_name:My app", "project_name:My app", "/v1/project?limit=1&project_name=My%20app"),
        ("experiment_id:e/1", "experiment_id:e/1", "/v1/experiment/e%2F1"),
        ("odd:name", "project_id:odd:name", "/v1/project/odd%3Aname"),
    ],
)
def test_requests(place: str, header: str, path: str) -> None:
    own: dict[str, Any] = {"project_id": place, "base_url": "https://bt.corp/", "headers": {"x-proxy": "1"}}
    exporter = make(Braintrust, **CONFIG | own)
    request, probe = exporter.encode([CHAT]), exporter.probe()
    credentials = {"Authorization": f"Bearer {KEY}", "x-proxy": "1"}
    assert request.url == "https://bt.corp/otel/v1/traces"
    assert request.headers == {
        **credentials,
        "x-bt-parent": header,
        "Content-Type": "application/x-protobuf",
    }
    assert (probe.method, probe.url, probe.headers) == ("GET", f"https://bt.corp{path}", credentials)
    assert KEY.encode() not in request.body


@pytest.mark.parametrize(
    ("status", "body", "verdict", "word"),
    [
        (200, b'{"id": "5d7e-1"}', Verdict.DELIVERED, ""),
        (200, b'{"objects": []}', Verdict.REJECTED, "project_id"),
        (401, b"", Verdict.REJECTED, "api_key"),
        (404, b"", Verdict.REJECTED, "project_id"),
    ],
)
def test_probe_says_what_to_change(exporter: Braintrust, status: int, body: bytes, verdict: Verdict, word: str) -> None:
    result = exporter.judge_probe(HTTPResponse(status=status, body=body))
    assert result.verdict is verdict
    assert word in result.reason
