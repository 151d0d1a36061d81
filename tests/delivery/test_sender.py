"""One attempt at one request, against real servers; and probes."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

import orobserve
from orobserve._quiet import quiet
from orobserve._version import __version__
from orobserve.delivery import HTTPRequest, HTTPResponse, Result, Verdict
from orobserve.delivery.probe import probe
from orobserve.delivery.sender import Sender
from orobserve.telemetry import nested
from tests.delivery.clocks import EPOCH, VirtualClock
from tests.delivery.exporters import Names, Tables
from tests.delivery.servers import CERTIFICATE, Answer, Ending, Server, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Telemetry

SECRET = "sk-or-v1-0123456789abcdef"


@pytest.fixture
def sender() -> Iterator[Sender]:
    made = Sender(clock=VirtualClock(), chance=lambda: 0.0)
    yield made
    made.close()


def attempt(sender: Sender, url: str, **request: Any) -> Result:
    return sender.attempt(HTTPRequest(url=url, **({"body": b"hello"} | request)), Names("").judge)


def test_what_goes_out(sender: Sender) -> None:
    with Server() as server:
        for compress in (True, False):
            result = attempt(
                sender, server.url + "/v1?a=b", compress=compress, headers={"x-key": SECRET}, body=b"hello " * 100
            )
            assert result == Result(verdict=Verdict.DELIVERED)
        attempt(sender, server.url, body=b"", method="GET", headers={"User-Agent": "mine"})
    packed, plain, empty = server.requests
    assert (packed.method, packed.path, packed.headers["x-key"]) == ("POST", "/v1?a=b", SECRET)
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["user-agent"] == f"orobserve/{__version__}"
    assert packed.raw == gzip.compress(b"hello " * 100, 6, mtime=0)
    assert packed.body == plain.raw == b"hello " * 100
    assert "content-encoding" not in {**plain.headers, **empty.headers}
    assert (empty.method, empty.headers["user-agent"]) == ("GET", "mine")
    assert len({request.connection for request in server.requests}) == 1


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (202, Verdict.DELIVERED),
        (304, Verdict.REJECTED),
        (400, Verdict.REJECTED),
        (413, Verdict.TOO_LARGE),
        (503, Verdict.RETRY),
    ],
)
def test_statuses(sender: Sender, status: int, verdict: Verdict) -> None:
    with Server(status) as server:
        assert attempt(sender, server.url).verdict is verdict


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (format_datetime(datetime.fromtimestamp(EPOCH / 1e9 + 90, timezone.utc), usegmt=True), 90.0),
        ("soon", None),
    ],
)
def test_retry_after(sender: Sender, value: str, seconds: float | None) -> None:
    with Server(Answer(429, {"retry-after": value})) as server:
        assert attempt(sender, server.url) == Result(verdict=Verdict.RETRY, reason="HTTP 429", retry_after=seconds)


def test_an_exporters_own_retry_after_counts_more(sender: Sender) -> None:
    own = Result(verdict=Verdict.RETRY, reason="busy", retry_after=3.0)
    with Server(Answer(200, {"retry-after": "7"})) as server:
        assert sender.attempt(HTTPRequest(url=server.url), lambda _: own) is own


@pytest.mark.swallows
def test_an_answer_that_the_exporter_cannot_read(sender: Sender) -> None:
    def judge(_: HTTPResponse) -> Result:
        raise KeyError(SECRET)

    with Server() as server:
        result = sender.attempt(HTTPRequest(url=server.url), judge)
    assert result == Result(verdict=Verdict.REJECTED, reason="the answer could not be read")


def test_redirects_are_not_followed(sender: Sender) -> None:
    location = f"https://me:{SECRET}@eu.example.com/v1/traces?key={SECRET}"
    with Server(Answer(302, {"location": location}), Answer(308, {"location": "/other"})) as server:
        far, near = attempt(sender, server.url), attempt(sender, server.url + "/x?key=secret")
    assert far.verdict is near.verdict is Verdict.REJECTED
    assert far.reason == "the server redirects to https://eu.example.com/v1/traces (HTTP 302): check the URL"
    assert near.reason == f"the server redirects to {server.url}/other (HTTP 308): check the URL"
    assert len(server.requests) == 2


NETWORK = {
    Ending.CLOSE: "the server closed the connection, or does not speak HTTP: ",
    Ending.TORN: "the server closed the connection, or does not speak HTTP: ",
    Ending.NO_HTTP: "the server closed the connection, or does not speak HTTP: ",
}


@pytest.mark.parametrize("ending", NETWORK)
def test_broken_answers_are_tried_again(sender: Sender, ending: Ending) -> None:
    with Server(Answer(ending=ending)) as server:
        result = attempt(sender, server.url)
    assert result == Result(verdict=Verdict.RETRY, reason=NETWORK[ending] + server.url[7:])


def test_an_answer_that_cannot_be_decompressed(sender: Sender) -> None:
    with Server(Answer(200, {"content-encoding": "gzip"}, b"no gzip")) as server:
        assert attempt(sender, server.url).reason.startswith("the answer cannot be decompressed: 127.0.0.1:")


def test_nobody_listens(sender: Sender) -> None:
    url = free_port()
    result = attempt(sender, f"{url}?key={SECRET}")
    assert result == Result(verdict=Verdict.RETRY, reason=f"the connection is refused: {url[7:]}")


def test_an_unknown_name(sender: Sender) -> None:
    result = attempt(sender, f"http://me:{SECRET}@nowhere.invalid/{SECRET}?key={SECRET}")
    assert result == Result(verdict=Verdict.RETRY, reason="the name is not found by DNS: nowhere.invalid")


def test_a_black_hole_times_out() -> None:
    sender = Sender(timeout=0.05)
    with Server(Answer(ending=Ending.BLACK_HOLE)) as server:
        result = attempt(sender, server.url)
        sender.close()
    assert result == Result(verdict=Verdict.RETRY, reason=f"no answer from {server.url[7:]} within 0.05 s")


def test_another_failure_of_the_network_names_its_kind(sender: Sender) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    class Unreachable(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError(SECRET) from OSError("Network is unreachable")

    sender._client = httpx.Client(transport=Unreachable(), verify=False)
    result = attempt(sender, f"http://127.0.0.1:{port}")
    assert result == Result(verdict=Verdict.RETRY, reason=f"the connection failed (ConnectError): 127.0.0.1:{port}")


def test_a_certificate_that_nobody_trusts(sender: Sender) -> None:
    with Server(tls=True) as server:
        result = attempt(sender, server.url)
    assert result.verdict is Verdict.REJECTED
    assert result.reason.startswith(f"the TLS certificate of {server.url[8:]} is not trusted (self")
    assert "SSL_CERT_FILE" in result.reason


def test_a_certificate_that_the_environment_trusts(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with Server(tls=True) as server:
        assert attempt(sender, server.url).verdict is Verdict.DELIVERED


def test_tls_where_there_is_none(sender: Sender) -> None:
    with Server() as server:
        result = attempt(sender, server.url.replace("http:", "https:"))
    assert result == Result(verdict=Verdict.RETRY, reason=f"the TLS handshake failed: {server.url[7:]}")


def test_a_proxy_of_the_environment(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with Server(200, 407) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(variable, raising=False)
        assert attempt(sender, "http://intake.invalid/v1").verdict is Verdict.DELIVERED
        assert proxy.requests[0].path == "http://intake.invalid/v1"

        reason = attempt(sender, "https://intake.invalid/v1").reason
    assert proxy.requests[1].method == "CONNECT"
    assert reason == "the proxy does not let the request through: intake.invalid"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ALL_PROXY", "gopher://x"), ("SSL_CERT_FILE", __file__), ("HTTP_PROXY", "socks5://x")],
)
def test_an_environment_that_cannot_be_used(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    result = attempt(sender, "http://127.0.0.1:1")
    assert result.verdict is Verdict.REJECTED
    assert result.reason.startswith("the environment's proxies or certificates cannot be used (")


URL_REASON = "the URL cannot be used: check it and its scheme"
HEADER_REASON = "a header has characters that are not allowed in one"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"url": "ftp://x.invalid"}, URL_REASON),
        ({"url": "x.invalid/path"}, URL_REASON),
        ({"url": "http://127.0.0.1:port"}, URL_REASON),
        ({"url": "http://127.0.0.1:1", "headers": {"x-key": SECRET + "\u2026"}}, HEADER_REASON),
        ({"headers": {"x-key": SECRET + "\n"}}, HEADER_REASON),
    ],
)
def test_requests_that_cannot_be_made(sender: Sender, request_: dict[str, Any], reason: str) -> None:
    with Server() as server:
        assert attempt(sender, **({"url": server.url} | request_)) == Result(verdict=Verdict.REJECTED, reason=reason)


@pytest.mark.swallows
def test_a_request_of_the_wrong_types(sender: Sender) -> None:
    result = attempt(sender, "http://127.0.0.1:1", body=12)
    assert result == Result(verdict=Verdict.REJECTED, reason="the request could not be made; see the log")


def test_a_long_answer_is_not_read_to_its_end(sender: Sender) -> None:
    with Server(Answer(200, {}, b"x" * 3_000_000)) as server:
        response = sender.send(HTTPRequest(url=server.url))
    assert isinstance(response, HTTPResponse)
    assert response.body == b"x" * 1_000_000


def test_an_answer_that_drips_is_judged_by_what_came_in_time() -> None:
    class Hasty(VirtualClock):
        def now(self) -> float:
            self.seconds += 10.0
            return self.seconds

    sender, rest = Sender(clock=Hasty()), threading.Event()
    with Server(Answer(200, body=b"half" * 2, after_head=rest), 200) as server:
        response = sender.send(HTTPRequest(url=server.url))
        rest.set()
        assert isinstance(response, HTTPResponse)
        assert (response.status, response.body) == (200, b"half")
        assert attempt(sender, server.url).verdict is Verdict.DELIVERED
        sender.close()


@pytest.mark.parametrize(("chance", "delays"), [(0.0, [0.5, 1, 2, 4, 8, 15, 15]), (1.0, [1, 2, 4, 8, 16, 30, 30])])
def test_delays_double_up_to_a_limit(chance: float, delays: list[float]) -> None:
    sender = Sender(chance=lambda: chance)
    assert [sender.delay(attempts) for attempts in range(1, 8)] == delays
    assert sender.delay(10_000) == delays[-1]


def test_no_log_line_quotes_our_requests(sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, httpx.__name__), Server() as server:  # other tests may have set it
        with quiet():
            attempt(sender, f"{server.url}/?key={SECRET}")
        assert caplog.text == ""
        with httpx.Client() as client:
            client.get(server.url)
        assert server.url in caplog.text


def test_quiet_sets_what_ours_and_other_instrumentations_read() -> None:
    span = trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=False))
    with trace.use_span(span):
        with quiet():
            assert nested.suppressed()
            assert trace.get_current_span() is trace.INVALID_SPAN
        assert not nested.suppressed()
        assert trace.get_current_span() is span
    assert not otel_context.get_current()


def test_our_own_calls_are_not_observed(sender: Sender, telemetry: Telemetry, records: Callable[[], list[Any]]) -> None:
    with Server() as server:
        telemetry.instrument(hosts=[server.url[7:]])
        url = f"{server.url}/api/v1/chat/completions"
        with quiet():
            assert attempt(sender, url, body=b"{}").verdict is Verdict.DELIVERED
        assert (telemetry.spans, records()) == ([], [])
        attempt(sender, url, body=b"{}", compress=False)
        assert len(records()) == 1
        orobserve.uninstrument()


def test_a_probe_that_passes() -> None:
    clock = VirtualClock()
    with Server(Answer(200, {"date": "Sun, 22 Nov 2026 10:00:00 GMT"})) as server:
        found = probe(Names(server.url), clock=clock)
    assert found.result.verdict is Verdict.DELIVERED
    assert found.server_time == datetime(2026, 11, 22, 10, tzinfo=timezone.utc)
    assert found.elapsed == 0.0
    assert server.requests[0].method == "GET"


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_a_probe_without_the_servers_time(date: str) -> None:
    with Server(Answer(200, {"date": date})) as server:
        assert probe(Names(server.url)).server_time is None


@pytest.mark.parametrize(("status", "words"), [(401, "credentials"), (403, "permission"), (404, "no such path")])
def test_a_probe_says_what_to_change(status: int, words: str) -> None:
    with Server(status) as server:
        found = probe(Names(server.url))
    assert found.result.verdict is Verdict.REJECTED
    assert words in found.result.reason
    assert found.server_time is not None


def test_a_probe_without_an_answer() -> None:
    found = probe(Names(free_port()))
    assert found.result.reason.startswith("the connection is refused: ")
    assert found.server_time is None


def test_a_probe_times_out() -> None:
    with Server(Answer(ending=Ending.BLACK_HOLE)) as server:
        found = probe(Names(server.url), sender=Sender(timeout=0.05))
    assert found.result.reason.startswith("no answer from 127.0.0.1:")
    assert found.elapsed >= 0.05


def test_a_probe_of_a_client_of_its_own() -> None:
    refusal = Result(verdict=Verdict.REJECTED, reason="no such table")
    assert probe(Tables(lambda _: refusal)).result is refusal
    assert probe(Tables(lambda _: None)).result.verdict is Verdict.DELIVERED


@pytest.mark.swallows
def test_a_probe_that_raises() -> None:
    def refuse(_: object) -> None:
        raise ConnectionRefusedError(SECRET)

    assert probe(Tables(refuse)).result == Result(
        verdict=Verdict.REJECTED, reason="the check itself failed with ConnectionRefusedError"
    )
