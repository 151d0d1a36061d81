"""S3: what errors mean, by both clients, what survives them, and settings that cannot work."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import Verdict
from orobserve_exporters._bucket import ObstoreBucket
from orobserve_exporters.s3 import S3
from tests.delivery.servers import Answer, Ending, Server
from tests.exporters import stores
from tests.exporters.generations import CHAT
from tests.exporters.stores import calls, config, deliver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orobserve_exporters._bucket import Failure, Object
    from tests.exporters.stores import Moto

    Make = Callable[..., S3]

pytest.importorskip("boto3", reason="no boto3: it is in the tox environment `warehouses`")
pytest.importorskip("obstore", reason="no obstore: it is in the tox environment `warehouses`")

TAKEN = Answer(headers={"ETag": '"x"'}, body=b"")


def _xml(status: int, code: str) -> Answer:
    return Answer(status, body=f"<Error><Code>{code}</Code><Message>canary</Message></Error>".encode())


def test_a_bucket_that_is_not_there(moto: Moto, make: Make) -> None:
    exporter = make(moto.url, "nowhere")
    state = deliver(exporter, CHAT)
    assert state.dropped == {"rejected": 1}
    assert (
        state.last_error
        == "there is no such bucket: check bucket_name, then region and endpoint (NoSuchBucket, HTTP 404)"
    )
    assert exporter.check().verdict is Verdict.REJECTED


class Halfway:
    """A bucket whose server goes away in the middle of the first batch."""

    def __init__(self, inner: Any, end: Callable[[], None]) -> None:
        self._inner, self._end, self._begun = inner, end, False
        self.failed: list[int] = []

    def put(self, objects: Sequence[Object]) -> list[Failure | None]:
        half = len(objects) // 2 * (not self._begun)
        found = self._inner.put(objects[:half]) if half else []
        if not self._begun:
            self._begun = True
            self._end()
        found += self._inner.put(objects[half:])
        self.failed.append(sum(failure is not None for failure in found))
        return found

    def close(self) -> None:
        self._inner.close()


def test_a_server_that_dies_in_the_middle_gets_the_rest_when_it_is_back(tmp_path: Any, make: Make) -> None:
    first = stores.running(tmp_path)
    moto = first.__enter__()
    bucket = moto.bucket()
    exporter = make(moto.url, bucket)
    halfway = Halfway(exporter._bucket, lambda: first.__exit__(None, None, None))
    exporter._bucket = halfway
    waits, started = [], []

    def on_wait() -> None:
        waits.append(None)
        if len(waits) == 3 and halfway.failed:
            again = stores.running(tmp_path, moto.url)
            again.__enter__()
            started.append(again)
            client = moto.client("s3")
            client.create_bucket(Bucket=bucket)  # what it had in memory is gone
            client.close()

    try:
        state = deliver(exporter, *calls(40), on_wait=on_wait)
        assert (state.delivered, state.dropped) == (40, {})
        assert state.retried >= 2
        assert halfway.failed[0] == 20
        assert halfway.failed[-1] == 0
        assert len(moto.objects(bucket)) == 40
    finally:
        for server in started:
            server.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("answer", "verdict", "said"),
    [
        (_xml(403, "AccessDenied"), Verdict.REJECTED, "s3:PutObject on arn:aws:s3:::calls/openrouter-traces/*"),
        (_xml(403, "InvalidAccessKeyId"), Verdict.REJECTED, "check access_key_id"),
        (_xml(403, "SignatureDoesNotMatch"), Verdict.REJECTED, "check secret_access_key"),
        (_xml(403, "RequestTimeTooSkewed"), Verdict.REJECTED, "clock"),
        (_xml(400, "ExpiredToken"), Verdict.REJECTED, "session_token"),
        (_xml(400, "AuthorizationHeaderMalformed"), Verdict.REJECTED, "set region"),
        (_xml(301, "PermanentRedirect"), Verdict.REJECTED, "set region"),
        (_xml(404, "NoSuchBucket"), Verdict.REJECTED, "check bucket_name"),
        (_xml(400, "KeyTooLongError"), Verdict.REJECTED, "KeyTooLongError, HTTP 400"),
        (_xml(409, "ConditionalRequestConflict"), Verdict.RETRY, "ConditionalRequestConflict"),
        (_xml(400, "RequestTimeout"), Verdict.RETRY, "RequestTimeout"),
        (_xml(503, "SlowDown"), Verdict.RETRY, "HTTP 503"),
        (Answer(500), Verdict.RETRY, "HTTP 500"),
        (Answer(429), Verdict.RETRY, "HTTP 429"),
        (Answer(ending=Ending.CLOSE), Verdict.RETRY, "no answer"),
        (Answer(412, body=b""), Verdict.DELIVERED, ""),
        (Answer(304, body=b""), Verdict.DELIVERED, ""),
        (TAKEN, Verdict.DELIVERED, ""),
    ],
    ids=lambda value: f"{value.status}-{value.body[13:30]!r}" if isinstance(value, Answer) else None,
)
def test_what_answers_mean(make: Make, answer: Answer, verdict: Verdict, said: str) -> None:
    with Server(answer) as server:
        exporter = make(server.url)
        found = exporter.export([CHAT]), exporter.check()
        exporter.close()
    for result in found:
        assert result.verdict is verdict
        assert said in result.reason
        assert "canary" not in result.reason
        assert "AKIA" not in result.reason
    assert server.requests[0].headers["if-none-match"] == "*"
    assert server.requests[-1].path == "/calls/openrouter-traces/.orobserve-test"


@pytest.mark.parametrize("refusal", [_xml(501, "NotImplemented"), _xml(400, "InvalidArgument")], ids=["501", "400"])
def test_a_store_that_does_not_know_the_condition_is_asked_without_it(make: Make, refusal: Answer) -> None:
    with Server(refusal, TAKEN) as server:
        exporter = make(server.url)
        assert exporter.export([CHAT]).verdict is Verdict.DELIVERED
        assert exporter.export(calls(1)).verdict is Verdict.DELIVERED
    assert ["if-none-match" in request.headers for request in server.requests] == [True, False, False]


def test_what_failed_in_part_is_written_when_it_is_sent_again(make: Make) -> None:
    with Server(TAKEN, _xml(503, "SlowDown"), TAKEN) as server:
        state = deliver(make(server.url), *calls(3))
    assert (state.delivered, state.retried) == (3, 1)
    assert len(server.requests) == 6
    assert len({request.path for request in server.requests}) == 3


def test_what_will_never_be_taken_is_counted_and_the_rest_is_delivered(make: Make) -> None:
    with Server(TAKEN, _xml(403, "AccessDenied"), TAKEN) as server:
        state = deliver(make(server.url), *calls(3))
    assert (state.delivered, state.rejected, state.retried) == (2, 1, 0)
    assert "s3:PutObject" in str(state.last_error)


def test_headers_of_the_settings_are_sent() -> None:
    with Server(TAKEN) as server:
        S3({**config(S3, server.url, bucket_name="calls"), "headers": {"X-Tenant": "t"}}).export([CHAT])
    assert server.requests[0].headers["x-tenant"] == "t"


def test_a_machine_without_credentials_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with Server(404) as metadata, Server() as server:
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", metadata.url)
        exporter = S3(config(S3, server.url, bucket_name="calls", access_key_id=None, secret_access_key=None))
        result = exporter.check()
    assert not server.requests
    assert result.verdict is Verdict.RETRY
    assert "set access_key_id" in result.reason


def test_in_a_forked_process_boto3_takes_over(moto: Moto, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = S3(config(S3, moto.url, bucket_name=bucket))
    exporter._process = -1
    monkeypatch.setattr(ObstoreBucket, "process", -1)
    assert exporter.export([CHAT]).verdict is Verdict.DELIVERED
    assert not isinstance(exporter._bucket, ObstoreBucket)
    exporter.close()
    assert [item.key for item in exporter.objects([CHAT])] == list(moto.objects(bucket))
    exporter._process = -1
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    result = exporter.export([CHAT])
    assert result.verdict is Verdict.REJECTED
    assert "forked" in result.reason


def test_without_either_client_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    with pytest.raises(ValueError, match=r"pip install 'orobserve\[s3\]'"):
        S3(config(S3, "http://127.0.0.1:1", bucket_name="calls"))


def test_boto3_serves_where_obstore_is_missing(moto: Moto, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    exporter = S3(config(S3, moto.url, bucket_name=bucket))
    assert exporter.check().verdict is Verdict.DELIVERED
    assert deliver(exporter, CHAT).delivered == 1
    assert len(moto.objects(bucket)) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"path_template": "{prefix}/{hour}"}, r"\{hour\}.*\{prefix\}, \{date\}.*\{apiKeyName\}"),
        ({"path_template": "{date!r}"}, "one of"),
        ({"path_template": "{date"}, "not a template"),
        ({"path_template": "a/../{date}"}, "no part that is"),
        ({"prefix": "a\nb"}, "control characters"),
        ({"prefix": "p" * 700}, "shorten"),
        ({"bucket_name": "s3://calls"}, "bucket_name"),
        ({"region": "eu central"}, "region"),
        ({"session_token": "a\nb"}, "session_token"),
        ({"endpoint": "minio:9000"}, "endpoint"),
        ({"secret_access_key": None}, "both access_key_id and secret_access_key"),
    ],
)
def test_settings_that_cannot_work(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        S3({**config(S3, "http://127.0.0.1:1", bucket_name="calls"), **given})


def test_an_aws_variable_that_obstore_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "never")
    with pytest.raises(ValueError, match="AWS_"):
        S3(config(S3, "http://127.0.0.1:1", bucket_name="calls"))
