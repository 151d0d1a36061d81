"""The mapping, by the names of the SDK. What happens beside the SDK is in `test_langfuse_sdk.py`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import HTTPResponse, Verdict
from orobserve.telemetry import ids
from orobserve_exporters.langfuse import Langfuse
from tests.exporters.generations import CHAT, ODD_TEXT, SAMPLES, TRACE_ID
from tests.support.otlp import attributes_of, make, sent, span_of, spans_of

if TYPE_CHECKING:
    from orobserve.generation import Generation

SECRET = "sk-lf-secret"
CONFIG = {"public_key": "pk-lf-1", "secret_key": SECRET}
COST, USAGE = "langfuse.observation.cost_details", "langfuse.observation.usage_details"
INPUT, OUTPUT = "langfuse.observation.input", "langfuse.observation.output"
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Summarise the report."}]
ANSWERED = {"role": "assistant", "content": "It went well.", "reasoning": "Read it first."}


@pytest.fixture
def sdk() -> Any:
    return pytest.importorskip("langfuse", reason="needs the langfuse package")


@pytest.fixture
def exporter(sdk: Any) -> Langfuse:
    return make(Langfuse, **CONFIG)


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langfuse", None)
    with pytest.raises(ValueError, match=r'pip install "orobserve\[langfuse\]"'):
        make(Langfuse, **CONFIG)


def test_worked_example(exporter: Langfuse) -> None:
    """The product's reference example, field by field."""
    assert sent(exporter, CHAT) == {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "anthropic/claude-sonnet-4",
        INPUT: ASKED,
        OUTPUT: ANSWERED,
        USAGE: {
            "input": 300,
            "input_cached_tokens": 600,
            "input_cache_creation": 100,
            "output": 150,
            "output_reasoning_tokens": 50,
            "total": 1200,
        },
        COST: {"total": 0.0042},
        "langfuse.observation.model.parameters": {"temperature": 0.2, "max_tokens": 500},
        "langfuse.observation.completion_start_time": "2026-11-22T19:22:59.983896+00:00",
        "langfuse.observation.metadata.provider": "Anthropic",
        "langfuse.observation.metadata.generation_id": "gen-abc",
        "langfuse.observation.metadata.finish_reasons": ["stop"],
        "langfuse.trace.name": "Nightly report",
        "user.id": "u-1",
        "session.id": "s-1",
        "langfuse.trace.metadata.team": "growth",
        "langfuse.trace.tags": ["nightly", "report"],
    }
    assert span_of(exporter, CHAT).name == "Summarise"


def test_named_parent_costs_nothing(exporter: Langfuse) -> None:
    parent, child = spans_of(exporter.encode([CHAT]).body)
    assert (parent.name, parent.trace_id.hex(), child.parent_span_id) == ("Nightly report", TRACE_ID, parent.span_id)
    assert attributes_of(parent) == {
        "langfuse.observation.type": "span",
        INPUT: ASKED,
        OUTPUT: ANSWERED,
        "langfuse.trace.name": "Nightly report",
        "user.id": "u-1",
        "session.id": "s-1",
        "langfuse.trace.metadata.team": "growth",
        "langfuse.trace.tags": ["nightly", "report"],
    }


@pytest.mark.parametrize(
    ("sample", "cost"),
    [
        ("free", {"total": 0.0}),
        ("unpriced", None),
        ("byok", {"total": 0.0105}),
        ("split", {"input": 0.001, "output": 0.002, "total": 0.003}),
    ],
)
def test_cost(exporter: Langfuse, sample: str, cost: dict[str, float] | None) -> None:
    assert sent(exporter, SAMPLES[sample]).get(COST) == cost


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "huge"])
def test_nothing_that_langfuse_would_misread(exporter: Langfuse, name: str) -> None:
    """A stray `gen_ai.usage.*` becomes a token bucket, a `gen_ai.tool.*` a tool call; buckets must add up."""
    carried = sent(exporter, SAMPLES[name])
    assert not [key for key in carried if key.startswith("gen_ai.")]
    usage = carried.get(USAGE)
    if usage:
        assert usage.pop("total") == sum(usage.values())


def test_failed_call(exporter: Langfuse) -> None:
    span = span_of(exporter, SAMPLES["error"])
    carried = attributes_of(span)
    assert span.status.code == 2
    assert carried["langfuse.observation.level"] == "ERROR"
    assert carried["langfuse.observation.status_message"] == "Rate limit exceeded"
    assert not {COST, USAGE, OUTPUT} & carried.keys()


def test_cancelled_call_is_a_warning(exporter: Langfuse) -> None:
    assert sent(exporter, SAMPLES["cancelled"])["langfuse.observation.level"] == "WARNING"
    assert "langfuse.observation.level" not in sent(exporter, CHAT)


def test_content_is_only_there_when_it_was_given(exporter: Langfuse) -> None:
    assert not {INPUT, OUTPUT} & sent(exporter, SAMPLES["private"]).keys()


def test_odd_text_arrives(exporter: Langfuse) -> None:
    carried = sent(exporter, SAMPLES["odd_text"])
    assert carried[INPUT][0]["content"] == ODD_TEXT.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    assert carried["langfuse.trace.metadata.dé jà.vu"] == "ça 👍"
    assert carried["langfuse.trace.metadata.deep"] == {"a": [1, None, True]}


def test_tools_are_part_of_the_input(exporter: Langfuse) -> None:
    given = sent(exporter, SAMPLES["tools"])[INPUT]
    assert given["tools"] == list(SAMPLES["tools"].content.tools)
    assert [message["role"] for message in given["messages"]] == ["user", "assistant", "tool"]


def test_embedding(exporter: Langfuse) -> None:
    carried = sent(exporter, SAMPLES["embeddings"])
    assert carried["langfuse.observation.type"] == "embedding"
    assert carried[USAGE] == {"input": 8, "total": 8}
    assert OUTPUT not in carried


def _with_metadata(**metadata: Any) -> Generation:
    trace = replace(CHAT.request.trace, metadata=metadata)
    return replace(CHAT, request=replace(CHAT.request, trace=trace))


def test_environment_and_release_are_fields(sdk: Any) -> None:
    exporter = make(Langfuse, **CONFIG, environment="staging", release="1.2")
    plain = sent(exporter, CHAT)
    given = sent(exporter, _with_metadata(environment="prod", team="growth"))
    assert (plain["langfuse.environment"], plain["langfuse.release"]) == ("staging", "1.2")
    assert (given["langfuse.environment"], given["langfuse.release"]) == ("prod", "1.2")
    assert "langfuse.trace.metadata.environment" not in given


def test_requests(sdk: Any) -> None:
    exporter = make(Langfuse, **CONFIG, headers={"x-proxy": "1"})
    request, probe = exporter.encode([CHAT]), exporter.probe()
    credentials = {"Authorization": "Basic cGstbGYtMTpzay1sZi1zZWNyZXQ=", "x-proxy": "1"}
    assert request.url == "https://us.cloud.langfuse.com/api/public/otel/v1/traces"
    assert request.headers == {
        **credentials,
        "x-langfuse-ingestion-version": "4",
        "x-langfuse-public-key": "pk-lf-1",
        "Content-Type": "application/x-protobuf",
    }
    assert (probe.method, probe.url) == ("GET", "https://us.cloud.langfuse.com/api/public/projects")
    assert probe.headers == credentials
    assert SECRET.encode() not in request.body


@pytest.mark.parametrize(
    ("status", "body", "verdict", "word"),
    [
        (200, b'{"data": [{"id": "p"}]}', Verdict.DELIVERED, ""),
        (200, b'{"data": []}', Verdict.REJECTED, "base_url"),
        (200, b"<html>", Verdict.REJECTED, "base_url"),
        (401, b"", Verdict.REJECTED, "us.cloud.langfuse.com"),
        (404, b"", Verdict.REJECTED, "404"),
    ],
)
def test_probe_says_what_to_change(exporter: Langfuse, status: int, body: bytes, verdict: Verdict, word: str) -> None:
    result = exporter.judge_probe(HTTPResponse(status=status, body=body))
    assert result.verdict is verdict
    assert word in result.reason
    assert SECRET not in result.reason


@pytest.mark.parametrize("seed", ["workflow_12345", "gen-1769028024-jarGYYh8T8HnNfNLExRC", "ü 日本"])
def test_ids_are_those_that_the_sdk_makes_of_a_seed(sdk: Any, seed: str) -> None:
    assert sdk.Langfuse.create_trace_id(seed=seed) == f"{ids.trace_id(seed):032x}"
    assert sdk.Langfuse._create_observation_id(None, seed=seed) == f"{ids.span_id(seed):016x}"
