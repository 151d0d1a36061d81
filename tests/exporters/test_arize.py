"""Arize AX, and what it has in common with Phoenix: the words of OpenInference."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from orobserve.generation import Usage
from orobserve_exporters.arize import Arize
from orobserve_exporters.phoenix import Phoenix
from tests.exporters.generations import CHAT, ODD_TEXT, SAMPLES
from tests.support.otlp import attributes_of, make, resource_of, sent, span_of, spans_of

KEY = "arize-secret"
CONFIG = {"api_key": KEY, "space_key": "space-1", "model_id": "my project"}
SYSTEM = {"role": "system", "content": "Be brief."}
ASKED = {"role": "user", "content": "Summarise the report."}
ANSWERED = {"role": "assistant", "content": "It went well.", "reasoning": "Read it first."}


@pytest.fixture(params=[Arize, Phoenix])
def exporter(request: pytest.FixtureRequest) -> Any:
    return make(request.param, **CONFIG)


def test_worked_example(exporter: Any) -> None:
    """The reference example of both products, field by field."""
    assert sent(exporter, CHAT) == {
        "openinference.span.kind": "LLM",
        "llm.model_name": "anthropic/claude-sonnet-4",
        "llm.request.model_name": "anthropic/claude-sonnet-4",
        "llm.response.model_name": "anthropic/claude-sonnet-4",
        "llm.provider": "anthropic",
        "llm.invocation_parameters": {"temperature": 0.2, "max_tokens": 500},
        "llm.finish_reason": "stop",
        "input.value": {"messages": [SYSTEM, ASKED]},
        "input.mime_type": "application/json",
        "output.value": {"messages": [ANSWERED]},
        "output.mime_type": "application/json",
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "Be brief.",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.content": "Summarise the report.",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.contents.0.message_content.type": "reasoning",
        "llm.output_messages.0.message.contents.0.message_content.text": "Read it first.",
        "llm.output_messages.0.message.contents.1.message_content.type": "text",
        "llm.output_messages.0.message.contents.1.message_content.text": "It went well.",
        "llm.token_count.prompt": 1000,
        "llm.token_count.completion": 200,
        "llm.token_count.total": 1200,
        "llm.token_count.prompt_details.cache_read": 600,
        "llm.token_count.prompt_details.cache_write": 100,
        "llm.token_count.completion_details.reasoning": 50,
        "llm.cost.total": 0.0042,
        "session.id": "s-1",
        "user.id": "u-1",
        "metadata": {
            "team": "growth",
            "cost_usd": 0.0042,
            "generation_id": "gen-abc",
            "provider": "Anthropic",
            "finish_reasons": ["stop"],
            "time_to_first_token": 0.42,
        },
        "tag.tags": ["nightly", "report"],
    }


def test_named_parents_have_no_figures(exporter: Any) -> None:
    """Or the product would count the call twice."""
    trace, outer, span = spans_of(exporter.encode([SAMPLES["named"]]).body)
    assert [found.name for found in (trace, outer, span)] == ["Nightly report", "Chapter 1", "Page 1"]
    for parent in (trace, outer):
        carried = attributes_of(parent)
        assert carried["openinference.span.kind"] == "CHAIN"
        assert carried["input.value"]["messages"][-1] == ASKED
        assert carried["session.id"] == "s-1"
        assert not [name for name in carried if name.startswith("llm.")]


@pytest.mark.parametrize(
    ("name", "costs"),
    [
        ("free", {"llm.cost.total": 0.0}),
        ("unpriced", {}),
        ("byok", {"llm.cost.total": 0.0105}),  # the upstream's parts do not make the total, so there is no split
        ("split", {"llm.cost.total": 0.003, "llm.cost.prompt": 0.001, "llm.cost.completion": 0.002}),
    ],
)
def test_cost_is_what_was_billed(exporter: Any, name: str, costs: dict[str, float]) -> None:
    carried = sent(exporter, SAMPLES[name])
    assert {key: value for key, value in carried.items() if key.startswith("llm.cost.")} == costs
    assert carried["metadata"].get("cost_usd") == costs.get("llm.cost.total")
    assert ("is_byok" in carried["metadata"]) == (name == "byok")


def test_error(exporter: Any) -> None:
    span = span_of(exporter, SAMPLES["error"])
    (event,) = span.events
    assert (span.status.code, span.status.message) == (span.status.STATUS_CODE_ERROR, "Rate limit exceeded")
    assert (event.name, attributes_of(event)["exception.type"]) == ("exception", "429")
    carried = attributes_of(span)
    assert not [name for name in carried if "token_count" in name or "cost" in name or name.startswith("output")]
    assert carried["llm.model_name"] == "openai/gpt-4o-mini"  # as asked for
    assert carried["metadata"]["outcome"] == "failed"


def test_tool_calls(exporter: Any) -> None:
    carried = exporter.attributes(SAMPLES["tools"])
    assert carried["llm.input_messages.2.message.tool_call_id"] == "call_0"
    assert carried["llm.input_messages.2.message.content"] == '{"now": "noon"}'
    path = "llm.output_messages.0.message.tool_calls"
    assert carried[f"{path}.0.tool_call.id"] == "call_1"
    assert carried[f"{path}.0.tool_call.function.name"] == "weather"
    assert carried[f"{path}.0.tool_call.function.arguments"] == '{"city": "Zürich", "days": [1, 2]}'
    assert carried[f"{path}.1.tool_call.function.arguments"] == '{"not": json'
    assert json.loads(carried["llm.tools.0.tool.json_schema"])["function"]["name"] == "weather"
    assert not [name for name in carried if "gen_ai.tool" in name]


def test_odd_text_and_media(exporter: Any) -> None:
    text = ODD_TEXT.replace("\ud83d", "?").replace("\0", "\ufffd")
    carried = sent(exporter, SAMPLES["odd_text"])
    assert carried["llm.input_messages.0.message.content"] == text
    assert carried["metadata"]["deep"] == {"a": [1, None, True]}
    carried, path = sent(exporter, SAMPLES["media"]), "llm.input_messages.0.message.contents"
    assert carried[f"{path}.0.message_content.text"] == "What is this?"
    assert carried[f"{path}.1.message_content.text"]["size"] == 12_345  # what it was, never its bytes
    assert carried[f"{path}.2.message_content.image.image.url"] == "https://example.com/cat.png"


def test_without_content_figures_remain(exporter: Any) -> None:
    carried = sent(exporter, SAMPLES["private"])
    assert not [name for name in carried if "put" in name or "messages" in name or "tools" in name]
    assert carried["llm.token_count.prompt"] == 1000


def test_embeddings_have_a_kind_of_their_own(exporter: Any) -> None:
    carried = sent(exporter, SAMPLES["embeddings"])
    assert carried["openinference.span.kind"] == "EMBEDDING"
    assert carried["embedding.model_name"] == "anthropic/claude-sonnet-4"
    assert carried["llm.token_count.prompt"] == 8


def test_every_token_count_is_an_integer_of_the_record(exporter: Any) -> None:
    usage = Usage(input_tokens=9, output_tokens=8, audio_input_tokens=2, audio_output_tokens=3)
    carried = exporter.attributes(replace(CHAT, usage=usage))
    counts = {key: value for key, value in carried.items() if "token_count" in key and value is not None}
    assert counts == {
        "llm.token_count.prompt": 9,
        "llm.token_count.completion": 8,
        "llm.token_count.prompt_details.audio": 2,
        "llm.token_count.completion_details.audio": 3,
    }


def test_address_key_space_and_project() -> None:
    exporter = make(Arize, **CONFIG)
    request = exporter.encode([CHAT])
    assert request.url == "https://otlp.arize.com/v1/traces"
    assert request.headers == {
        "Content-Type": "application/x-protobuf",
        "authorization": KEY,  # without a scheme
        "arize-space-id": "space-1",
    }
    resource = resource_of(request.body)
    assert resource["openinference.project.name"] == resource["model_id"] == "my project"
    assert KEY.encode() not in request.body
    assert (exporter.probe().url, spans_of(exporter.probe().body)) == (request.url, [])


@pytest.mark.parametrize("given", ["", "/", "/v1", "/v1/traces"])
def test_address_may_hold_some_of_the_path(given: str) -> None:
    exporter = make(Arize, **CONFIG, base_url=f"https://otlp.eu-west-1a.arize.com{given}")
    assert exporter.url() == "https://otlp.eu-west-1a.arize.com/v1/traces"


def test_address_must_be_one() -> None:
    with pytest.raises(ValueError, match="base_url must be a full address"):
        make(Arize, **CONFIG, base_url="otlp.arize.com")
