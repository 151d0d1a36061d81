"""What every registered destination must do, whatever its payload looks like.

The payloads are compared with `golden/<type>.json`, which hold them decoded. After a change that is meant to be:
`OROBSERVE_GOLDEN=write pytest tests/exporters/test_conformance.py -k golden`, then read the difference.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from orobserve._version import __version__
from orobserve.delivery import DirectExporter, HTTPExporter, HTTPRequest, Verdict
from orobserve.delivery.destination import Destination
from orobserve.delivery.sender import Sender
from orobserve.generation import Content, Generation, Message, Text
from orobserve_exporters._row import COLUMNS
from tests.delivery.clocks import VirtualClock
from tests.delivery.servers import Answer, Ending, Server
from tests.exporters import postgres_server, stores
from tests.exporters.generations import CANARY, CHAT, SAMPLES
from tests.exporters.google_key import google_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from importlib.metadata import EntryPoint

    from orobserve.delivery import Conversation, Exporter, Field, HTTPResponse, Result
    from orobserve.delivery.state import State

WRITE = os.environ.get("OROBSERVE_GOLDEN") == "write"  # read here: tests run without such variables
GOLDEN = Path(__file__).parent / "golden"
GOLDEN_SAMPLES = ("chat", "tools", "error", "free", "named")
POINTS = {point.name: point for point in entry_points(group="orobserve.exporters")}
SECRET = "canary-secret-"
KEY_IN_BODY = {"middleware", "posthog"}  # they take the key in the body, by protocol
# Given where a dummy text would be refused; everything else is made from FIELDS.
GIVEN = {"dsn": f"https://{SECRET}dsn@o1.ingest.us.sentry.io/42"}
# By type: what is not required alone, but together with something else.
GIVEN_TOGETHER = {
    "bigquery": {"service_account_key": google_key()},
    "s3": {"access_key_id": "AKIA"},
    "firehose": {"access_key_id": "AKIA", "region": "us-east-1"},
    "postgres": {"url": f"postgresql://me:{SECRET}url@127.0.0.1:5432/calls"},
}
# By type of the direct exporters that need one: a server, which yields the settings that lead to it.
SERVERS: dict[str, Callable[[Path], AbstractContextManager[dict[str, Any]]]] = {
    "s3": stores.s3,
    "firehose": stores.firehose,
    "postgres": postgres_server.settings,
}


_COLUMNS = [column.name for column in COLUMNS]
# By type of those that ask before they deliver: what they are answered.
LEADS = {
    "clickhouse": [Answer(body="\n".join(f'{{"name":"{name}","type":"Nullable(X)"}}' for name in _COLUMNS).encode())],
    "snowflake": [
        Answer(
            body=json.dumps(
                {
                    "resultSetMetaData": {"rowType": [{"name": "name"}, {"name": "type"}, {"name": "null?"}]},
                    "data": [[name, "VARCHAR", "Y"] for name in _COLUMNS],
                }
            ).encode()
        )
    ],
    "bigquery": [
        Answer(body=b'{"access_token": "a-token", "expires_in": 3600}'),
        Answer(body=json.dumps({"schema": {"fields": [{"name": name} for name in _COLUMNS]}}).encode()),
    ],
}


def _config(kind: type[Exporter], folder: Path) -> dict[str, Any]:
    return {**{field.name: _value(field, folder) for field in kind.FIELDS}, **GIVEN_TOGETHER.get(kind.TYPE, {})}


def _value(field: Field, folder: Path) -> Any:
    if field.secret and field.name not in GIVEN:
        return f"{SECRET}{field.name}"
    if not field.required:
        return field.default
    if field.name.endswith(("url", "endpoint", "address", "host")):
        return "http://127.0.0.1:4318"
    dummies = {int: 42, float: 0.5, bool: True, dict: {}, str: (field.choices or (f"my-{field.name}",))[0]}
    return {**GIVEN, "path": str(folder / "out.jsonl")}.get(field.name, dummies[field.kind])


def _written(point: EntryPoint) -> bool:
    return importlib.util.find_spec(point.module) is not None


KINDS: dict[str, type[Exporter]] = {name: point.load() for name, point in POINTS.items() if _written(point)}


@pytest.fixture(params=sorted(POINTS))
def exporter(request: pytest.FixtureRequest, tmp_path: Path) -> Exporter:
    return _made(request.param, tmp_path)


@pytest.fixture(params=sorted(name for name, kind in KINDS.items() if issubclass(kind, HTTPExporter)))
def http(request: pytest.FixtureRequest, tmp_path: Path) -> HTTPExporter:
    made = _made(request.param, tmp_path)
    assert isinstance(made, HTTPExporter)
    return made


def _made(name: str, folder: Path, **settings: Any) -> Exporter:
    kind = KINDS.get(name)
    if kind is None:
        pytest.skip(f"{POINTS[name].module} is not written yet")
    try:
        return kind({**_config(kind, folder), **settings})
    except ValueError as error:
        if "pip install" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture
def encoded(exporter: Exporter, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that gives the decoded payload of a batch."""

    def payload(*batch: Generation) -> Any:
        if isinstance(exporter, HTTPExporter):
            found = [_decoded(request) for request in _requests(exporter, *batch)]
            return found[0] if len(found) == 1 else found
        assert isinstance(exporter, DirectExporter)
        if hasattr(exporter, "payloads"):  # it needs a server, but not to say what it would write
            return [json.loads(body) for body in exporter.payloads(batch)]
        path = Path(exporter.config.get("path") or os.devnull)
        path.write_bytes(b"")
        assert exporter.export(batch).verdict is Verdict.DELIVERED
        return [json.loads(line) for line in (path.read_text() + capsys.readouterr().err).split("\n") if line]

    return payload


def _requests(exporter: HTTPExporter, *batch: Generation) -> list[HTTPRequest]:
    """Return the requests that deliver a batch: one, or several in this order."""
    made: Any = exporter.encode(batch)
    return made if isinstance(made, list) else [made]


def _decoded(request: HTTPRequest) -> Any:
    if request.headers.get("Content-Type") == "application/x-protobuf":
        return _hex(json_format.MessageToDict(ExportTraceServiceRequest.FromString(request.body)))
    text = request.body.decode("utf-8")
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.split("\n") if line]


def _hex(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _hex(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_hex(item) for item in value]
    return base64.b64decode(value).hex() if key in {"traceId", "spanId", "parentSpanId"} else value


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Return all values by path; into attributes, and into texts that are JSON."""
    if isinstance(value, dict):
        if {"key", "value"} == set(value) and isinstance(value["key"], str):
            yield from _leaves(value["value"], f"{path}/{value['key']}")
            return
        for key, item in value.items():
            yield from _leaves(item, f"{path}/{key}")
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, path)
    else:
        yield path, value
        if isinstance(value, str) and value[:1] in {"{", "["}:
            try:
                yield from _leaves(json.loads(value), path)
            except ValueError:  # it only looks like JSON
                return


def _costs(payload: Any) -> list[float]:
    found = [(path, value) for path, value in _leaves(payload) if "cost" in path.lower()]
    return [value for _, value in found if isinstance(value, (int, float)) and not isinstance(value, bool)]


def test_every_name_is_the_type_of_its_exporter(exporter: Exporter, request: pytest.FixtureRequest) -> None:
    assert request.node.callspec.params["exporter"] == exporter.TYPE
    assert exporter.TITLE
    names = [field.name for field in exporter.FIELDS]
    assert len(names) == len(set(names))
    assert all(name.islower() and field.help for name, field in zip(names, exporter.FIELDS, strict=True))


@pytest.mark.parametrize("name", SAMPLES)
def test_it_encodes_within_its_limits_and_always_the_same(http: HTTPExporter, name: str) -> None:
    requests = _requests(http, SAMPLES[name])
    assert requests == _requests(http, SAMPLES[name])
    for request in requests:
        assert 0 < len(request.body) <= http.LIMITS.bytes
        assert urlsplit(request.url).scheme in {"http", "https"}
        assert all(text.isprintable() and text.isascii() for pair in request.headers.items() for text in pair)


def test_it_encodes_a_batch_of_everything(encoded: Any) -> None:
    assert encoded(*(sample for name, sample in SAMPLES.items() if name != "huge"))


_VALUE = re.compile(r'\{\s+("\w+Value": [^\n]*)\s+\}')


def _readable(value: Any) -> Any:
    """Return a payload with lists of attributes as objects."""
    if isinstance(value, dict):
        return {name: _readable(item) for name, item in value.items()}
    if not isinstance(value, list):
        return value
    if value and all(isinstance(item, dict) and set(item) == {"key", "value"} for item in value):
        found = {item["key"]: item["value"] for item in value}
        assert len(found) == len(value), "an attribute is there twice"
        return found
    return [_readable(item) for item in value]


def _head(request: HTTPRequest) -> dict[str, Any]:
    return {"method": request.method, "url": request.url, "headers": dict(request.headers)}


def test_the_payload_is_the_golden_one(exporter: Exporter, encoded: Any) -> None:
    found: dict[str, Any] = {}
    if isinstance(exporter, HTTPExporter):
        found["requests"] = [_head(request) for request in _requests(exporter, CHAT)]
        found["probe"] = _head(exporter.probe())
    found["payloads"] = {name: encoded(SAMPLES[name]) for name in GOLDEN_SAMPLES}
    text = _VALUE.sub(r"{\1}", json.dumps(_readable(found), indent=1, ensure_ascii=False))
    text = text.replace(f'"{__version__}"', '"VERSION"') + "\n"
    path = GOLDEN / f"{exporter.TYPE}.json"
    if WRITE:
        path.write_text(text)
    assert path.exists(), f"no golden payload of {exporter.TYPE}: see the top of this file"
    assert text == path.read_text()


def test_an_unknown_cost_is_absent(encoded: Any) -> None:
    assert not _costs(encoded(SAMPLES["unpriced"]))


def test_a_free_call_costs_the_number_zero(encoded: Any) -> None:
    costs = _costs(encoded(SAMPLES["free"]))
    assert costs, "a zero cost must not be left out"
    assert not any(costs)


@pytest.mark.parametrize(("name", "total"), [("chat", 0.0042), ("byok", 0.0105)])
def test_the_cost_is_what_the_call_cost_on_one_span(encoded: Any, name: str, total: float) -> None:
    assert total in _costs(encoded(SAMPLES[name]))


def test_odd_text_survives(encoded: Any) -> None:
    texts = [value for _, value in _leaves(encoded(SAMPLES["odd_text"])) if isinstance(value, str)]
    assert any("s-日本語" in text for text in texts)
    assert any("Ünï 👩‍👩‍👧" in text for text in texts)


def test_without_content_nothing_that_was_said_is_sent(encoded: Any) -> None:
    said = (Message(role="user", parts=(Text(content=CANARY),)),)
    full = replace(CHAT, content=Content(input=said, output=said, system=said[0].parts, tools=({"name": CANARY},)))
    assert CANARY in json.dumps(encoded(full)), "the test proves nothing"
    assert CANARY not in json.dumps(encoded(replace(full, content=None)))


def test_secrets_stay_in_headers(http: HTTPExporter) -> None:
    for request in (*_requests(http, CHAT), http.probe()):
        assert SECRET not in request.url
        if http.TYPE not in KEY_IN_BODY:
            assert SECRET.encode() not in request.body
            assert base64.b64encode(SECRET.encode())[:-2] not in request.body


class Rerouted(HTTPExporter):
    """An exporter whose requests go to a server of the test's."""

    def __init__(self, inner: HTTPExporter, address: str) -> None:
        super().__init__(inner.config)
        self._inner, self._address = inner, urlsplit(address)
        self.TYPE = inner.TYPE  # type: ignore[misc]
        self.LIMITS = inner.LIMITS  # type: ignore[misc]
        self.judge, self.judge_probe = inner.judge, inner.judge_probe  # type: ignore[method-assign]

    def reroute(self, request: HTTPRequest) -> HTTPRequest:
        parts = urlsplit(request.url)._replace(scheme=self._address.scheme, netloc=self._address.netloc)
        return replace(request, url=parts.geturl())

    def encode(self, batch: Sequence[Generation]) -> Any:
        made: Any = self._inner.encode(batch)
        return [self.reroute(request) for request in made] if isinstance(made, list) else self.reroute(made)

    def deliver(self, batch: Sequence[Generation]) -> Conversation:
        return self._reroute_all(self._inner.deliver(batch))

    def probe(self) -> HTTPRequest:
        return self.reroute(self._inner.probe())

    def examine(self) -> Conversation:
        return self._reroute_all(self._inner.examine())

    def _reroute_all(self, conversation: Conversation) -> Conversation:
        step = next(conversation)
        while True:
            answer = yield replace(step, request=self.reroute(step.request))
            try:
                step = conversation.send(answer)
            except StopIteration as end:
                return end.value


def _deliver(http: HTTPExporter, server: Server, *batch: Generation, requests: int = 0) -> tuple[State, VirtualClock]:
    """Deliver one batch and, when so many requests have come, shut down, twice.

    A single generation waits for no others, and no time passes; several wait for the shutdown.
    """
    clock = VirtualClock(skips=len(batch) == 1)
    destination = Destination("under-test", Rerouted(http, server.url), lambda sent: sent, clock=clock)
    for generation in batch:
        destination.offer(generation)
    server.wait(requests)
    for _ in range(2):
        destination.close(clock.now() + 10_000)
        assert destination.join(clock.now() + 10_000)
    return destination.state, clock


def _lead(http: HTTPExporter) -> list[Answer]:
    return LEADS.get(http.TYPE, [])


def _attempt(request: HTTPRequest, judge: Callable[[HTTPResponse], Result], timeout: float = 10.0) -> Result:
    sender = Sender(timeout=timeout)
    result = sender.attempt(request, judge)
    sender.close()
    return result


def test_what_is_accepted_is_delivered_once(http: HTTPExporter) -> None:
    lead = _lead(http)
    with Server(*lead, 200) as server:
        state, _ = _deliver(http, server, CHAT, SAMPLES["free"])
    made, taken = _requests(http, CHAT, SAMPLES["free"]), server.requests[len(lead) :]
    assert state.delivered == 2
    assert [request.body for request in taken] == [request.body for request in made]
    for name, value in made[0].headers.items():
        assert taken[0].headers[name.lower()] == value


def test_refused_credentials_are_not_tried_again(http: HTTPExporter) -> None:
    with Server(*_lead(http), 401) as server:
        state, _ = _deliver(http, server, CHAT)
    assert [taken.body for taken in server.requests].count(_requests(http, CHAT)[0].body) == 1
    assert state.dropped == {"rejected": 1}
    assert "401" in str(state.last_error)
    assert SECRET not in str(state.last_error)


def test_the_probe_tells_refused_credentials_and_a_wrong_path(http: HTTPExporter) -> None:
    with Server(401, 404) as server:
        probe = Rerouted(http, server.url).probe()
        refused, missing = (_attempt(probe, http.judge_probe) for _ in range(2))
    assert {refused.verdict, missing.verdict} == {Verdict.REJECTED}
    assert "refused" in refused.reason
    assert "path" in missing.reason
    assert SECRET not in refused.reason + missing.reason


@pytest.mark.parametrize(
    "answer", [Answer(429, {"Retry-After": "7"}), Answer(500), Answer(503)], ids=["429", "500", "503"]
)
def test_what_may_be_accepted_later_is_sent_again_unchanged(http: HTTPExporter, answer: Answer) -> None:
    lead = _lead(http)
    with Server(*lead, answer, 200) as server:
        state, clock = _deliver(http, server, CHAT, requests=len(lead) + 1 + len(_requests(http, CHAT)))
    assert state.delivered == state.retried == 1
    first, second, *_ = server.requests[len(lead) :]
    assert first.body == second.body
    if answer.status == 429:
        assert 7 in clock.waits


def test_a_batch_that_is_too_large_arrives_in_parts(http: HTTPExporter) -> None:
    lead = _lead(http)
    with Server(*lead, 413, 200) as server:
        state, _ = _deliver(http, server, CHAT, replace(CHAT, span_id="0a1b2c3d4e5f6099", id="gen-def"))
    assert state.delivered == 2
    assert len(server.requests) == len(lead) + 1 + 2 * len(_requests(http, CHAT))


def test_a_black_hole_is_tried_again_later(http: HTTPExporter) -> None:
    with Server(Answer(ending=Ending.BLACK_HOLE)) as server:
        rerouted = Rerouted(http, server.url)
        result = _attempt(_requests(rerouted, CHAT)[0], http.judge, timeout=0.2)
    assert result.verdict is Verdict.RETRY
    assert "no answer" in result.reason


def test_an_untrusted_certificate_is_not_accepted(http: HTTPExporter) -> None:
    with Server(tls=True) as server:
        result = _attempt(_requests(Rerouted(http, server.url), CHAT)[0], http.judge)
    assert not server.requests
    assert result.verdict is Verdict.REJECTED
    assert "certificate" in result.reason


@pytest.mark.parametrize("name", sorted(name for name, kind in KINDS.items() if issubclass(kind, DirectExporter)))
def test_direct_exporters_deliver_and_shut_down_twice(name: str, tmp_path: Path) -> None:
    with SERVERS.get(name, lambda _: nullcontext({}))(tmp_path) as settings:
        exporter, clock = _made(name, tmp_path, **settings), VirtualClock(skips=True)
        assert isinstance(exporter, DirectExporter)
        assert exporter.check().verdict is Verdict.DELIVERED
        destination = Destination("under-test", exporter, lambda generation: generation, clock=clock)
        destination.offer(CHAT)
        for _ in range(2):
            destination.close(clock.now() + 10_000)
            assert destination.join(clock.now() + 10_000)
    assert destination.state.delivered == 1


def test_a_call_that_only_a_span_of_others_tells_of(exporter: Exporter) -> None:
    """Neither the endpoint nor the server is known of it."""
    bare = replace(CHAT, api_type=None, server_address=None, server_port=None, id=None, trace_name=None)
    if isinstance(exporter, HTTPExporter):
        assert next(exporter.deliver([bare])).request.url
    elif exporter.TYPE in {"console", "file"}:
        assert exporter.export([bare]).verdict is Verdict.DELIVERED
