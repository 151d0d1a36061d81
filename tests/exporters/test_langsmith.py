from __future__ import annotations

from dataclasses import replace

import pytest

from orobserve.delivery import HTTPResponse, Verdict
from orobserve_exporters.langsmith import LangSmith
from tests.exporters.generations import CHAT, ODD_TEXT, SAMPLES
from tests.support.otlp import attributes_of, make, sent, span_of, spans_of

KEY = "lsv2_pt_secret"
CONFIG = {"api_key": KEY}
USAGE = "langsmith.usage_metadata"


@pytest.fixture
def exporter() -> LangSmith:
    return make(LangSmith, **CONFIG)


def test_worked_example(exporter: LangSmith) -> None:
    """The product's reference example, field by field."""
    assert sent(exporter, CHAT) == {
        "langsmith.span.kind": "llm",
        "gen_ai.system": "anthropic",
        "gen_ai.request.model": "anthropic/claude-sonnet-4",
        "gen_ai.response.model": "anthropic/claude-sonnet-4",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 500,
        "gen_ai.prompt": {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Summarise the report."},
            ]
        },
        "gen_ai.completion": {
            "messages": [{"role": "assistant", "content": "It went well.", "reasoning": "Read it first."}]
        },
        USAGE: {
            "input_tokens": 1000,
            "output_tokens": 200,
            "total_tokens": 1200,
            "input_token_details": {"cache_read": 600, "cache_creation": 100},
            "output_token_details": {"reasoning": 50},
            "total_cost": 0.0042,
        },
        "langsmith.metadata.ls_model_name": "anthropic/claude-sonnet-4",
        "langsmith.metadata.ls_provider": "anthropic",
        "langsmith.metadata.thread_id": "s-1",
        "langsmith.metadata.user_id": "u-1",
        "langsmith.metadata.team": "growth",
        "langsmith.metadata.time_to_first_token": 0.42,
        "langsmith.metadata.generation_id": "gen-abc",
        "langsmith.metadata.finish_reasons": ["stop"],
        "langsmith.span.tags": "nightly,report",
    }
    assert span_of(exporter, CHAT).name == "Summarise"


def test_named_parent_comes_first_and_costs_nothing(exporter: LangSmith) -> None:
    parent, child = spans_of(exporter.encode([CHAT]).body)
    assert child.parent_span_id == parent.span_id
    assert parent.name == "Nightly report"
    carried = attributes_of(parent)
    assert {"langsmith.metadata.thread_id": "s-1", "langsmith.span.kind": "chain"}.items() <= carried.items()
    assert USAGE not in carried
    assert not [key for key in carried if "model" in key]


def test_parent_that_it_never_gets_is_only_mentioned(exporter: LangSmith) -> None:
    """A run whose parent does not come is dropped by LangSmith, silently."""
    inside = SAMPLES["inside"]
    assert not span_of(exporter, inside).parent_span_id
    assert sent(exporter, inside)["langsmith.metadata.parent_span_id"] == inside.parent_span_id


@pytest.mark.parametrize(
    ("sample", "money"),
    [
        ("free", {"total_cost": 0.0}),
        ("unpriced", {}),
        ("byok", {"total_cost": 0.0105}),
        ("split", {"input_cost": 0.001, "output_cost": 0.002, "total_cost": 0.003}),
    ],
)
def test_cost(exporter: LangSmith, sample: str, money: dict[str, float]) -> None:
    usage = sent(exporter, SAMPLES[sample])[USAGE]
    assert {key: value for key, value in usage.items() if key.endswith("_cost")} == money


def test_totals_are_inclusive_and_details_are_not_invented(exporter: LangSmith) -> None:
    usage = replace(CHAT.usage, total_tokens=None, cache_read_input_tokens=0, cache_write_input_tokens=None)
    found = sent(exporter, replace(CHAT, usage=usage))[USAGE]
    assert (found["input_tokens"], found["output_tokens"], found["total_tokens"]) == (1000, 200, 1200)
    assert "input_token_details" not in found


def test_failed_call(exporter: LangSmith) -> None:
    span = span_of(exporter, SAMPLES["error"])
    (event,) = span.events
    assert event.name == "exception"
    assert attributes_of(event)["exception.message"] == "Rate limit exceeded"
    assert span.status.code == 2
    assert USAGE not in attributes_of(span)


def test_content_is_only_there_when_it_was_given(exporter: LangSmith) -> None:
    carried = sent(exporter, SAMPLES["private"])
    assert not {"gen_ai.prompt", "gen_ai.completion"} & carried.keys()


def test_odd_text_arrives(exporter: LangSmith) -> None:
    call = SAMPLES["odd_text"]
    carried = sent(exporter, call)
    expected = ODD_TEXT.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    assert carried["gen_ai.prompt"]["messages"][0]["content"] == expected
    assert carried["langsmith.metadata.user_id"] == call.request.user


def test_tools_are_offered_but_make_no_tool_run(exporter: LangSmith) -> None:
    carried = sent(exporter, SAMPLES["tools"])
    assert carried["gen_ai.prompt"]["tools"]
    assert carried["gen_ai.completion"]["messages"][0]["tool_calls"][0]["function"]["name"] == "weather"
    assert not [key for key in carried if key.startswith("gen_ai.tool")]


def test_embedding(exporter: LangSmith) -> None:
    carried = sent(exporter, SAMPLES["embeddings"])
    assert carried["langsmith.span.kind"] == "embedding"
    assert carried[USAGE] == {"input_tokens": 8, "total_tokens": 8, "total_cost": 1.6e-07}


@pytest.mark.parametrize(
    ("endpoint", "base"),
    [
        ("https://api.smith.langchain.com", "https://api.smith.langchain.com"),
        ("https://ls.corp/api/v1/", "https://ls.corp/api/v1"),
    ],
)
def test_requests(endpoint: str, base: str) -> None:
    own = {"endpoint": endpoint, "project": "p", "workspace_id": "w-1", "headers": {"x-proxy": "1"}}
    exporter = make(LangSmith, **CONFIG, **own)
    request, probe = exporter.encode([CHAT]), exporter.probe()
    assert request.url == f"{base}/otel/v1/traces"
    credentials = {"x-api-key": KEY, "X-Tenant-Id": "w-1", "x-proxy": "1"}
    assert request.headers == {
        **credentials,
        "Langsmith-Project": "p",
        "Content-Type": "application/x-protobuf",
    }
    assert (probe.method, probe.url, probe.headers) == ("GET", f"{base}/settings", credentials)
    assert KEY.encode() not in request.body


@pytest.mark.parametrize(
    ("status", "verdict", "word"),
    [
        (200, Verdict.DELIVERED, ""),
        (401, Verdict.REJECTED, "api_key"),
        (403, Verdict.REJECTED, "workspace_id"),
        (404, Verdict.REJECTED, "/api/v1"),
        (500, Verdict.REJECTED, "500"),
    ],
)
def test_probe_says_what_to_change(exporter: LangSmith, status: int, verdict: Verdict, word: str) -> None:
    result = exporter.judge_probe(HTTPResponse(status=status))
    assert result.verdict is verdict
    assert word in result.reason
