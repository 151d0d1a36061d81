"""The generic OTLP destinations, and those of our own: addresses, credentials, limits, what is written where."""

from __future__ import annotations

import base64
import json
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import HTTPExporter, HTTPResponse, Verdict
from orobserve.generation import Content, Message, Request, Text
from orobserve_exporters._messages import LIMIT, completion, fit, prompt
from orobserve_exporters._spans import as_json
from orobserve_exporters.console import Console
from orobserve_exporters.file import File
from orobserve_exporters.grafana import Grafana
from orobserve_exporters.newrelic import NewRelic
from orobserve_exporters.otel_collector import OTelCollector
from orobserve_exporters.ramp import Ramp
from orobserve_exporters.sentry import Sentry
from orobserve_exporters.webhook import Webhook
from tests.exporters.generations import CANARY, CHAT, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from orobserve.delivery import Exporter
    from orobserve_exporters._otlp import OTLPExporter

DSN = "https://public@o1.ingest.us.sentry.io/42"


def _make(kind: type[Exporter], **config: Any) -> Any:
    return kind({**{field.name: field.default for field in kind.FIELDS}, **config})


@pytest.mark.parametrize(
    ("exporter", "url"),
    [
        (_make(OTelCollector, endpoint="http://c:4318"), "http://c:4318/v1/traces"),
        (_make(OTelCollector, endpoint="http://c:4318/"), "http://c:4318/v1/traces"),
        (_make(OTelCollector, endpoint="https://c/custom?x=1"), "https://c/custom?x=1"),
        (_make(Webhook, url="https://hook.example.com/in"), "https://hook.example.com/in"),
        (_make(Ramp, api_key="k"), "https://api.ramp.com/developer/v1/ai-usage/openrouter"),
        (_make(NewRelic, license_key="k"), "https://otlp.nr-data.net/v1/traces"),
        (_make(NewRelic, license_key="k", region="eu"), "https://otlp.eu01.nr-data.net/v1/traces"),
        (
            _make(Grafana, api_key="k", instance_id="7"),
            "https://otlp-gateway-prod-us-west-0.grafana.net/otlp/v1/traces",
        ),
        (_make(Grafana, api_key="k", instance_id="7", base_url="https://g/otlp"), "https://g/otlp/v1/traces"),
        (
            _make(Grafana, api_key="k", instance_id="7", base_url="https://g/otlp/v1/traces/"),
            "https://g/otlp/v1/traces",
        ),
        (_make(Sentry, dsn=DSN), "https://o1.ingest.us.sentry.io/api/42/integration/otlp/v1/traces"),
        (
            _make(Sentry, dsn="https://k@s.corp:9000/pre/42"),
            "https://s.corp:9000/pre/api/42/integration/otlp/v1/traces",
        ),
        (
            _make(Sentry, dsn=DSN, otlp_endpoint="https://s/api/42/integration/otlp/"),
            "https://s/api/42/integration/otlp/v1/traces",
        ),
        (_make(Sentry, dsn=DSN, otlp_endpoint="https://s/my/traces"), "https://s/my/traces"),
    ],
)
def test_where_it_sends(exporter: OTLPExporter, url: str) -> None:
    assert exporter.url() == url
    assert exporter.encode([CHAT]).url == url


@pytest.mark.parametrize(
    ("exporter", "name", "value"),
    [
        (_make(OTelCollector, endpoint="http://c", headers={"X-Tenant": "t"}), "X-Tenant", "t"),
        (_make(Ramp, api_key="k"), "Authorization", "Bearer k"),
        (_make(Ramp, api_key="k", auth_scheme=""), "Authorization", "k"),
        (_make(NewRelic, license_key="k"), "api-key", "k"),
        (_make(Grafana, api_key="k", instance_id="7"), "Authorization", "Basic " + base64.b64encode(b"7:k").decode()),
        (_make(Sentry, dsn=DSN), "x-sentry-auth", "sentry sentry_key=public"),
    ],
)
def test_how_it_gets_in(exporter: HTTPExporter, name: str, value: str) -> None:
    assert exporter.encode([CHAT]).headers[name] == value
    assert exporter.probe().headers[name] == value


@pytest.mark.parametrize(
    ("kind", "config", "says"),
    [
        (OTelCollector, {"endpoint": "collector:4318"}, "endpoint must be a full address"),
        (Webhook, {"url": "ftp://a"}, "url must be a full address"),
        (Sentry, {"dsn": "https://o1.ingest.us.sentry.io/42"}, "dsn must look like"),
        (Sentry, {"dsn": "https://key@o1.ingest.us.sentry.io/"}, "dsn must look like"),
        (Grafana, {"api_key": "k", "instance_id": "7", "base_url": "grafana.net"}, "base_url must be a full address"),
    ],
)
def test_settings_that_cannot_work_are_refused(kind: type[Exporter], config: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        _make(kind, **config)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_webhook_is_tested_as_broadcast_does(method: str) -> None:
    hook = _make(Webhook, url="http://h/in", method=method)
    probe = hook.probe()
    assert (probe.method, probe.body, probe.headers["X-Test-Connection"]) == (method, b'{"resourceSpans":[]}', "true")
    request = hook.encode([CHAT])
    assert (request.method, request.headers["Content-Type"], request.compress) == (method, "application/json", False)
    assert "X-Test-Connection" not in request.headers


@pytest.mark.parametrize(("status", "passes"), [(200, True), (202, True), (400, True), (401, False), (415, False)])
@pytest.mark.parametrize("kind", [Webhook, OTelCollector])
def test_which_probes_pass(kind: type[Exporter], status: int, passes: bool) -> None:
    judged = _make(kind, url="http://h", endpoint="http://h").judge_probe(HTTPResponse(status=status))
    assert (judged.verdict is Verdict.DELIVERED) == passes


def test_ramp_names_the_path_that_may_be_missing_and_leaves_messages_out_by_default() -> None:
    assert "/v1/traces" in _make(Ramp, api_key="k").judge_probe(HTTPResponse(status=404)).reason
    assert Ramp.PRIVATE
    assert not _make(Ramp, api_key="k").encode([CHAT]).compress


def test_new_relic_gets_no_value_that_it_would_cut() -> None:
    tags = {"long": "ü" * 5000, "n" * 300: 1, "many": "x"}
    request = Request(model="m", models=tuple(f"model-{number}" for number in range(100)))
    (span,) = _make(NewRelic, license_key="k").spans(replace(SAMPLES["huge"], tags=tags, request=request))
    texts = [value for value in span.attributes.values() if isinstance(value, str)]
    assert max(map(len, texts)) == 4095
    assert max(map(len, span.attributes)) <= 255
    assert max(len(value) for value in span.attributes.values() if isinstance(value, list)) == 64
    assert span.attributes["gen_ai.prompt.truncated"] is True
    assert "user.id.truncated" not in span.attributes


def test_broadcasts_names_stand_beside_ours() -> None:
    parent, span = _make(OTelCollector, endpoint="http://c").spans(CHAT)
    expected = {
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.input_tokens.cached": 600,
        "gen_ai.usage.input_tokens.cache_write": 100,
        "gen_ai.usage.output_tokens.reasoning": 50,
        "gen_ai.usage.total_tokens": 1200,
        "gen_ai.usage.total_cost": 0.0042,
        "gen_ai.usage.cost": 0.0042,
        "gen_ai.usage.input_cost": None,
        "openrouter.cost.total": 0.0042,
        "trace.name": "Nightly report",
        "span.type": "generation",
        "span.level": "DEFAULT",
        "session.id": "s-1",
        "user.id": "u-1",
        "trace.metadata.team": "growth",
        "span.metadata.team": "growth",
        "trace.metadata.openrouter.first_token_ms": 420.0,
        "trace.metadata.openrouter.finish_reason": "stop",
    }
    assert {name: span.attributes[name] for name in expected} == expected
    assert json.loads(span.attributes["gen_ai.prompt"])["messages"][-1]["content"] == "Summarise the report."
    answer = json.loads(span.attributes["gen_ai.completion"])
    assert answer == {"completion": "It went well.", "reasoning": "Read it first."}
    assert parent.attributes["trace.metadata.team"] == "growth"
    assert not [name for name in parent.attributes if "usage" in name or "cost" in name or "model" in name]


def test_sentry_gets_costs_and_messages_in_its_words() -> None:
    exporter = _make(Sentry, dsn=DSN)
    (span,) = exporter.spans(SAMPLES["split"])
    costs = {name: value for name, value in span.attributes.items() if name.startswith("gen_ai.cost.")}
    assert costs == {
        "gen_ai.cost.total_tokens": 0.003,
        "gen_ai.cost.input_tokens": 0.001,
        "gen_ai.cost.output_tokens": 0.002,
    }
    (span,) = exporter.spans(SAMPLES["tools"])
    answered = json.loads(span.attributes["gen_ai.input.messages"])[-1]["parts"][0]
    assert answered == {"type": "tool_call_response", "id": "call_0", "result": {"now": "noon"}}
    (span,) = exporter.spans(replace(SAMPLES["free"], tags={"environment": "prod", "release": "1.2"}))
    assert (span.attributes["sentry.environment"], span.attributes["sentry.release"]) == ("prod", "1.2")


def test_a_file_grows_by_lines_and_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    exporter = _make(File, path=str(path))
    assert exporter.check().verdict is Verdict.DELIVERED
    exporter.export([CHAT, SAMPLES["odd_text"]])
    exporter.export([SAMPLES["free"]])
    exporter.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first, second, end = path.read_bytes().split(b"\n")
    assert len(json.loads(first)["resourceSpans"][0]["scopeSpans"][0]["spans"]) == 3
    assert json.loads(second)
    assert end == b""


def test_a_file_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    exporter = _make(File, path=str(tmp_path / "missing" / "out.jsonl"))
    assert "No such file" in exporter.check().reason
    with pytest.raises(FileNotFoundError):
        exporter.export([CHAT])


@pytest.mark.parametrize("stream", ["stderr", "stdout"])
def test_the_console_gets_a_line_per_generation(stream: str, capsys: pytest.CaptureFixture[str]) -> None:
    _make(Console, stream=stream).export([CHAT, SAMPLES["error"]])
    said = capsys.readouterr()
    assert getattr(said, "stdout" if stream == "stderr" else "err", "") == ""
    chat, error = map(json.loads, getattr(said, stream.removeprefix("std")).splitlines())
    assert (chat["name"], chat["duration"], chat["attributes"]["openrouter.cost.total"]) == ("Summarise", 2.0, 0.0042)
    assert (error["outcome"], error["error"]) == ("failed", "Rate limit exceeded")
    assert "name" not in error


def test_a_process_without_a_terminal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    assert "no stderr" in _make(Console, stream="stderr").check().reason


def test_long_conversations_keep_their_structure_and_their_end() -> None:
    messages = tuple(Message(role="user", parts=(Text(content=f"{n} " + "x" * 9_000),)) for n in range(1000))
    last = Message(role="user", parts=(Text(content=CANARY),))
    content = Content(input=(*messages, last), output=(Message(role="assistant", parts=(Text(content="y" * 10**6),)),))
    asked, answered = prompt(content), completion(content)
    assert LIMIT - 1000 < len(as_json(asked).encode()) <= LIMIT
    assert asked[-1]["content"] == CANARY
    assert asked[0]["content"].endswith("…[truncated]")
    assert LIMIT / 3 < len(json.dumps(answered)) <= LIMIT
    assert fit([{"role": "user", "content": "z" * 500}], limit=10) == []
