"""What real servers make of what we send, read back through their own APIs."""

from __future__ import annotations

import gzip
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import HTTPResponse, Verdict
from orobserve_exporters.mlflow import MLflow
from orobserve_exporters.phoenix import Phoenix
from tests.exporters import receivers
from tests.exporters.generations import CHAT, ODD_TEXT, SAMPLES
from tests.support.otlp import make
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.exporters.receivers import Client

PROJECT = "orobserve tests"
PATIENCE = 30  # seconds that a server may take to store what it has accepted
ALL = list(SAMPLES.values())
CHATS = [sample for sample in ALL if sample.operation == "chat"]


def _needs(name: str) -> Any:
    return pytest.mark.skipif(
        program(name) is None, reason=f"no program {name!r}: it is in the tox environment `receivers`"
    )


def _deliver(client: Client, exporter: Any, body: str = "plain") -> None:
    request = exporter.encode(ALL)
    if body == "gzip":
        packed = {**request.headers, "Content-Encoding": "gzip"}
        request = replace(request, body=gzip.compress(request.body), headers=packed)
    result = exporter.judge(_answer(client.deliver(request)))
    assert (result.verdict, result.rejected) == (Verdict.DELIVERED, 0)


def _answer(response: Any) -> HTTPResponse:
    return HTTPResponse(status=response.status_code, headers=dict(response.headers), body=response.content)


class InPhoenix:
    """Phoenix, with all samples sent twice."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.exporter = make(Phoenix, base_url=str(client.base_url), project_name=PROJECT)
        self.expected = [span for sample in ALL for span in self.exporter.spans(sample)]
        _deliver(client, self.exporter)
        self.spans = self._stored(len(self.expected))
        _deliver(client, self.exporter, "gzip")  # as the sender does, and once more: Phoenix has these spans already

    def _stored(self, count: int) -> dict[str, Any]:
        """Return the project's spans by id; it is the server's requests that take the time here."""
        found: list[Any] = []
        until = time.monotonic() + PATIENCE
        while len(found) < count and time.monotonic() < until:
            answer = self.client.get(f"/v1/projects/{PROJECT}/spans", params={"limit": 200})
            found = answer.json()["data"] if answer.is_success else []  # the project comes with its first span
        return {span["context"]["span_id"]: span for span in found}

    def attributes(self, name: str) -> Any:
        """Return the attributes of a sample's span."""
        return self.spans[SAMPLES[name].span_id or ""]["attributes"]


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InPhoenix]:
    with receivers.phoenix(tmp_path_factory.mktemp("phoenix")) as client:
        yield InPhoenix(client)


@_needs("phoenix")
class TestPhoenix:
    def test_every_span_is_there_and_in_its_place(self, phoenix: InPhoenix) -> None:
        stored = {
            (span["context"]["trace_id"], key, span["parent_id"], span["name"]) for key, span in phoenix.spans.items()
        }
        sent = {(span.trace_id, span.span_id, span.parent_span_id, span.name) for span in phoenix.expected}
        assert stored == sent
        kinds = {name: phoenix.spans[sample.span_id or ""]["span_kind"] for name, sample in SAMPLES.items()}
        assert kinds.pop("embeddings") == "EMBEDDING"
        assert set(kinds.values()) == {"LLM"}

    def test_worked_example(self, phoenix: InPhoenix) -> None:
        assert (
            phoenix.attributes("chat").items()
            >= {
                "llm.model_name": "anthropic/claude-sonnet-4",
                "llm.provider": "anthropic",
                "llm.token_count.prompt": 1000,
                "llm.token_count.completion": 200,
                "llm.token_count.total": 1200,
                "llm.token_count.prompt_details.cache_read": 600,
                "llm.token_count.prompt_details.cache_write": 100,
                "llm.token_count.completion_details.reasoning": 50,
                "llm.input_messages.1.message.role": "user",
                "llm.input_messages.1.message.content": "Summarise the report.",
                "llm.output_messages.0.message.contents.1.message_content.text": "It went well.",
                "metadata.cost_usd": 0.0042,
                "metadata.team": "growth",
                "user.id": "u-1",
                "session.id": "s-1",
            }.items()
        )

    def test_messages_tools_and_text(self, phoenix: InPhoenix) -> None:
        tools = phoenix.attributes("tools")
        path = "llm.output_messages.0.message.tool_calls.0.tool_call"
        assert tools[f"{path}.function.name"] == "weather"
        assert json.loads(tools[f"{path}.function.arguments"]) == {"city": "Zürich", "days": [1, 2]}
        assert "llm.tools.0.tool.json_schema" in tools
        odd = phoenix.attributes("odd_text")["llm.input_messages.0.message.content"]
        assert odd == ODD_TEXT.replace("\ud83d", "?").replace("\0", "\ufffd")

    def test_status(self, phoenix: InPhoenix) -> None:
        failed = phoenix.spans[SAMPLES["error"].span_id or ""]
        assert (failed["status_code"], failed["status_message"]) == ("ERROR", "Rate limit exceeded")
        (event,) = failed["events"]
        assert event["attributes"]["exception.type"] == "429"
        assert sum(span["status_code"] == "ERROR" for span in phoenix.spans.values()) == 1

    def test_cost_is_kept_where_phoenix_lets_us(self, phoenix: InPhoenix) -> None:
        assert phoenix.attributes("free")["metadata.cost_usd"] == 0.0
        assert "metadata.cost_usd" not in phoenix.attributes("unpriced")
        assert phoenix.attributes("byok")["metadata.cost_usd"] == 0.0105

    def test_tokens_of_the_project_are_counted_once(self, phoenix: InPhoenix) -> None:
        """Also after the second delivery, and with named parents above the generations."""
        query = "{projects{edges{node{name traceCount tokenCountPrompt tokenCountCompletion}}}}"
        found = phoenix.client.read("/graphql", query=query)["data"]["projects"]["edges"]
        (project,) = (edge["node"] for edge in found if edge["node"]["name"] == PROJECT)
        assert project["traceCount"] == len({sample.trace_id for sample in ALL})
        used = [sample.usage for sample in CHATS if sample.usage]
        assert project["tokenCountPrompt"] == sum(usage.input_tokens or 0 for usage in used)
        assert project["tokenCountCompletion"] == sum(usage.output_tokens or 0 for usage in used)

    def test_session(self, phoenix: InPhoenix) -> None:
        sessions = phoenix.client.read(f"/v1/projects/{PROJECT}/sessions")["data"]
        assert {session["session_id"] for session in sessions} == {"s-1", "s-日本語"}

    def test_probe(self, phoenix: InPhoenix) -> None:
        exporter, client = phoenix.exporter, phoenix.client
        assert exporter.judge_probe(_answer(client.deliver(exporter.probe()))).verdict is Verdict.DELIVERED

    def test_json_is_refused(self, phoenix: InPhoenix) -> None:
        class JSONPhoenix(Phoenix):
            JSON = True

        exporter = make(JSONPhoenix, base_url=str(phoenix.client.base_url))
        result = exporter.judge(_answer(phoenix.client.deliver(exporter.encode([CHAT]))))
        assert result.verdict is Verdict.REJECTED


def _object(pairs: Any) -> dict[str, Any]:
    """Return what MLflow shows of attributes: it reads the JSON that it was sent."""
    return {pair["key"]: _held(pair.get("value", {})) for pair in pairs}


def _held(value: Any) -> Any:
    ((kind, held),) = value.items() or [("null", None)]
    if kind == "array_value":
        return [_held(item) for item in held.get("values", ())]
    return _object(held.get("values", ())) if kind == "kvlist_value" else held


class InMLflow:
    """MLflow, with all samples sent."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.exporter = make(MLflow, base_url=str(client.base_url))
        _deliver(client, self.exporter)

    def trace(self, name: str) -> tuple[Any, Any]:
        """Return what MLflow knows of a sample's trace, and of its span."""
        trace = self.client.read(f"/api/3.0/mlflow/traces/get?trace_id=tr-{SAMPLES[name].trace_id}")["trace"]
        span = next(span for span in trace["spans"] if span["name"] == self.exporter.span_name(SAMPLES[name]))
        return trace["trace_info"], {**span, "attributes": _object(span["attributes"])}

    def figures(self, name: str, kind: str) -> Any:
        """Return the cost or the tokens that MLflow shows for a trace."""
        return json.loads(self.trace(name)[0]["trace_metadata"].get(f"mlflow.trace.{kind}", "null"))


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InMLflow]:
    with receivers.mlflow(tmp_path_factory.mktemp("mlflow")) as client:
        yield InMLflow(client)


@_needs("mlflow")
class TestMLflow:
    def test_tokens_session_and_user(self, mlflow: InMLflow) -> None:
        assert mlflow.figures("private", "tokenUsage") == {
            "input_tokens": 1000,
            "output_tokens": 200,
            "total_tokens": 1200,
            "cache_read_input_tokens": 600,
            "cache_creation_input_tokens": 100,
        }
        info, span = mlflow.trace("tools")
        assert info["trace_metadata"]["mlflow.trace.session"] == "s-1"
        assert info["trace_metadata"]["mlflow.trace.user"] == "u-1"
        assert info["state"] == "OK"
        assert span["attributes"]["mlflow.spanType"] == "CHAT_MODEL"

    def test_named_parents_count_nothing_twice(self, mlflow: InMLflow) -> None:
        """Two samples share the worked example's trace."""
        assert mlflow.figures("chat", "tokenUsage")["total_tokens"] == 2400
        assert mlflow.figures("chat", "cost")["total_cost"] == pytest.approx(0.0084)

    @pytest.mark.parametrize(
        ("name", "cost"),
        [
            ("split", {"input_cost": 0.001, "output_cost": 0.002, "total_cost": 0.003}),
            ("byok", {"input_cost": 0.0, "output_cost": 0.0, "total_cost": 0.0105}),
            ("free", {"input_cost": 0.0, "output_cost": 0.0, "total_cost": 0.0}),
        ],
    )
    def test_cost_is_ours(self, mlflow: InMLflow, name: str, cost: dict[str, float]) -> None:
        assert mlflow.figures(name, "cost") == cost

    def test_messages(self, mlflow: InMLflow) -> None:
        info, span = mlflow.trace("chat")
        assert info["request_preview"] == "Summarise the report."
        assert info["response_preview"] == "It went well."
        assert span["attributes"]["mlflow.spanInputs"]["messages"][0]["content"] == "Be brief."
        odd = mlflow.trace("odd_text")[1]["attributes"]["mlflow.spanInputs"]
        assert odd["messages"][0]["content"] == ODD_TEXT.replace("\ud83d", "?").replace("\0", "\ufffd")
        assert "mlflow.spanInputs" not in mlflow.trace("private")[1]["attributes"]

    def test_error(self, mlflow: InMLflow) -> None:
        info, span = mlflow.trace("error")
        assert info["state"] == "ERROR"
        assert span["status"]["message"] == "Rate limit exceeded"

    def test_probe(self, mlflow: InMLflow) -> None:
        exporter, client = mlflow.exporter, mlflow.client
        assert exporter.judge_probe(_answer(client.deliver(exporter.probe()))).verdict is Verdict.DELIVERED
