"""Firehose: what arrives in the bucket behind a stream; what is sent again; what errors mean."""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import Verdict
from orobserve.delivery.settings import Shared, resolve
from orobserve.generation import Request, Trace
from orobserve_exporters._row import COLUMNS
from orobserve_exporters.firehose import Firehose
from tests.delivery.servers import Answer, Ending, Server
from tests.exporters.generations import CHAT, SAMPLES
from tests.exporters.stores import calls, config, deliver

if TYPE_CHECKING:
    from tests.exporters.stores import Moto

pytest.importorskip("boto3", reason="no boto3: it is in the tox environment `warehouses`")

TAKEN = Answer(body=b'{"FailedPutCount": 0, "RequestResponses": []}')
ACTIVE = Answer(body=b'{"DeliveryStreamDescription": {"DeliveryStreamStatus": "ACTIVE"}}')


def _make(url: str, stream: str = "calls", **settings: Any) -> Firehose:
    return Firehose(config(Firehose, url, stream_name=stream, **settings))


def _error(status: int, code: str) -> Answer:
    body = json.dumps({"__type": code, "message": "canary"}).encode()
    return Answer(status, {"content-type": "application/x-amz-json-1.1", "x-amzn-errortype": code}, body)


def _part(*codes: str | None) -> Answer:
    entries = [{"ErrorCode": code, "ErrorMessage": "canary"} if code else {"RecordId": "r"} for code in codes]
    failed = sum(code is not None for code in codes)
    return Answer(body=json.dumps({"FailedPutCount": failed, "RequestResponses": entries}).encode())


def _spans(server: Server) -> list[list[int]]:
    """Return the numbers of the calls in each request."""
    bodies = [json.loads(request.body)["Records"] for request in server.requests]
    return [[int(json.loads(base64.b64decode(item["Data"]))["SPAN_ID"], 16) for item in items] for items in bodies]


def test_rows_arrive_as_lines_in_the_bucket(moto: Moto) -> None:
    bucket = moto.bucket()
    exporter = _make(moto.url, moto.stream(bucket), service_name="shop", entity_id="workspace-1")
    state = deliver(exporter, *SAMPLES.values())
    assert (state.delivered, state.retried) == (len(SAMPLES), 0)
    (lines,) = moto.objects(bucket).values()
    assert lines.endswith(b"\n")
    rows = [json.loads(line) for line in lines.splitlines()]
    assert all(list(row) == [column.name for column in COLUMNS] for row in rows)
    chat = rows[0]
    assert chat["TRACE_ID"] == "workflow_12345"
    assert chat["START_TIME"] == "2026-11-22T19:22:59.563896Z"
    assert datetime.fromisoformat(chat["END_TIME"].replace("Z", "+00:00")).tzinfo is not None
    assert (chat["TOTAL_COST"], chat["INPUT_COST"], chat["PROMPT_TOKENS"]) == (0.0042, None, 1000)
    assert chat["METADATA"]["team"] == "growth"
    assert chat["INPUT"]["messages"][1]["content"] == "Summarise the report."
    assert chat["RESOURCE_ATTRIBUTES"] == {"service.name": "shop"}
    assert chat["ENTITY_ID"] == "workspace-1"
    by_name = dict(zip(SAMPLES, rows, strict=True))
    assert by_name["unpriced"]["TOTAL_COST"] is None
    assert by_name["free"]["TOTAL_COST"] == 0
    assert by_name["private"]["INPUT"] is by_name["private"]["OUTPUT"] is None


def test_no_record_and_no_call_is_larger_than_firehose_takes() -> None:
    with Server(TAKEN) as server:
        state = deliver(_make(server.url), *(replace(call, content=SAMPLES["huge"].content) for call in calls(12)))
    assert state.delivered == 12
    assert list(chain(*_spans(server))) == list(range(1, 13))
    assert len(server.requests) > 1
    for request in server.requests:
        records = [item["Data"] for item in json.loads(request.body)["Records"]]
        assert max(len(base64.b64decode(record)) for record in records) <= 1000 * 1024
        assert sum(map(len, records)) <= 4 * 1024 * 1024


def test_more_records_than_a_call_takes_are_severalcalls() -> None:
    exporter = _make("http://127.0.0.1:1")
    assert exporter.LIMITS.items == 500
    with Server(TAKEN) as server:
        assert _make(server.url).export(calls(501)).verdict is Verdict.DELIVERED
    assert [len(spans) for spans in _spans(server)] == [500, 1]


def _with_metadata(size: int) -> Request:
    return Request(model="m", trace=Trace(metadata={f"key{n}": "x" * (size // 8) for n in range(8)}))


def test_a_record_that_is_too_large_loses_its_content_and_then_itself() -> None:
    content = SAMPLES["huge"].content
    with Server(TAKEN) as server:
        exporter = _make(server.url)
        heavy = replace(CHAT, request=_with_metadata(800_000), content=content, span_id=f"{1:016x}")
        heavier = replace(CHAT, request=_with_metadata(2_000_000), content=None, span_id=f"{2:016x}")
        light = replace(CHAT, span_id=f"{3:016x}")
        state = deliver(exporter, heavy, heavier, light)
    assert _spans(server) == [[1, 3]]
    assert (state.delivered, state.rejected) == (2, 1)
    first = json.loads(base64.b64decode(json.loads(server.requests[0].body)["Records"][0]["Data"]))
    assert first["INPUT"] is first["OUTPUT"] is None
    result = exporter.export([heavier])
    assert (result.verdict, result.rejected) == (Verdict.DELIVERED, 1)
    assert "1000 KiB" in result.reason
    assert len(server.requests) == 1


def test_only_what_was_not_taken_is_sent_again() -> None:
    busy, broken = "ServiceUnavailableException", "InternalFailure"
    with Server(_part(None, busy, None, broken, None), _part(busy, None), _part(busy), TAKEN) as server:
        state = deliver(_make(server.url), *calls(5))
    assert (state.delivered, state.retried, state.dropped) == (5, 3, {})
    assert _spans(server) == [[1, 2, 3, 4, 5], [2, 4], [2], [2]]
    data = [json.loads(request.body)["Records"] for request in server.requests]
    assert data[0][1] == data[1][0] == data[2][0]
    assert state.last_error == f"the stream has not taken all records ({busy})"


def test_a_call_that_fails_between_others_sends_no_record_twice() -> None:
    heavy = [replace(call, content=SAMPLES["huge"].content) for call in calls(10)]
    with Server(TAKEN, _error(503, "ServiceUnavailableException"), TAKEN) as server:
        state = deliver(_make(server.url), *heavy)
    assert state.delivered == 10
    sent = _spans(server)
    assert sent[1] == sent[2]
    del sent[1]
    assert list(chain(*sent)) == list(range(1, 11))


def test_what_is_refused_after_others_were_taken_is_counted() -> None:
    heavy = [replace(call, content=SAMPLES["huge"].content) for call in calls(5)]
    with Server(TAKEN, _error(400, "AccessDeniedException")) as server:
        state = deliver(_make(server.url), *heavy)
    taken = len(_spans(server)[0])
    assert (state.delivered, state.rejected) == (taken, 5 - taken)
    assert "firehose:PutRecordBatch" in str(state.last_error)


def test_the_same_batch_may_be_sent_again_once_it_is_delivered() -> None:
    with Server(TAKEN) as server:
        exporter, sent = _make(server.url), calls(2)
        for _ in range(2):
            assert exporter.export(sent).verdict is Verdict.DELIVERED
    assert _spans(server) == [[1, 2], [1, 2]]


@pytest.mark.parametrize(
    ("answer", "verdict", "said"),
    [
        (_error(400, "ResourceNotFoundException"), Verdict.REJECTED, "check stream_name"),
        (_error(400, "AccessDeniedException"), Verdict.REJECTED, "firehose:PutRecordBatch"),
        (_error(400, "UnrecognizedClientException"), Verdict.REJECTED, "check access_key_id"),
        (_error(400, "InvalidSignatureException"), Verdict.REJECTED, "check secret_access_key"),
        (_error(400, "ExpiredTokenException"), Verdict.REJECTED, "session_token"),
        (_error(400, "InvalidArgumentException"), Verdict.REJECTED, "InvalidArgumentException, HTTP 400"),
        (_error(400, "ThrottlingException"), Verdict.RETRY, "ThrottlingException"),
        (_error(503, "ServiceUnavailableException"), Verdict.RETRY, "ServiceUnavailableException"),
        (Answer(500), Verdict.RETRY, "HTTP 500"),
        (Answer(ending=Ending.CLOSE), Verdict.RETRY, "no answer"),
    ],
    ids=lambda value: f"{value.status}-{value.ending.value}" if isinstance(value, Answer) else None,
)
def test_what_answers_mean(answer: Answer, verdict: Verdict, said: str) -> None:
    with Server(answer) as server:
        exporter = _make(server.url)
        found = exporter.export([CHAT]), exporter.check()
    for result in found:
        assert result.verdict is verdict
        assert said in result.reason
        assert "canary" not in result.reason
        assert "AKIA" not in result.reason
    assert len(server.requests) == 2  # botocore repeats nothing


def test_the_check_asks_for_the_state() -> None:
    creating = Answer(body=ACTIVE.body.replace(b"ACTIVE", b"CREATING"))
    denied = _error(400, "AccessDeniedException")
    with Server(ACTIVE, creating, denied) as server:
        exporter = _make(server.url)
        ready, early, refused = (exporter.check() for _ in range(3))
    assert ready.verdict is Verdict.DELIVERED
    assert (early.verdict, early.reason) == (Verdict.REJECTED, "the stream is not ACTIVE but CREATING")
    assert "firehose:DescribeDeliveryStream" in refused.reason
    assert {request.headers["x-amz-target"] for request in server.requests} == {
        "Firehose_20150804.DescribeDeliveryStream"
    }


def test_a_stream_that_is_not_there(moto: Moto) -> None:
    exporter = _make(moto.url, "nowhere")
    assert "check stream_name" in exporter.check().reason
    assert deliver(exporter, CHAT).dropped == {"rejected": 1}


def test_connections_are_not_shared_with_a_forked_process() -> None:
    with Server(TAKEN) as server:
        exporter = _make(server.url)
        exporter.export([CHAT])
        exporter._process = -1
        exporter.export([CHAT])
        exporter.close()
    first, second = server.requests
    assert first.connection != second.connection


def test_without_boto3_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    with pytest.raises(ValueError, match=r"pip install 'orobserve\[firehose\]'"):
        _make("http://127.0.0.1:1")


def test_without_a_region_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(ValueError, match="set region"):
        _make("", region=None)


def test_the_settings_of_aws(moto: Moto) -> None:
    environ = {
        "AWS_ENDPOINT_URL": moto.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "s",
    }
    given = {"type": "firehose", "config": {"streamName": moto.stream(moto.bucket())}}
    (found,) = resolve("destinations", [given], Shared(environ=environ))
    assert found.make().check().verdict is Verdict.DELIVERED  # type: ignore[union-attr]
