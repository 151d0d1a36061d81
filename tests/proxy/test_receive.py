"""The receiver on real sockets: what it takes, what it answers, and that a call arrives once."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from orobserve.cli.main import main
from orobserve.delivery.destination import Destination
from orobserve.delivery.hub import Hub
from orobserve.proxy.intake import Intake
from orobserve.proxy.receive import Receiver
from orobserve.proxy.seen import Seen
from orobserve.receivers import Receivers
from tests.delivery.exporters import Names, Updating
from tests.delivery.servers import Server
from tests.proxy.served import JSON, PROTOBUF, Served, broadcasts, hub_of, packed, request, span

if TYPE_CHECKING:
    from collections.abc import Iterator


BROADCAST = Path(__file__).parent / "broadcast.json"
CALL = json.dumps(request(broadcasts(1))).encode()
TOKEN = "canary-token-0123456789"


@pytest.fixture
def served() -> Iterator[Served]:
    with Served().running() as running:
        yield running


def test_broadcast_reaches_every_destination(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with Server() as server:
        hub = hub_of(
            {"type": "webhook", "config": {"url": f"{server.url}/hook"}},
            {"type": "file", "config": {"path": str(path)}},
        )
        with Served(hub).running() as served:
            answer = served.post(BROADCAST.read_bytes(), "/webhook")
            assert (answer.status_code, answer.content) == (200, b"{}")
            assert served.hub.flush(10)
        (taken,) = server.requests
    assert taken.body == path.read_bytes().rstrip(b"\n")
    (group,) = json.loads(taken.body)["resourceSpans"]
    spans = group["scopeSpans"][0]["spans"]
    assert [each["name"] for each in spans] == [
        "Nightly report",
        "Chapter 1",
        "Summarise",
        "provider attempt 1: Azure",
        "provider attempt 2: OpenAI",
    ]
    assert {each["traceId"] for each in spans} == {"7af15d27557f4b0547b66811c67d365d"}
    assert served.intake.counts == {"new": 1, "ignored": 4, "unreadable": 0}


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("path", ["/", "/webhook", "/v1/traces"])
def test_the_connection_test_of_broadcast(path: str, method: str, served: Served) -> None:
    for body, kind in ((b"", None), (b"", JSON), (b'{"resourceSpans":[]}', JSON), (b"{}", JSON), (CALL, JSON)):
        assert served.post(body, path, kind, method=method, x_test_connection="true").status_code == 200
    assert served.records == []


@pytest.mark.parametrize("kind", ["webhook", "otel-collector"])
def test_our_own_connection_test(kind: str, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    key, url = ("url", served.url) if kind == "webhook" else ("endpoint", f"{served.url}/v1/traces")
    (tmp_path / "orobserve.toml").write_text(f'[[destinations]]\ntype = "{kind}"\nconfig = {{ {key} = "{url}" }}\n')
    assert main(["test", kind, "--send-trace"]) == 0
    (record,) = served.records
    assert (record.name, record.request.user) == ("orobserve-test", "orobserve-test")


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/v1/logs", "POST", 404),
        ("/v1/metrics", "POST", 404),
        ("/webhook/", "POST", 404),
        ("/v1/traces", "GET", 405),
        ("/v1/traces", "OPTIONS", 405),
        ("/v1/traces", "DELETE", 405),
        ("/healthz", "GET", 200),
        ("/healthz", "HEAD", 200),
        ("/healthz", "POST", 404),
    ],
)
def test_where_and_how(path: str, method: str, status: int, served: Served) -> None:
    answer = served.post(b"", path, method=method)
    assert answer.status_code == status
    assert (answer.headers.get("allow") == "POST, PUT") == (status == 405)
    assert "access-control-allow-origin" not in answer.headers  # no page in a browser may send


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (JSON, 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON;charset=UTF-8", 200),
        ("application/jsonl", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
        (None, 415),
    ],
)
def test_content_types(kind: str | None, status: int, served: Served) -> None:
    assert served.post(request(span()), kind=kind).status_code == status
    assert len(served.records) == (status == 200)


def test_compressed(served: Served) -> None:
    document = json.dumps(request(broadcasts(1))).encode()
    several = gzip.compress(document[:100]) + gzip.compress(document[100:])
    for body, name in (
        (packed(request(broadcasts(2))), "gzip"),
        (packed(request(broadcasts(3))), "GZIP"),
        (several, "gzip"),
        (zlib.compress(json.dumps(request(broadcasts(4))).encode()), "deflate"),
        (json.dumps(request(broadcasts(5))).encode(), "identity"),
    ):
        assert served.post(body, content_encoding=name).status_code == 200
    assert sorted(record.id or "" for record in served.records) == ["gen-1", "gen-2", "gen-3", "gen-4", "gen-5"]


@pytest.mark.parametrize(
    ("body", "name", "status"),
    [
        (b"not gzip", "gzip", 400),
        (packed({})[:-4], "gzip", 400),
        (packed({}) + b"more", "gzip", 400),
        (packed({}), "", 400),
        (packed({}), "br", 415),
        (packed({}), "gzip, gzip", 415),
        (gzip.compress(b" " * 2_000_001), "gzip", 413),
        (gzip.compress(b" " * 1_000_000) * 3, "gzip", 413),
        (b" " * 2_000_001, "", 413),
    ],
    ids=["none", "cut", "tail", "undeclared", "brotli", "twice", "bomb", "chain of bombs", "large"],
)
def test_what_is_refused_of_bodies(body: bytes, name: str, status: int) -> None:
    with Served(body_limit=2_000_000).running() as served:
        answer = served.post(body, content_encoding=name)
        assert answer.status_code == status
        assert answer.json()["message"]
        assert served.post(request(span())).status_code == 200
    assert served.reports[0].reason


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"text"', b"\xff\xfe", b'{"resourceSpans": 5}', b'{"resourceSpans":[5]}']
)
def test_malformed(body: bytes, served: Served) -> None:
    answer = served.post(body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, JSON)
    assert served.records == []


def test_it_answers_in_the_encoding_of_the_request(served: Served) -> None:
    answer = served.post(b"\x0a\xff", kind=PROTOBUF)
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROTOBUF)
    assert Status.FromString(answer.content).message
    answer = served.post(b"", kind=PROTOBUF)
    assert (answer.status_code, answer.content) == (200, b"")
    assert not ExportTraceServiceResponse.FromString(answer.content).HasField("partial_success")


def test_partial_success(served: Served) -> None:
    answer = served.post(request(broadcasts(1), span(traceId="zz"), span(spanId="0" * 16), broadcasts(2)))
    assert answer.status_code == 200
    partial = answer.json()["partialSuccess"]
    assert partial == {"rejectedSpans": "2", "errorMessage": "traceId is not 32 hex digits, or all of them are 0"}
    assert len(served.records) == 2
    (report,) = served.reports
    assert (report.spans, report.records, report.rejected) == (2, 2, 2)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (TOKEN, 401),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN}x", 401),
        ("Bearer ünï", 401),
        ("", 401),
    ],
)
def test_the_token(authorization: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Served(token=TOKEN).running() as served:
        headers: Any = {"authorization": authorization.encode()} if authorization else {}
        answer = served.post(request(span()), **headers)
        assert served.post(b"", "/healthz", method="GET").status_code == 200
    assert answer.status_code == status
    assert (answer.headers.get("www-authenticate") == "Bearer") == (status == 401)
    assert len(served.records) == (status == 200)
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert TOKEN not in f"{ours} {served.reports} {answer.text}"


def test_other_spans_are_ignored(served: Served) -> None:
    others = [
        span({"http.request.method": "GET", "server.address": "openrouter.ai"}),
        span({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "server.address": "api.openai.com"}),
        span({"gen_ai.operation.name": "invoke_agent", "server.address": "openrouter.ai"}),
        span({"gen_ai.operation.name": "execute_tool", "gen_ai.provider.name": "openrouter"}),
    ]
    assert served.post(request(*others)).json() == {}
    assert (served.records, served.intake.counts["ignored"]) == ([], 4)


def test_all_spans_that_stand_for_calls() -> None:
    with Served(every=True).running() as served:
        given = {"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.usage.cost": 0.5}
        served.post(request(span(given), span({"gen_ai.operation.name": "execute_tool"}, spanId="1" * 16)))
    (record,) = served.records
    assert (record.provider, record.server_address, record.cost) == ("openai", None, None)  # nobody was billed that


def test_a_call_comes_once(served: Served) -> None:
    ours = span(
        {
            "openrouter.api.type": "chat_completions",
            "openrouter.generation.id": "gen-1",
            "gen_ai.operation.name": "chat",
            "server.address": "openrouter.ai",
            "server.port": 443,
        }
    )
    for document in (request(ours, broadcasts(1)), request(broadcasts(1)), request(span()), request(span())):
        assert served.post(document).status_code == 200
    assert [record.id for record in served.records] == ["gen-1", None]
    assert served.intake.counts["known"] == 3


def test_what_was_captured_here_does_not_come_again() -> None:
    seen, records = Seen(), []
    intake = Intake(Receivers(), seen=seen, listen=records.append)
    first, unreadable = Intake(Receivers()).read([])
    assert (first, unreadable) == ([], 0)
    receiver = Receiver(intake)
    served = Served()
    assert asked(Receiver(served.intake), json.dumps(request(broadcasts(7))).encode())[0] == 200
    seen.add(served.records[0])  # what the proxy would do
    assert asked(receiver, json.dumps(request(broadcasts(7), broadcasts(8))).encode())[0] == 200
    assert [record.id for record in records] == ["gen-8"]


def test_a_span_that_knows_more_is_an_update() -> None:
    with Server() as plain, Server() as updating:
        hub = Hub(
            [
                Destination("plain", Names(plain.url), lambda record: record),
                Destination("updating", Updating(updating.url), lambda record: record),
            ]
        )
        with Served(hub).running() as served:
            served.post(request(broadcasts(1), scope="openrouter"))
            assert hub.flush(10)
            later = broadcasts(1, **{"gen_ai.usage.total_cost": 0.25})
            served.post(request({**later, "spanId": "2" * 16}))
            served.post(request(later))
            assert hub.flush(10)
        assert len(plain.requests) == 1
        assert len(updating.requests) == 2
    assert served.intake.counts["update"] == 1


def test_full_queues_make_the_sender_wait() -> None:
    with Server() as server:
        destination = Destination("slow", Names(server.url), lambda record: record, capacity=3, linger=3600.0)
        hub = Hub([destination])
        document = request(*(broadcasts(number, **{"trace.name": str(number)}) for number in range(1, 6)))
        with Served(hub).running() as served:
            answer = served.post(document)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert destination.state.queued == 3
            assert hub.flush(10)
            assert served.post(document).status_code == 200
            assert served.post(document).status_code == 200
            assert hub.flush(10)
            state = destination.state
    assert (state.delivered, state.dropped) == (5, {})


def test_it_waits_for_room_before_it_refuses() -> None:
    with Server() as server:
        hub = Hub([Destination("small", Names(server.url), lambda record: record, capacity=1, linger=0.0)])
        with Served(hub, patience=30.0).running() as served:
            assert served.post(request(*(broadcasts(number) for number in range(1, 8)))).status_code == 200
            assert hub.flush(10)
        assert sum(len(json.loads(taken.body)) for taken in server.requests) == 7


def asked(receiver: Receiver, body: bytes, *pieces: bytes, kind: str = JSON, **headers: str) -> tuple[int, bytes]:
    """Send a request to the application without a server; returns the status and the body."""
    parts = [body, *pieces]
    sent: list[Any] = []
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)} for number, part in enumerate(parts, 1)
    ]

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"content-type": kind, **{name.replace("_", "-"): text for name, text in headers.items()}}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/traces",
        "headers": [(name.encode(), text.encode()) for name, text in given.items()],
    }
    asyncio.run(receiver(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


@given(st.binary(max_size=300), st.sampled_from([JSON, PROTOBUF]), st.sampled_from(["", "gzip", "deflate"]))
def test_no_bytes_are_too_odd(body: bytes, kind: str, compression: str) -> None:
    served = Served()
    receiver = Receiver(served.intake)
    assert asked(receiver, body, kind=kind, content_encoding=compression)[0] in {200, 400}
    if kind == JSON:
        assert asked(receiver, gzip.compress(body), kind=kind, content_encoding="gzip")[0] in {200, 400}


def test_too_much_at_once_and_a_body_that_never_ends() -> None:
    receiver = Receiver(Served().intake, body_limit=1000)
    assert asked(receiver, b" " * 600, b" " * 600)[0] == 413
    assert receiver._held == 0
    receiver._held = 3900  # other requests
    assert asked(receiver, b" " * 200)[0] == 503
    assert receiver._held == 3900
    receiver._held = 0

    async def gone() -> Any:
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", JSON.encode())]
    asyncio.run(receiver({"type": "http", "method": "POST", "path": "/", "headers": headers}, gone, send))
    assert sent[0]["status"] == 400
    asyncio.run(receiver({"type": "websocket"}, gone, send))


@pytest.mark.swallows
def test_an_error_of_ours_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """A span that raises is rejected alone; anything else that raises is answered with 500."""
    served = Served()
    receiver = Receiver(served.intake)

    def fail(*_: Any) -> None:
        raise RuntimeError("secret prompt")

    monkeypatch.setattr("orobserve.proxy.intake.generation_of", fail)
    status, body = asked(receiver, json.dumps(request(span())).encode())
    assert (status, json.loads(body)["partialSuccess"]["rejectedSpans"]) == (200, "1")
    monkeypatch.setattr(served.intake, "read", fail)
    status, body = asked(receiver, b"{}")
    assert status == 500
    assert b"secret" not in body
