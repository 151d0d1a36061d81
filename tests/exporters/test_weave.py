"""The mapping, and what Weave's own server code makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from orobserve.delivery import HTTPResponse, Verdict
from orobserve_exporters.weave import Weave
from tests.exporters.generations import CHAT, ODD_TEXT, SAMPLES
from tests.support.otlp import attributes_of, make, resource_of, sent, span_of, spans_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from orobserve.generation import Generation

KEY = "wandb-secret"
CONFIG = {"api_key": KEY, "entity": "team", "project": "app"}
PLACE = "team/app"
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Summarise the report."}]
ANSWERED = [{"role": "assistant", "content": "It went well.", "reasoning": "Read it first."}]


@pytest.fixture
def exporter() -> Weave:
    return make(Weave, **CONFIG)


@pytest.fixture
def calls_of(exporter: Weave, tmp_path: Path) -> Callable[[Iterable[Generation]], dict[str, Any]]:
    """Return a function that delivers calls to Weave's trace server and returns what it made of them, by id."""
    server_code = pytest.importorskip(
        "weave.trace_server.sqlite_trace_server", reason="needs weave==0.51.59, the last that ships its server"
    )
    interface = pytest.importorskip("weave.trace_server.trace_server_interface")

    def deliver(batch: Iterable[Generation]) -> dict[str, Any]:
        server = server_code.SqliteTraceServer(str(tmp_path / "weave.db"))
        server.setup_tables()
        traces = ExportTraceServiceRequest.FromString(exporter.encode(list(batch)).body)
        server.otel_export(interface.OtelExportReq(project_id=PLACE, traces=traces))
        return {call.id: call for call in server.calls_query(interface.CallsQueryReq(project_id=PLACE)).calls}

    return deliver


def test_worked_example(exporter: Weave) -> None:
    """The product's reference example, field by field."""
    assert sent(exporter, CHAT) == {
        "weave.span.kind": "llm",
        "gen_ai.response.model": "anthropic/claude-sonnet-4",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 200,
        "llm.token_count.prompt": 1000,
        "llm.token_count.completion": 200,
        "llm.token_count.total": 1200,
        "llm.provider": "Anthropic",
        "llm.invocation_parameters": {"temperature": 0.2, "max_tokens": 500},
        "input.value": ASKED,
        "output.value": ANSWERED,
        "wandb.display_name": "Summarise",
        "wandb.attributes": {
            "cost": {"total": 0.0042},
            "user_id": "u-1",
            "session_id": "s-1",
            "team": "growth",
            "usage": {
                "input_tokens": 1000,
                "output_tokens": 200,
                "total_tokens": 1200,
                "cache_read_input_tokens": 600,
                "cache_write_input_tokens": 100,
                "reasoning_output_tokens": 50,
            },
            "tags": ["nightly", "report"],
            "provider": "Anthropic",
            "generation_id": "gen-abc",
            "finish_reasons": ["stop"],
            "time_to_first_token": 0.42,
        },
        "wandb.thread_id": "s-1",
    }


def test_weave_makes_a_call_of_it(calls_of: Callable[[Iterable[Generation]], dict[str, Any]]) -> None:
    calls = calls_of([CHAT])
    call = calls.pop(CHAT.span_id)
    (parent,) = calls.values()
    assert (call.op_name, call.display_name, call.trace_id) == ("Summarise", "Summarise", CHAT.trace_id)
    assert call.parent_id == parent.id
    assert (call.inputs, call.output) == ({"input.value": ASKED}, {"output.value": ANSWERED})
    assert call.exception is None
    (found,) = call.summary["usage"].items()
    model, usage = found
    assert model == "anthropic/claude-sonnet-4"
    assert usage["input_tokens"] == usage["prompt_tokens"] == 1000
    assert usage["completion_tokens"] == 200  # this server does not read gen_ai.usage.output_tokens
    assert usage["total_tokens"] == 1200
    assert {"kind": "llm", "model": model, "provider": "Anthropic"}.items() <= call.attributes.items()
    assert call.attributes["model_parameters"] == {"temperature": 0.2, "max_tokens": 500}
    assert call.attributes["otel_span"]["attributes"]["wandb"]["attributes"]["cost"] == {"total": 0.0042}
    assert parent.op_name == "Nightly report"
    assert not any((parent.summary["usage"].get("usage") or {}).values())


def test_weave_sees_what_went_wrong(calls_of: Callable[[Iterable[Generation]], dict[str, Any]]) -> None:
    call = calls_of([SAMPLES["error"]])[SAMPLES["error"].span_id]
    assert call.exception == "Rate limit exceeded"
    assert call.op_name == "chat openai/gpt-4o-mini"


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "huge"])
def test_weave_takes_everything(
    name: str, exporter: Weave, calls_of: Callable[[Iterable[Generation]], dict[str, Any]]
) -> None:
    call = calls_of([SAMPLES[name]])[SAMPLES[name].span_id]
    assert call.attributes["kind"] == "llm"
    assert call.inputs.get("input.value") == sent(exporter, SAMPLES[name]).get("input.value")


def test_named_parent_is_the_turn_and_counts_nothing(exporter: Weave) -> None:
    parent, child = spans_of(exporter.encode([CHAT]).body)
    assert child.parent_span_id == parent.span_id
    assert attributes_of(parent) == {
        "wandb.display_name": "Nightly report",
        "input.value": ASKED,
        "output.value": ANSWERED,
        "wandb.attributes": {
            "team": "growth",
            "user_id": "u-1",
            "session_id": "s-1",
            "tags": ["nightly", "report"],
        },
        "wandb.thread_id": "s-1",
        "wandb.is_turn": True,
    }


def test_a_call_of_its_own_is_a_turn(exporter: Weave) -> None:
    assert sent(exporter, SAMPLES["unpriced"])["wandb.is_turn"] is True
    request = replace(SAMPLES["unpriced"].request, session_id=None)
    assert "wandb.is_turn" not in sent(exporter, replace(SAMPLES["unpriced"], request=request))


@pytest.mark.parametrize(("sample", "cost"), [("free", 0.0), ("unpriced", None), ("byok", 0.0105), ("split", 0.003)])
def test_cost(exporter: Weave, sample: str, cost: float | None) -> None:
    found = sent(exporter, SAMPLES[sample])["wandb.attributes"]
    assert found.get("cost") == (None if cost is None else {"total": cost})
    assert found.get("is_byok") is (True if sample == "byok" else None)


def test_failed_call(exporter: Weave) -> None:
    span = span_of(exporter, SAMPLES["error"])
    carried = attributes_of(span)
    assert (span.status.code, span.status.message) == (2, "Rate limit exceeded")
    assert not [key for key in carried if "token" in key]
    assert carried["gen_ai.response.model"] == "openai/gpt-4o-mini"


def test_content_is_only_there_when_it_was_given(exporter: Weave) -> None:
    assert not {"input.value", "output.value"} & sent(exporter, SAMPLES["private"]).keys()


def test_odd_text_arrives(exporter: Weave) -> None:
    carried = sent(exporter, SAMPLES["odd_text"])
    expected = ODD_TEXT.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    assert carried["input.value"][0]["content"] == expected
    assert carried["wandb.attributes"]["dé jà.vu"] == "ça 👍"


def test_requests() -> None:
    exporter = make(Weave, **CONFIG, base_url="https://acme.wandb.io/traces/", headers={"x-proxy": "1"})
    request, probe = exporter.encode([CHAT]), exporter.probe()
    assert request.url == "https://acme.wandb.io/traces/otel/v1/traces"
    assert request.headers == {
        "wandb-api-key": KEY,
        "project_id": PLACE,
        "x-proxy": "1",
        "Content-Type": "application/x-protobuf",
    }
    assert resource_of(request.body) == {
        "service.name": "orobserve",
        "wandb.entity": "team",
        "wandb.project": "app",
    }
    assert (probe.method, probe.url) == ("POST", "https://acme.wandb.io/traces/calls/stream_query")
    assert probe.body == b'{"project_id": "team/app", "limit": 1}'
    assert probe.headers == {
        "Authorization": "Basic YXBpOndhbmRiLXNlY3JldA==",
        "Content-Type": "application/json",
        "x-proxy": "1",
    }
    assert KEY.encode() not in request.body + probe.body


@pytest.mark.parametrize(
    ("status", "verdict", "word"),
    [
        (200, Verdict.DELIVERED, ""),
        (401, Verdict.REJECTED, "api_key"),
        (403, Verdict.REJECTED, "entity"),
        (404, Verdict.REJECTED, "project"),
    ],
)
def test_probe_says_what_to_change(exporter: Weave, status: int, verdict: Verdict, word: str) -> None:
    result = exporter.judge_probe(HTTPResponse(status=status))
    assert result.verdict is verdict
    assert word in result.reason
