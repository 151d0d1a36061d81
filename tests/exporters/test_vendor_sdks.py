"""The vendors' own SDKs beside our exporters: the same call, recorded by both, field by field.

What differs is listed, each with its reason; everything else must be equal. The SDKs run in processes of their own.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import orobserve
from orobserve.delivery import HTTPResponse, Verdict
from orobserve.generation import Content, Cost, Error, Message, Outcome, Request, Text, ToolCall, Usage
from orobserve_exporters._tree import event_id
from orobserve_exporters.datadog import Datadog
from orobserve_exporters.posthog import PostHog
from orobserve_exporters.raindrop import Raindrop
from tests.delivery.servers import Server
from tests.exporters import vendors
from tests.exporters.generations import CHAT
from tests.exporters.vendors import CALL
from tests.support.otlp import make

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orobserve.delivery import HTTPRequest
    from orobserve.testing import Simulator


def _needs(*packages: str) -> Any:
    missing = [package for package in packages if not vendors.is_installed(package)]
    reason = f"no package {', '.join(missing)}: it is in the tox environment `vendors`"
    return pytest.mark.skipif(bool(missing), reason=reason)


def _text(role: str, text: str, *more: ToolCall) -> Message:
    return Message(role=role, parts=(Text(content=text), *more))


FINE = replace(
    CHAT,
    request=Request(model=CALL["model"], user=CALL["user"], session_id=CALL["session"], **CALL["parameters"]),
    usage=Usage(**CALL["tokens"]),
    cost=Cost(
        total=CALL["cost"]["total_cost"],
        upstream_input=CALL["cost"]["input_cost"],
        upstream_output=CALL["cost"]["output_cost"],
    ),
    content=Content(
        system=(Text(content=CALL["system"]),),
        input=(_text("user", CALL["question"]),),
        output=(_text("assistant", CALL["answer"], ToolCall(**CALL["tool_call"])),),
        tools=({"type": "function", "function": CALL["tool"]},),
    ),
    finish_reasons=None,
    tags=None,
)
FAILED = replace(
    FINE,
    outcome=Outcome.FAILED,
    timing=replace(FINE.timing, first_chunk_at=None),
    request=Request(model=CALL["model"], user=CALL["user"], session_id=CALL["session"]),
    id=None,
    model=None,
    usage=None,
    cost=None,
    error=Error(type="builtins.RuntimeError", message=CALL["error"]),
    content=replace(FINE.content, output=(), tools=()),  # type: ignore[type-var]
    name="Failed",
    span_id="0a1b2c3d4e5f6072",
)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Return all values by path; of lists too, and an empty one, or an empty object, is a value."""
    if path == "tags":  # of Datadog
        value = dict(tag.split(":", 1) for tag in value)
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    if not pairs:
        yield path, value
    for key, item in pairs:
        yield from _leaves(item, f"{path}/{key}" if path else str(key))


def _compare(theirs: Any, ours: Any) -> tuple[set[str], set[str], set[str]]:
    """Return the paths that only they have, that only we have, and that differ in value or in type."""
    found, made = dict(_leaves(theirs)), dict(_leaves(ours))
    both = found.keys() & made.keys()
    return (
        found.keys() - both,
        made.keys() - both,
        {path for path in both if (found[path], type(found[path])) != (made[path], type(made[path]))},
    )


def _answer(response: httpx.Response) -> HTTPResponse:
    return HTTPResponse(status=response.status_code, headers=dict(response.headers), body=response.content)


def _send(request: HTTPRequest) -> HTTPResponse:
    with httpx.Client(trust_env=False) as client:
        found = client.request(request.method, request.url, content=request.body, headers=dict(request.headers))
    return _answer(found)


QUIET = {
    "DD_APM_TRACING_ENABLED": "false",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_SERVICE": "svc",
    "DD_ENV": "prod",
    "DD_VERSION": "1.2",
}
TAGS = {"service": "svc", "env": "prod", "version": "1.2", "ml_app": "app"}

SAMPLING = {"_dd/sample_rate", "_dd/sampling_decision"}  # we sample before, by OpenRouter's rule
PROCESS = {"tags/agent_service", "tags/ddtrace.version", "tags/language"}  # of the SDK's process and its own release
IDS = {"span_id", "trace_id", "_dd/span_id", "_dd/trace_id", "_dd/apm_trace_id"}  # theirs are random
TIMES = {"start_ns", "duration"}
VALUES = {
    *IDS,
    *TIMES,
    "tags/source",  # says who sends: `integration` is ddtrace
}


@pytest.fixture(scope="module", params=["agentless", "agent"])
def datadog(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, Any]:
    """Return the mode, and the upload of the SDK: its head and its body."""
    mode, folder = request.param, tmp_path_factory.mktemp("datadog")
    if mode == "agent":
        with vendors.datadog_agent(folder) as url:
            vendors.run("datadog", mode, folder=folder, env={**QUIET, "DD_TRACE_AGENT_URL": url})
            (taken,) = httpx.get(f"{url}/test/session/requests", trust_env=False).json()
            headers = {name.lower(): value for name, value in taken["headers"].items()}
            return mode, (taken["url"].removeprefix(url), headers), json.loads(base64.b64decode(taken["body"]))
    with Server() as server:
        env = {**QUIET, "DD_TRACE_AGENT_URL": server.url, "DD_LLMOBS_OVERRIDE_ORIGIN": server.url}
        vendors.run("datadog", mode, folder=folder, env=env)
    (upload,) = (taken for taken in server.requests if taken.method == "POST")
    return mode, (upload.path, upload.headers), json.loads(upload.body)


@_needs("ddtrace", "ddapm_test_agent")
class TestDatadog:
    def test_the_upload(self, datadog: Any) -> None:
        mode, (path, headers), body = datadog
        request = make(Datadog, agent_url="http://127.0.0.1:8126", **TAGS).encode([FINE, FAILED])
        ours = json.loads(request.body)
        assert headers["content-type"] == request.headers["Content-Type"]
        if mode == "agent":
            assert path == request.url.removeprefix("http://127.0.0.1:8126")
            assert headers["x-datadog-evp-subdomain"] == request.headers["X-Datadog-EVP-Subdomain"]
            assert "dd-api-key" not in headers
            assert "DD-API-KEY" not in request.headers
        else:  # a private intake, where we use the public API; the key goes by the same header
            assert (path, headers["dd-api-key"]) == ("/api/v2/llmobs", "dd-key")
            assert "DD-API-KEY" in make(Datadog, api_key="k", **TAGS).encode([FINE]).headers
        assert [list(element) for element in body] == [list(element) for element in ours]
        for theirs, element in zip(body, ours, strict=True):
            only_theirs, only_ours, different = _compare({**theirs, "spans": 1}, {**element, "spans": 1})
            assert (only_theirs, only_ours, different) == (set(), set(), {"_dd.tracer_version"})

    @pytest.mark.parametrize(
        ("name", "only_theirs", "only_ours", "values"),
        [
            ("Nightly report", set(), set(), set()),
            (
                "Summarise",
                set(),
                {
                    "metrics/non_cached_input_tokens",  # which ddtrace only sends where it is annotated
                    "meta/metadata/generation_id",  # what OpenRouter says, and Datadog has no field for
                    "meta/metadata/provider",
                    "meta/metadata/model_name",  # the older documented place of both
                    "meta/metadata/model_provider",
                },
                set(),
            ),
            (
                "Failed",
                {
                    "meta/error/stack",  # a record of HTTP traffic has none
                    "meta/metadata",  # empty
                },
                {
                    "meta/metadata/outcome",
                    "meta/metadata/provider",
                    "meta/metadata/requested_model",
                    "meta/metadata/model_name",
                    "meta/metadata/model_provider",
                },
                set(),
            ),
        ],
    )
    def test_each_span(
        self, datadog: Any, name: str, only_theirs: set[str], only_ours: set[str], values: set[str]
    ) -> None:
        request = make(Datadog, agent_url="http://127.0.0.1:8126", **TAGS).encode([FINE, FAILED])
        both = ([element["spans"][0] for element in found] for found in (datadog[2], json.loads(request.body)))
        theirs, ours = ({span["name"]: span for span in spans} for spans in both)
        found = _compare(theirs[name], ours[name])
        parent = {"parent_id"} if name != "Nightly report" else set()  # of the root it is `undefined` for both
        assert found == (only_theirs | SAMPLING | PROCESS, only_ours, values | VALUES | parent)
        for spans in (theirs, ours):
            span, root = spans[name], spans["Nightly report"]
            assert all(isinstance(span[key], str) for key in ("span_id", "trace_id", "parent_id"))
            assert all(re.fullmatch("[0-9a-f]{32}", span["_dd"][key]) for key in ("trace_id", "apm_trace_id"))
            assert span["_dd"]["span_id"] == span["span_id"]
            assert span["trace_id"] == root["trace_id"]
            assert span["parent_id"] == ("undefined" if span is root else root["span_id"])
            assert all(isinstance(span[key], int) for key in ("start_ns", "duration"))
            assert 10**18 < span["start_ns"] < 2 * 10**18  # nanoseconds

    def test_the_public_api_has_the_same_in_other_places(self) -> None:
        private = make(Datadog, agent_url="http://127.0.0.1:8126", **TAGS).encode([FINE])
        public = make(Datadog, api_key="k", **TAGS).encode([FINE])
        spans = json.loads(public.body)["data"]["attributes"]["spans"]
        raw = [element["spans"][0] for element in json.loads(private.body)]
        for span, other in zip(spans, raw, strict=True):
            only_public, only_private, different = _compare(span, other)
            assert only_public == {"apm_trace_id", "meta/kind"}
            assert only_private == {"_dd/apm_trace_id", "_dd/trace_id", "_dd/span_id", "meta/span/kind"}
            assert not different

    def test_the_agent_takes_what_we_send_and_has_it(self, tmp_path: Path) -> None:
        with vendors.datadog_agent(tmp_path) as url:
            exporter = make(Datadog, agent_url=url, **TAGS)
            probe, request = exporter.probe(), exporter.encode([FINE, FAILED])
            assert exporter.judge_probe(_send(probe)).verdict is Verdict.DELIVERED
            assert exporter.judge(_send(request)).verdict is Verdict.DELIVERED
            (taken,) = httpx.get(f"{url}/test/session/requests", trust_env=False).json()
        assert taken["method"] == "POST"
        assert taken["url"] == request.url
        assert taken["headers"]["X-Datadog-EVP-Subdomain"] == "llmobs-intake"
        assert json.loads(base64.b64decode(taken["body"])) == json.loads(request.body)


MACHINE = {
    "$python_runtime",
    "$python_version",
    "$os",
    "$os_version",
    "$os_distro",
    "$lib",  # ours is in $ai_lib
    "$lib_version",
    "$is_server",
}
LEFT_OUT = MACHINE | {
    "$ai_usage",  # raw, removed by the server after it has read it; we name what is in it
    "$ai_tokens_source",  # whether the application wrote the counts over
    "$context_tags",
}
OURS = {
    "$ai_span_id",  # without it PostHog's trace view may show an event twice
    "$ai_parent_id",
    "$ai_temperature",  # PostHog would take both out of the parameters
    "$ai_max_tokens",
    "openrouter_generation_id",
}
DIFFERENT = {
    "$ai_latency",  # of another call
    "$ai_base_url",  # the record has the host, not the path
    "$ai_lib",
    "$ai_lib_version",
}


@_needs("posthog", "openai")
class TestPostHog:
    def test_an_event_as_the_client_captures_it(self, tmp_path: Path) -> None:
        request = make(PostHog, api_key="phc_key").encode([replace(FINE, trace_name=None)])
        ours = json.loads(request.body)
        (event,) = ours["batch"]
        with Server() as server:
            given = json.dumps(event["properties"])
            vendors.run("posthog_capture", server.url, given, folder=tmp_path)
        (taken,) = server.requests
        assert (taken.method, taken.path) == ("POST", "/batch/")
        assert request.url.endswith(taken.path)
        assert taken.headers["content-type"] == request.headers["Content-Type"]
        theirs = json.loads(taken.body)
        assert theirs.keys() - ours.keys() == {"sent_at"}  # by which the server would shift our times at every attempt
        assert ours.keys() <= theirs.keys()
        assert (theirs["api_key"], theirs["historical_migration"]) == (ours["api_key"], ours["historical_migration"])
        (captured,) = theirs["batch"]
        added = {f"properties/{name}" for name in MACHINE}
        assert _compare(captured, event) == (added, set(), {"uuid", "timestamp"})
        for made in (captured, event):
            assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made["uuid"])
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|\+00:00)", made["timestamp"])

    def test_the_same_calls_as_its_openai_client_makes(self, sim: Simulator, tmp_path: Path) -> None:
        body = {
            "model": "openai/gpt-4o-mini",
            "messages": [{"role": "user", "content": CALL["question"]}],
            "tools": [{"type": "function", "function": CALL["tool"]}],
            **CALL["parameters"],
        }
        with Server() as server:
            vendors.run("posthog_openai", server.url, sim.url, json.dumps(body), folder=tmp_path)
        theirs = [event for taken in server.requests for event in json.loads(taken.body)["batch"]]
        with Server() as server:
            ours = self._by_us(sim, server, body)
        (fine, refused), (our_fine, our_refused) = theirs, ours
        for made in (*theirs, *ours):
            assert (made["event"], made["distinct_id"]) == ("$ai_generation", CALL["user"])
            assert made["properties"]["$ai_trace_id"] == "workflow_12345"
            assert isinstance(made["properties"]["$ai_latency"], float)
        sent = [{key: event["properties"][key] for key in event["properties"].keys() - LEFT_OUT} for event in theirs]
        assert _compare(sent[0], our_fine["properties"]) == (
            {"$ai_model_parameters/service_tier"},  # that of the answer; we say it once
            {
                *OURS,
                "$ai_cache_reporting_exclusive",
                "$ai_total_cost_usd",  # it reads no `usage.cost`
                "$ai_input_cost_usd",
                "$ai_output_cost_usd",
                "$ai_cache_read_input_tokens",  # 0: OpenRouter said so, and unknown is not 0 here
                "$ai_cache_creation_input_tokens",
                "$ai_reasoning_tokens",
            },
            {
                *DIFFERENT,
                "$ai_provider",  # it says whose client this is, we say who answered
                "$ai_output_choices/0/content/0/id",  # of another call
                "$ai_output_choices/0/content/0/function/arguments",  # the same JSON, spaced otherwise
            },
        )
        assert _compare(sent[1], our_refused["properties"]) == (
            {
                "$ai_provider",  # nobody answered
                "$ai_output_choices",  # it says that there are none
            },
            {*OURS, "$ai_error_type", "openrouter_requested_model", "openrouter_outcome"},
            {*DIFFERENT, "$ai_error"},
        )
        assert refused["properties"]["$ai_error"] == f"Error code: 429 - {our_refused['properties']['$ai_error']}"
        calls = [event["properties"]["$ai_output_choices"][0]["content"][0]["function"] for event in (fine, our_fine)]
        assert json.loads(calls[0]["arguments"]) == json.loads(calls[1]["arguments"])
        assert fine["properties"]["$ai_usage"]["cost"] == our_fine["properties"]["$ai_total_cost_usd"]

    def _by_us(self, sim: Simulator, server: Server, body: dict[str, Any]) -> list[Any]:
        """Make the calls as the OpenAI client does, with a destination of ours."""
        exporter = make(PostHog, api_key="phc_key", endpoint=server.url)
        orobserve.instrument(hosts=[sim.url], enrichment="never", console=False, destinations=[exporter])
        said = {**body, "user": CALL["user"], "trace": {"trace_id": "workflow_12345"}}
        with httpx.Client(base_url=sim.url, trust_env=False) as client:
            for scenario in vendors.SCENARIOS:
                headers = {"authorization": "Bearer sk-or-v1-key", "x-simulator-scenario": scenario}
                client.post("/chat/completions", json=said, headers=headers)
        assert orobserve.flush()
        return [event for taken in server.requests for event in json.loads(taken.body)["batch"]]


@_needs("raindrop")
class TestRaindrop:
    def test_an_event_as_the_sdk_tracks_it(self, tmp_path: Path) -> None:
        request = make(Raindrop, write_key="rd-key").encode([FINE])
        (event,) = json.loads(request.body)
        with Server(204) as server:
            vendors.run(
                "raindrop",
                server.url,
                event["event_id"],
                event["timestamp"],
                json.dumps(event["properties"]),
                folder=tmp_path,
            )
        tracked, identified = sorted(server.requests, key=lambda taken: taken.path)
        assert request.url.endswith(tracked.path)
        for name in ("Authorization", "Content-Type"):
            assert tracked.headers[name.lower()] == request.headers[name]
        (theirs,) = json.loads(tracked.body)
        added = {"attachments", *(path for path, _ in _leaves(theirs) if path.startswith("properties/$context"))}
        assert _compare(theirs, event) == (added, set(), {"timestamp"})
        assert theirs["timestamp"].removesuffix("000Z") == event["timestamp"].removesuffix("Z")
        assert event["event_id"] == event_id(FINE.trace_id, FINE.span_id)
        probe = make(Raindrop, write_key="rd-key").probe()
        assert probe.url.endswith(identified.path)
        assert json.loads(identified.body) == json.loads(probe.body)
