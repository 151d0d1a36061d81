"""An application that traces with the Langfuse SDK: its calls are in its own traces, once, with what was billed.

The SDK, its upload and the client library are real; the servers stand on the loopback interface.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import orobserve
from orobserve import _runtime
from orobserve.delivery import HTTPRequest, HTTPResponse, Verdict
from orobserve.generation import Enrichment
from orobserve_exporters.langfuse import Langfuse
from tests.exporters.generations import CHAT
from tests.support.intake import Answer, Intake
from tests.support.otlp import attributes_of, make, spans_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from orobserve.testing import Simulator

langfuse = pytest.importorskip("langfuse", reason="needs the langfuse package")

KEYS = {"public_key": "pk-lf-1", "secret_key": "sk-lf-1"}
BODY = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def server() -> Iterator[Intake]:
    with Intake() as intake:
        yield intake


@pytest.fixture
def connect(server: Intake, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Return what makes an SDK client; SDKs are forgotten afterwards."""
    for name in ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "LANGFUSE_BASE_URL", "LANGFUSE_HOST"):
        monkeypatch.delenv(name, raising=False)
    made: list[Any] = []
    http = httpx.Client()  # the SDK never closes one of its own

    def connect(**options: Any) -> Any:
        made.append(langfuse.Langfuse(**{**KEYS, "base_url": server.url, "httpx_client": http, **options}))
        return made[-1]

    yield connect
    langfuse._client.resource_manager.LangfuseResourceManager.reset()
    for client in made:
        client._resources.tracer_provider.shutdown()
    http.close()


@pytest.fixture
def destination(server: Intake) -> Langfuse:
    return make(Langfuse, **KEYS, base_url=server.url)


@pytest.fixture
def run(sim: Simulator, server: Intake) -> Callable[..., list[Span]]:
    """Return what runs an app that makes one call, delivers the record as well, and returns all spans that came."""

    def run(client: Any, destination: Langfuse | None = None, **settings: Any) -> list[Span]:
        if destination is not None:
            settings["destinations"] = [destination]
        orobserve.instrument(hosts=[sim.url], enrichment="never", console=False, **settings)

        @langfuse.observe(name="app")
        def app() -> None:
            with httpx.Client(base_url=sim.url) as http:
                http.post("/chat/completions", json=BODY, headers={"authorization": "Bearer k"})

        app()
        client.flush()
        assert orobserve.flush()
        uploads = [taken for taken in server.taken if taken.path == "/api/public/otel/v1/traces"]
        assert {taken.headers["authorization"] for taken in uploads} == {"Basic cGstbGYtMTpzay1sZi0x"}
        return [span for taken in uploads for span in spans_of(taken.body)]

    return run


def _send(request: HTTPRequest) -> HTTPResponse:
    found = httpx.request(request.method, request.url, headers=dict(request.headers), content=request.body)
    return HTTPResponse(status=found.status_code, body=found.content)


def _named(spans: list[Span], name: str) -> Span:
    (span,) = (span for span in spans if span.name == name)
    return span


@pytest.mark.parametrize("delivered", [False, True], ids=["sdk only", "destination too"])
def test_sdk_delivers_the_call_once(
    delivered: bool, connect: Callable[..., Any], run: Callable[..., list[Span]], destination: Langfuse, sim: Simulator
) -> None:
    spans = run(connect(), destination if delivered else None)
    app, call = _named(spans, "app"), _named(spans, "chat openai/gpt-4o-mini")
    assert len(spans) == 2
    assert (call.trace_id, call.parent_span_id) == (app.trace_id, app.span_id)
    carried = attributes_of(call)
    assert carried["gen_ai.operation.name"] == "chat"  # of which Langfuse makes a generation
    assert carried["gen_ai.usage.cost"] == float(sim.bill)
    assert isinstance(carried["gen_ai.usage.cost"], float)
    assert "gen_ai.usage.cost" not in attributes_of(app)


def test_sdk_carries_content_where_spans_do(connect: Callable[..., Any], run: Callable[..., list[Span]]) -> None:
    carried = attributes_of(_named(run(connect(), content="span_only"), "chat openai/gpt-4o-mini"))
    assert carried["gen_ai.input.messages"][0]["parts"] == [{"type": "text", "content": "hello"}]


def test_destination_joins_the_trace_of_an_sdk_that_does_not_see_our_spans(
    connect: Callable[..., Any], run: Callable[..., list[Span]], destination: Langfuse, sim: Simulator
) -> None:
    ours, its = TracerProvider(shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(ours)
    spans = run(connect(tracer_provider=its), destination)
    app, call = _named(spans, "app"), _named(spans, "chat openai/gpt-4o-mini")
    assert len(spans) == 2
    assert (call.trace_id, call.parent_span_id) == (app.trace_id, app.span_id)
    carried = attributes_of(call)
    assert carried["langfuse.observation.type"] == "generation"
    assert carried["langfuse.observation.cost_details"]["total"] == float(sim.bill)
    usage = carried["langfuse.observation.usage_details"]
    assert usage.pop("total") == sum(usage.values())
    ours.shutdown()


def test_destination_sends_for_another_project(
    connect: Callable[..., Any], run: Callable[..., list[Span]], server: Intake, destination: Langfuse
) -> None:
    client = connect()
    other = make(Langfuse, public_key="pk-lf-2", secret_key="sk-lf-2", base_url=server.url)
    provider = trace.get_tracer_provider()
    assert (destination.is_served_by(provider), other.is_served_by(provider)) == (True, False)
    run(client)
    assert spans_of(other.encode([CHAT]).body)


def test_destination_sends_what_the_sdk_filters_out(connect: Callable[..., Any], destination: Langfuse) -> None:
    connect(should_export_span=lambda span: span.instrumentation_scope.name == "langfuse-sdk")
    assert not destination.is_served_by(trace.get_tracer_provider())


def test_what_came_after_the_span_had_ended_is_sent_all_the_same(
    connect: Callable[..., Any], server: Intake, destination: Langfuse
) -> None:
    connect()
    orobserve.instrument(console=False, destinations=[destination])
    hub = _runtime._state["receivers"].hub
    hub.offer(CHAT)
    assert orobserve.flush()
    assert server.taken == []
    hub.offer_update(replace(CHAT, enrichment=Enrichment(status="complete", is_late=True)))
    assert orobserve.flush()
    sent = _named(spans_of(server.taken[-1].body), "Summarise")
    assert (sent.trace_id.hex(), sent.span_id.hex()) == (CHAT.trace_id, CHAT.span_id)
    assert sent.start_time_unix_nano == CHAT.timing.started_at


PROJECT = {"id": "p-1", "name": "app", "metadata": {}, "organization": {"id": "o-1", "name": "org"}}


@pytest.mark.parametrize("projects", [[PROJECT], []], ids=["a project", "none"])
def test_probe_is_the_auth_check_of_the_sdk(
    projects: list[Any], connect: Callable[..., Any], destination: Langfuse, server: Intake
) -> None:
    server.answer = Answer(body=json.dumps({"data": projects}).encode(), headers={"Content-Type": "application/json"})
    try:
        passed = connect().auth_check()
    except Exception:  # noqa: BLE001 - the SDK raises nothing more exact
        passed = False
    result = destination.judge_probe(_send(destination.probe()))
    its, ours = (taken for taken in server.taken if taken.path == "/api/public/projects")
    assert (ours.method, ours.headers["authorization"]) == (its.method, its.headers["authorization"])
    assert (result.verdict is Verdict.DELIVERED) is passed is bool(projects)
