"""What the core is told: the caller's words, the caller's trace, the upstream's address, and only what is a call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace

from orobserve.generation import Outcome
from orobserve.proxy import observation, serve
from tests.proxy.origin import chunked, head, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve import Generation
    from orobserve.testing import Simulator
    from tests.conftest import Telemetry
    from tests.proxy.conftest import Running
    from tests.proxy.origin import Origin

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
KEY = "Authorization: Bearer sk-or-v1-canary"
BODY = json.dumps({"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hi"}]}).encode()
STREAMED = BODY[:-1] + b', "stream": true}'


@pytest.mark.parametrize("body", [BODY, STREAMED], ids=["plain", "streamed"])
def test_an_inbound_trace_is_continued(
    body: bytes, sim: Simulator, start: Callable[..., Running], telemetry: Telemetry
) -> None:
    running = start(sim.root, {"tracer_provider": telemetry.tracer_provider})
    running.ask(request(headers=[KEY, f"traceparent: 00-{TRACE}-{PARENT}-01"], body=body))
    running.stop()
    assert trace.format_trace_id(telemetry.span.context.trace_id) == TRACE
    assert telemetry.span.parent is not None
    assert trace.format_span_id(telemetry.span.parent.span_id) == PARENT
    assert dict(sim.calls[0].headers)["traceparent"] == f"00-{TRACE}-{PARENT}-01"


def test_calls_of_one_connection_have_traces_of_their_own(
    sim: Simulator, start: Callable[..., Running], telemetry: Telemetry
) -> None:
    running = start(sim.root, {"tracer_provider": telemetry.tracer_provider})
    for headers in ([KEY, f"traceparent: 00-{TRACE}-{PARENT}-01"], [KEY]):
        running.ask(request(headers=headers, body=BODY))
    running.stop()
    assert len({span.context.trace_id for span in telemetry.spans}) == 2
    assert telemetry.spans[1].parent is None


def test_the_callers_words_are_recorded_and_end_here(
    sim: Simulator, start: Callable[..., Running], records: Callable[[], list[Generation]]
) -> None:
    running = start(sim.root)
    said = ["X-Orobserve-User: ada%20l%C3%B8v", "X-Orobserve-Session: s-1", "x-orobserve-tags: beta, search,"]
    said += ["X-Orobserve-Tags: more", "X-Orobserve-Trace-Name: t", "X-Orobserve-Span-Name: s"]
    said += ["X-Orobserve-Generation-Name: g", "X-Orobserve-Metadata-Team: blue", "X-Orobserve-Unknown: 1"]
    running.ask(request(headers=[KEY, *said], body=BODY))
    running.stop()
    (record,) = records()
    assert (record.request.user, record.request.session_id) == ("ada løv", "s-1")
    assert (record.name, record.trace_name, record.span_name) == ("g", "t", "s")
    assert record.tags == {"tags": ["beta", "search", "more"], "team": "blue"}
    assert not [name for name, _ in sim.calls[0].headers if name.lower().startswith("x-orobserve")]
    assert sim.calls[0].body == BODY


def test_what_the_request_says_wins(
    sim: Simulator, start: Callable[..., Running], records: Callable[[], list[Generation]]
) -> None:
    running = start(sim.root)
    running.ask(request(headers=[KEY, "X-Orobserve-User: ada"], body=BODY[:-1] + b', "user": "bob"}'))
    running.stop()
    assert records()[0].request.user == "bob"


def test_the_record_names_the_upstream(
    sim: Simulator, start: Callable[..., Running], records: Callable[[], list[Generation]]
) -> None:
    running = start(sim.root)
    running.ask(request(headers=[KEY], body=STREAMED))
    running.stop()
    (record,) = records()
    assert f"http://{record.server_address}:{record.server_port}" == sim.root
    assert record.outcome is Outcome.COMPLETE
    assert record.cost is not None
    assert record.cost.total == float(sim.bill)
    assert record.timing.first_chunk_at is not None


def test_openrouters_own_record_is_asked_for_with_the_callers_key(
    sim: Simulator,
    start: Callable[..., Running],
    records: Callable[[], list[Generation]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve, "_RECORDS", 30.0)  # a busy machine takes longer than is due to who stops the proxy
    running = start(sim.root, {"enrichment": "always"})
    running.ask(request(headers=[KEY], body=BODY))
    running.stop()  # waits for the record
    (record,) = records()
    assert record.cost is not None
    assert record.cost.source == "generation"
    lookups = [call for call in sim.calls if "/generation" in call.path]
    assert {value for call in lookups for name, value in call.headers if name.lower() == "authorization"} == {
        "Bearer sk-or-v1-canary"
    }


def test_what_is_no_inference_is_forwarded_only(
    sim: Simulator, start: Callable[..., Running], records: Callable[[], list[Generation]]
) -> None:
    running = start(sim.root)
    for path in ("/api/v1/models", "/api/v1/key", "/api/v1/nothing"):
        assert running.ask(request("GET", path, [KEY]), "GET").headers
    running.stop()
    assert len(sim.calls) == 3
    assert records() == []


def test_a_body_beyond_the_bound_is_forwarded_and_recorded_without_its_detail(
    origin: Origin,
    start: Callable[..., Running],
    records: Callable[[], list[Generation]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(observation, "TEE_LIMIT", 50)
    origin.play([head(200, "Content-Length: 2"), b"{}"])
    running = start(origin.url)
    running.ask(request(body=BODY))
    running.stop()
    assert origin.requests[0].body == BODY
    assert records()[0].request.model is None


def test_a_header_that_is_asked_for_is_added(origin: Origin, start: Callable[..., Running]) -> None:
    origin.play(*[[head(200, "Content-Length: 2"), b"{}"]] * 3)
    running = start(origin.url, {"router_metadata": True})
    running.ask(request(body=BODY))
    running.ask(request(headers=["x-openrouter-metadata: disabled"], body=BODY))
    running.ask(request("GET", "/api/v1/models"), "GET")
    found = [received.header(b"x-openrouter-metadata") for received in origin.requests]
    assert found == [[b"enabled"], [b"disabled"], []]


def test_nothing_is_in_flight_at_the_end(sim: Simulator, start: Callable[..., Running], telemetry: Telemetry) -> None:
    running = start(
        sim.root, {"tracer_provider": telemetry.tracer_provider, "meter_provider": telemetry.meter_provider}
    )
    for body in (BODY, STREAMED):
        running.ask(request(headers=[KEY], body=body))
    running.stop()
    assert telemetry.in_flight == 0
    assert len(telemetry.spans) == 2


@pytest.mark.swallows
def test_a_fault_of_ours_does_not_harm_the_call(
    origin: Origin, start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    for place in ("said", "headers_of"):
        with monkeypatch.context() as patched:
            patched.setattr(observation, place, fail)
            origin.play([head(200, "Transfer-Encoding: chunked"), *chunked(b"answer", [2])])
            assert start(origin.url).ask(request(body=BODY)).body == b"answer"
