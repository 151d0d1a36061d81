"""No request hides inside another, none goes anywhere but to the upstream, and nobody calls with a key he has not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from orobserve.generation import Outcome
from tests.proxy.origin import SECONDS, Answered, connect, head, read, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve import Generation
    from tests.proxy.conftest import Running
    from tests.proxy.origin import Origin

CANARY = "sk-or-v1-canary0123456789abcdef"
TOKEN = "client-token-0123456789"
OK = [head(200, "Content-Length: 2"), b"{}"]
BODY = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def post(*headers: str, line: str = "POST /x HTTP/1.1", host: str = "Host: a") -> bytes:
    return "\r\n".join([line, *([host] if host else []), *headers, "", ""]).encode("latin-1")


REFUSED: dict[str, tuple[bytes, int]] = {
    "length and coding": (post("Content-Length: 4", "Transfer-Encoding: chunked") + BODY, 400),
    "coding and length": (post("Transfer-Encoding: chunked", "Content-Length: 4") + BODY, 400),
    "two lengths": (post("Content-Length: 4", "Content-Length: 40") + BODY, 400),
    "the same length twice": (post("Content-Length: 4", "Content-Length: 4") + BODY, 400),
    "list of lengths": (post("Content-Length: 4, 4") + BODY, 400),
    "signed length": (post("Content-Length: +4") + BODY, 400),
    "negative length": (post("Content-Length: -4") + BODY, 400),
    "hexadecimal length": (post("Content-Length: 0x4") + BODY, 400),
    "huge length": (post("Content-Length: 99999999999999999999999") + BODY, 400),
    "other coding": (post("Transfer-Encoding: gzip, chunked") + BODY, 400),
    "unknown coding": (post("Transfer-Encoding: xchunked") + BODY, 400),
    "coding twice": (post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + BODY, 400),
    "identity": (post("Transfer-Encoding: identity") + BODY, 400),
    "coding of HTTP/1.0": (post("Transfer-Encoding: chunked", line="POST /x HTTP/1.0") + BODY, 400),
    "blank before the colon": (post("Transfer-Encoding : chunked") + BODY, 400),
    "folded": (post("Transfer-Encoding:\r\n chunked") + BODY, 400),
    "odd name": (post("Transfer\x00Encoding: chunked") + BODY, 400),
    "NUL": (post("X: a\x00b"), 400),
    "bare CR": (post("X: a\rTransfer-Encoding: chunked") + BODY, 400),
    "bare LF": (b"POST /x HTTP/1.1\nHost: a\nContent-Length: 0\n\n", 400),
    "no host": (post(host=""), 400),
    "two hosts": (post("Host: b"), 400),
    "absolute form": (post(line="GET http://elsewhere.test/x HTTP/1.1"), 400),
    "CONNECT": (post(line="CONNECT elsewhere.test:443 HTTP/1.1"), 405),
    "asterisk": (post(line="OPTIONS * HTTP/1.1"), 400),
    "no slash": (post(line="GET x HTTP/1.1"), 400),
    "TRACE": (post(line="TRACE / HTTP/1.1"), 405),
    "unknown method": (post(line="STEAL / HTTP/1.1"), 400),
    "fragment": (post(line="GET /x#y HTTP/1.1"), 400),
    "not ASCII": (post(line="GET /\xe9 HTTP/1.1"), 400),
    "blank in the path": (post(line="GET /x y HTTP/1.1"), 400),
    "HTTP/0.9": (b"GET /x\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/3.7": (post(line="GET /x HTTP/3.7"), 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "long URL": (post(line=f"GET /{'a' * 9000} HTTP/1.1"), 414),
    "many headers": (post(*[f"X-{number}: 1" for number in range(200)]), 431),
    "long header": (post(f"X: {'a' * 70_000}"), 431),
    "long headers": (post(*[f"X: {'a' * 9000}"] * 9), 431),
    "endless header": (post()[:-2] + b"X: " + b"a" * 200_000, 431),
    "endless URL": (b"GET /" + b"a" * 200_000, 414),
    "long body": (post("Content-Length: 1000001"), 413),
    "long body, asked for": (post("Content-Length: 1000001", "Expect: 100-continue"), 413),
    "two keys": (post("Authorization: Bearer a", "Authorization: Bearer b"), 400),
}


@pytest.fixture
def limited(origin: Origin, start: Callable[..., Running]) -> Running:
    return start(origin.url, max_body=1_000_000)


def test_what_is_refused(limited: Running, origin: Origin) -> None:
    for name, (raw, status) in REFUSED.items():
        with connect(limited.port) as sock:
            sock.sendall(raw)
            answer = read(sock)
            assert answer.status == status, name
            told = json.loads(answer.body)["error"]
            assert (told["code"], answer.raw["content-type"]) == (answer.raw["x-orobserve-error"], "application/json")
    assert origin.requests == []


@pytest.mark.parametrize("size", ["-1", "0x2", "fffffffffffffffff", "2 ", "", "2;a=\n", "zz"])
def test_a_chunk_of_an_odd_size_ends_the_call(
    size: str, limited: Running, origin: Origin, records: Callable[[], list[Generation]]
) -> None:
    origin.play(OK, OK)
    with connect(limited.port) as sock:
        line = "POST /api/v1/chat/completions HTTP/1.1"
        sock.sendall(post("Transfer-Encoding: chunked", line=line) + size.encode() + b"\r\nab\r\n" + BODY)
        sock.settimeout(SECONDS)
        assert b"200 OK" not in b"".join(iter(lambda: sock.recv(4096), b""))
    limited.stop()
    assert [received.line for received in origin.requests if b"smuggled" in received.line] == []
    assert [record.outcome for record in records()] in ([], [Outcome.CANCELLED])


def test_trailers_are_no_headers(limited: Running, origin: Origin) -> None:
    origin.play(OK)
    limited.ask(post("Transfer-Encoding: chunked") + b"2\r\nab\r\n0\r\nAuthorization: Bearer x\r\n\r\n")
    assert origin.requests[0].body == b"ab"
    assert not origin.requests[0].header(b"authorization")


def test_pipelined_requests_are_answered_in_order(limited: Running, origin: Origin) -> None:
    origin.play(*[[head(200, "Content-Length: 1"), b"%d" % number] for number in range(3)])
    with connect(limited.port) as sock:
        sock.sendall(b"".join(request(path=f"/{number}", body=b"ab") for number in range(3)))
        seen = b""
        while seen.count(b"HTTP/1.1") < 3 or not seen.endswith(b"2"):
            seen += sock.recv(4096)
    assert [received.line[6:7] for received in origin.requests] == [b"0", b"1", b"2"]


def test_a_body_that_grows_too_long(limited: Running, origin: Origin) -> None:
    with connect(limited.port) as sock:
        sock.sendall(post("Transfer-Encoding: chunked") + b"%x\r\n%b\r\n" % (1_000_001, b"a" * 1_000_001))
        answer = read(sock)
    assert (answer.status, answer.raw["x-orobserve-error"]) == (413, "body_too_large")
    origin.gone.get(timeout=SECONDS)
    assert origin.requests == []


def test_after_a_refused_body_the_connection_goes_on(limited: Running, origin: Origin) -> None:
    origin.play(OK)
    with connect(limited.port) as sock:
        sock.sendall(post("Content-Length: 1000001"))
        assert read(sock).status == 413
        sock.sendall(b"a" * 1_000_001 + request("GET", "/x"))
        assert read(sock).body == b"{}"


def test_headers_that_do_not_come(origin: Origin, start: Callable[..., Running]) -> None:
    running = start(origin.url, header_timeout=0.2)
    origin.play(OK, OK)
    with connect(running.port) as sock:
        sock.sendall(request(body=b"ab"))
        assert read(sock).status == 200
        sock.sendall(b"GET /x HTTP/1.1\r\nX-Slow: ")
        assert read(sock).status == 408


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_another_protocol_is_offered_in_vain(body: bytes, limited: Running, origin: Origin) -> None:
    origin.play(OK)
    offer = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"]
    answer = limited.ask(request(headers=offer, body=body))
    assert (answer.status, answer.body, answer.closes) == (200, b"{}", False)
    (received,) = origin.requests
    assert (received.header(b"upgrade"), received.header(b"http2-settings")) == ([], [])
    assert received.body == body


@pytest.fixture
def guarded(origin: Origin, start: Callable[..., Running]) -> Running:
    return start(origin.url, listen="0.0.0.0:0", key=CANARY, tokens=f"another-token-0123456789,{TOKEN}")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ([f"Authorization: Bearer {TOKEN}"], {b"authorization": f"Bearer {CANARY}"}),
        ([f"authorization: bearer {TOKEN}"], {b"authorization": f"Bearer {CANARY}"}),
        ([f"X-Api-Key: {TOKEN}"], {b"x-api-key": CANARY}),
        ([f"X-Api-Key: {TOKEN}", "Authorization: Bearer else"], {b"x-api-key": CANARY}),
    ],
)
def test_a_token_is_replaced_by_the_own_key(
    given: list[str],
    sent: dict[bytes, str],
    guarded: Running,
    origin: Origin,
    records: Callable[[], list[Generation]],
) -> None:
    origin.play(OK)
    assert guarded.ask(request(headers=given, body=b'{"model": "a/b"}')).status == 200
    found = {name.lower(): value.decode() for name, value in origin.requests[0].headers}
    assert {name: found.get(name) for name in (b"authorization", b"x-api-key") if name in found} == sent
    guarded.stop()
    (record,) = records()
    assert TOKEN not in repr(record)
    assert CANARY not in repr(record)
    assert TOKEN not in guarded.log.getvalue()


@pytest.mark.parametrize(
    "given", [[], ["Authorization: Bearer wrong"], [f"Authorization: Bearer {TOKEN}x"], [f"Authorization: {CANARY}"]]
)
@pytest.mark.parametrize("path", ["/api/v1/chat/completions", "/api/v1/models", "/metrics"])
def test_without_a_token_nobody_calls(given: list[str], path: str, guarded: Running, origin: Origin) -> None:
    answer = guarded.ask(request("GET", path, given), "GET")
    assert (answer.status, answer.raw["x-orobserve-error"]) == (401, "unauthorized")
    assert CANARY.encode() not in answer.body
    assert origin.requests == []


def test_probes_need_no_token(guarded: Running) -> None:
    assert guarded.ask(request("GET", "/healthz"), "GET").status == 200
    assert guarded.ask(request("GET", "/readyz"), "GET").status == 200
    allowed = request("GET", "/metrics", [f"Authorization: Bearer {TOKEN}"])
    assert guarded.ask(allowed, "GET").status == 200


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request("GET", "/x").replace(b"client.test", b"127.0.0.1:4141"), 200),
        (request("GET", "/x").replace(b"client.test", b"localhost"), 200),
        (request("GET", "/x").replace(b"client.test", b"rebound.test"), 403),
        (request("GET", "/x", ["Origin: https://page.test"]).replace(b"client.test", b"127.0.0.1"), 403),
    ],
)
def test_web_pages_do_not_call_with_the_own_key(
    raw: bytes, status: int, origin: Origin, start: Callable[..., Running]
) -> None:
    origin.play(OK)
    assert start(origin.url, key=CANARY).ask(raw, "GET").status == status
    assert [received.header(b"authorization") for received in origin.requests] == (
        [[f"Bearer {CANARY}".encode()]] if status == 200 else []
    )


def test_nothing_secret_is_logged_or_told(
    origin: Origin, start: Callable[..., Running], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    running = start(origin.url, json=True)
    secret = request(
        path=f"/api/v1/chat/completions?api_key={CANARY}",
        headers=[f"Authorization: Bearer {CANARY}", f"X-Orobserve-User: {CANARY}", f"Cookie: {CANARY}"],
        body=json.dumps({"messages": [{"content": CANARY}]}).encode(),
    )
    origin.play(OK, lambda sock: None, lambda sock: sock.sendall(head(200, "Content-Length: 9") + CANARY.encode()[:3]))
    answers: list[Answered] = [running.ask(secret) for _ in range(3)]
    with connect(running.port) as sock:
        sock.sendall(secret.replace(b"Host: client.test", f"X: {CANARY}\0".encode()))
        answers.append(read(sock))
    running.stop()
    lines = [json.loads(line) for line in running.log.getvalue().splitlines()]
    assert [line["status"] for line in lines] == [200, 502, 200]
    assert {line["path"] for line in lines} == {"/api/v1/chat/completions"}
    told = running.log.getvalue() + caplog.text + "".join(repr(answer) for answer in answers)
    assert "canary" not in told
