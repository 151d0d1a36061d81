"""The thin profiles: where they send, how they get in, in which encoding, and what they add to the conventions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from orobserve_exporters.axiom import Axiom
from orobserve_exporters.dynatrace import Dynatrace
from orobserve_exporters.evidently import Evidently
from orobserve_exporters.fiddler import Fiddler
from orobserve_exporters.galileo import Galileo
from orobserve_exporters.helicone import Helicone
from orobserve_exporters.honeycomb import Honeycomb
from orobserve_exporters.honeyhive import HoneyHive
from orobserve_exporters.logfire import Logfire
from orobserve_exporters.middleware import Middleware
from orobserve_exporters.mlflow import MLflow
from orobserve_exporters.portkey import Portkey
from orobserve_exporters.respan import Respan
from orobserve_exporters.signoz import SigNoz
from orobserve_exporters.traceloop import Traceloop
from tests.exporters.generations import CHAT, SAMPLES
from tests.support.otlp import make, read, resource_of, span_of, spans_of

if TYPE_CHECKING:
    from orobserve_exporters._otlp import OTLPExporter

KEY = "sk-profile-secret"
SAID = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Summarise the report."}]
ANSWER = {"role": "assistant", "content": "It went well.", "reasoning": "Read it first."}
SPLIT = {"input_cost": 0.001, "output_cost": 0.002, "total_cost": 0.003}
CONVENTIONS = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openrouter",
    "gen_ai.request.model": "anthropic/claude-sonnet-4",
    "gen_ai.response.model": "anthropic/claude-sonnet-4",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 200,
    "gen_ai.usage.cache_read.input_tokens": 600,
    "gen_ai.usage.cache_creation.input_tokens": 100,
    "gen_ai.usage.reasoning.output_tokens": 50,
    "gen_ai.usage.cost": 0.0042,
    "gen_ai.usage.total_cost": 0.0042,
    "gen_ai.response.time_to_first_chunk": 0.42,
    "user.id": "u-1",
    "session.id": "s-1",
    "trace.metadata.team": "growth",
}
OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "anthropic/claude-sonnet-4",
    "llm.token_count.prompt": 1000,
    "llm.cost.total": 0.0042,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A destination, its settings, and what is to come out of them for the worked example."""

    kind: type[OTLPExporter]
    url: str
    headers: dict[str, str]
    config: dict[str, str] = field(default_factory=dict)
    resource: dict[str, str] = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)  # beside what its base sends
    parent: dict[str, Any] = field(default_factory=dict)  # on a named parent
    base: dict[str, Any] = field(default_factory=lambda: CONVENTIONS)


KEYED = {"api_key": KEY}
BEARER = {"Authorization": f"Bearer {KEY}"}
CASES = [
    Case(
        kind=Dynatrace,
        config={**KEYED, "base_url": "https://abc.live.dynatrace.com"},
        url="https://abc.live.dynatrace.com/api/v2/otlp/v1/traces",
        headers={"Authorization": f"Api-Token {KEY}"},
    ),
    Case(
        kind=Dynatrace,
        config={**KEYED, "base_url": "https://ag:9999/e/abc/api/v2/otlp"},
        url="https://ag:9999/e/abc/api/v2/otlp/v1/traces",
        headers={"Authorization": f"Api-Token {KEY}"},
    ),
    Case(
        kind=HoneyHive,
        config={**KEYED, "project": "p"},
        url="https://api.honeyhive.ai/opentelemetry/v1/traces",
        headers=BEARER,
        own={
            "honeyhive_event_type": "model",
            "honeyhive.project": "p",
            "honeyhive.source": "orobserve",
            "honeyhive.session_id": "s-1",
            "honeyhive_user_properties": {"user_id": "u-1"},
            "honeyhive_inputs": {"chat_history": SAID},
            "honeyhive_outputs": {"messages": [ANSWER]},
            "honeyhive_config": {
                "model": "anthropic/claude-sonnet-4",
                "provider": "Anthropic",
                "temperature": 0.2,
                "max_tokens": 500,
            },
            "honeyhive_metrics": {"cost": 0.0042},
        },
        parent={"honeyhive_event_type": "chain", "honeyhive_metadata": {"team": "growth"}},
    ),
    Case(kind=Helicone, config=KEYED, url="https://api.helicone.ai/v1/trace/log", headers=BEARER),
    Case(
        kind=Galileo,
        config={**KEYED, "project": "p"},
        url="https://api.galileo.ai/otel/traces",
        headers={"Galileo-API-Key": KEY, "project": "p", "logstream": "default"},
        resource={"galileo.project.name": "p", "galileo.logstream.name": "default"},
        base=OPENINFERENCE,
        parent={"openinference.span.kind": "CHAIN"},
    ),
    Case(
        kind=Portkey,
        config=KEYED,
        url="https://api.portkey.ai/v1/otel/v1/traces",
        headers={"x-portkey-api-key": KEY},
    ),
    Case(
        kind=Respan,
        config=KEYED,
        url="https://api.respan.ai/api/v2/traces",
        headers=BEARER,
        own={
            "respan.customer_params.customer_identifier": "u-1",
            "respan.threads.thread_identifier": "s-1",
            "respan.metadata.team": "growth",
        },
        parent={"respan.threads.thread_identifier": "s-1"},
    ),
    Case(
        kind=Honeycomb,
        config=KEYED,
        url="https://api.honeycomb.io/v1/traces",
        headers={"x-honeycomb-team": KEY},
    ),
    Case(
        kind=Honeycomb,
        config={**KEYED, "dataset": "old", "base_url": "https://api.eu1.honeycomb.io/"},
        url="https://api.eu1.honeycomb.io/v1/traces",
        headers={"x-honeycomb-team": KEY, "x-honeycomb-dataset": "old"},
    ),
    Case(
        kind=Axiom,
        config={**KEYED, "dataset": "d"},
        url="https://api.axiom.co/v1/traces",
        headers={**BEARER, "X-Axiom-Dataset": "d"},
    ),
    Case(
        kind=Traceloop,
        config=KEYED,
        url="https://api.traceloop.com/v1/traces",
        headers=BEARER,
        own={
            "traceloop.association.properties.team": "growth",
            "traceloop.association.properties.user_id": "u-1",
            "traceloop.association.properties.session_id": "s-1",
        },
        parent={"traceloop.span.kind": "workflow", "traceloop.entity.name": "Nightly report"},
    ),
    Case(
        kind=Logfire,
        config={"token": KEY},
        url="https://logfire-us.pydantic.dev/v1/traces",
        headers={"Authorization": KEY},
        own={"operation.cost": 0.0042},
    ),
    Case(
        kind=MLflow,
        url="http://localhost:5000/v1/traces",
        headers={"x-mlflow-experiment-id": "0"},
        own={
            "mlflow.spanInputs": {"messages": SAID},
            "mlflow.spanOutputs": {"choices": [{"index": 0, "message": ANSWER}]},
            "mlflow.llm.cost": {"total_cost": 0.0042},
        },
        parent={"mlflow.spanInputs": {"messages": SAID}},
    ),
    Case(
        kind=MLflow,
        config={"token": KEY, "experiment_id": "7", "base_url": "https://mlflow.example.com/"},
        url="https://mlflow.example.com/v1/traces",
        headers={"x-mlflow-experiment-id": "7", **BEARER},
    ),
    Case(
        kind=MLflow,
        config={"username": "me", "password": "pass"},
        url="http://localhost:5000/v1/traces",
        headers={"x-mlflow-experiment-id": "0", "Authorization": "Basic bWU6cGFzcw=="},
    ),
    Case(
        kind=SigNoz,
        config={**KEYED, "region": "eu"},
        url="https://ingest.eu.signoz.cloud:443/v1/traces",
        headers={"signoz-ingestion-key": KEY},
        own={"gen_ai.server.ttft": 0.42},
    ),
    Case(kind=SigNoz, config={"base_url": "http://localhost:4318"}, url="http://localhost:4318/v1/traces", headers={}),
    Case(
        kind=Fiddler,
        config={**KEYED, "base_url": "https://me.fiddler.ai", "application_id": "a-1"},
        url="https://me.fiddler.ai/v1/traces",
        headers={"authorization": f"Bearer {KEY}", "fiddler-application-id": "a-1"},
        resource={"application.id": "a-1"},
        own={
            "fiddler.span.type": "llm",
            "gen_ai.llm.input.system": "Be brief.",
            "gen_ai.llm.input.user": "Summarise the report.",
            "gen_ai.llm.output": "It went well.",
            "fiddler.session.user.team": "growth",
            "fiddler.session.user.user_id": "u-1",
        },
        parent={"fiddler.span.type": "chain"},
    ),
    Case(
        kind=Evidently,
        config={"base_url": "http://localhost:8000", "project_id": "p-1", "dataset_id": "d-1", "secret": KEY},
        url="http://localhost:8000/api/v1/traces",
        headers={"evidently-secret": KEY},
        resource={"evidently.export_id": "d-1", "evidently.project_id": "p-1"},
    ),
    Case(
        kind=Evidently,
        config={"base_url": "http://localhost:8000", "project_id": "p-1", "dataset_id": "d-1"},
        url="http://localhost:8000/api/v1/traces",
        headers={},
    ),
    Case(
        kind=Middleware,
        config={**KEYED, "base_url": "https://uid.middleware.io:443"},
        url="https://uid.middleware.io:443/v1/traces",
        headers={},
        resource={"mw.account_key": KEY},
    ),
]
JSON_ONLY = {HoneyHive, Helicone, Respan}
each_case = pytest.mark.parametrize("case", CASES, ids=[f"{case.kind.TYPE}-{n}" for n, case in enumerate(CASES)])


def _is_part(expected: dict[str, Any], carried: dict[str, Any]) -> bool:
    return {name: read(carried.get(name)) for name in expected} == expected


def _carried(exporter: OTLPExporter) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the attributes of resource, parent and span, from the bytes, whatever their encoding."""
    body = exporter.encode([CHAT]).body
    if not exporter.JSON:
        parent, span = spans_of(body)
        return resource_of(body), _plain(parent), _plain(span)
    (group,) = json.loads(body)["resourceSpans"]
    parent, span = group["scopeSpans"][0]["spans"]
    return _json(group["resource"]), _json(parent), _json(span)


def _plain(span: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in span.attributes}


def _json(item: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for pair in item["attributes"]:
        ((kind, value),) = pair["value"].items()
        found[pair["key"]] = int(value) if kind == "intValue" else value
    return found


@each_case
def test_address_credentials_and_encoding(case: Case) -> None:
    exporter = make(case.kind, **case.config)
    request = exporter.encode([CHAT])
    kind = "application/json" if case.kind in JSON_ONLY else "application/x-protobuf"
    assert (request.method, request.url) == ("POST", case.url)
    assert request.headers == {"Content-Type": kind, **case.headers}
    assert make(case.kind, **case.config, headers={"x-extra": "1"}).encode([CHAT]).headers["x-extra"] == "1"
    assert (KEY.encode() in request.body) == (case.kind is Middleware)  # which wants it there


@each_case
def test_attributes(case: Case) -> None:
    resource, parent, span = _carried(make(case.kind, **case.config))
    assert _is_part({"service.name": "orobserve", **case.resource}, resource)
    assert _is_part({**case.base, **case.own}, span)
    assert _is_part({"user.id": "u-1", "session.id": "s-1", **case.parent}, parent)
    assert not [name for name in parent if "usage" in name or "cost" in name or "model" in name]


@pytest.mark.parametrize("case", {case.kind: case for case in CASES}.values(), ids=lambda case: case.kind.TYPE)
def test_costs_and_content_that_are_not_there(case: Case) -> None:
    exporter = make(case.kind, **case.config)
    free = exporter.attributes(SAMPLES["free"])
    assert 0.0 in {free.get(name) for name in ("gen_ai.usage.cost", "llm.cost.total")}
    unpriced = exporter.attributes(SAMPLES["unpriced"])
    assert [name for name, value in unpriced.items() if "cost" in name and value is not None] == []
    private = exporter.attributes(SAMPLES["private"])
    said = [text for text in ("Be brief", "Summarise the report", "It went well") if text in str(private)]
    assert said == []


@pytest.mark.parametrize(
    ("name", "cost"),
    [("free", {"total_cost": 0.0}), ("unpriced", None), ("byok", {"total_cost": 0.0105}), ("split", SPLIT)],
)
def test_mlflow_cost(name: str, cost: dict[str, float] | None) -> None:
    assert make(MLflow).attributes(SAMPLES[name])["mlflow.llm.cost"] == cost


def test_honeycomb_probe_asks_whose_key_it_is() -> None:
    probe = make(Honeycomb, **KEYED).probe()
    assert (probe.method, probe.url) == ("GET", "https://api.honeycomb.io/1/auth")
    assert probe.headers == {"x-honeycomb-team": KEY}


def test_signoz_needs_a_key_or_an_address() -> None:
    with pytest.raises(ValueError, match="SIGNOZ_INGESTION_KEY"):
        make(SigNoz)


def test_error_is_the_span_s_status() -> None:
    span = span_of(make(Axiom, **KEYED, dataset="d"), SAMPLES["error"])
    assert span.status.message == "Rate limit exceeded"
