"""HTTP/2 to the upstream: the same bytes, many calls on few connections, and a reset for each call that is left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from h2.errors import ErrorCodes

from orobserve.generation import Outcome
from tests.delivery.servers import CERTIFICATE
from tests.proxy.h2_origin import DONE, EVENT, H2Origin
from tests.proxy.origin import SECONDS, ask, chunked, connect, read, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orobserve import Generation
    from tests.proxy.conftest import Running

BODY = b'{"model": "openai/gpt-4o", "stream": true}'
CHAT = "/api/v1/chat/completions"


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


@pytest.fixture
def h2_origin() -> Iterator[H2Origin]:
    with H2Origin() as found:
        yield found


def test_a_call(h2_origin: H2Origin, start: Callable[..., Running], records: Callable[[], list[Generation]]) -> None:
    running = start(h2_origin.url, http2=True)
    given = [
        "Authorization: Bearer sk-or-v1-canary",
        "X-Twice: 1",
        "x-twice: 2",
        "X-Orobserve-User: ada",
        "TE: trailers",
    ]
    answer = running.ask(request(path=f"{CHAT}?q=1", headers=given, body=BODY))
    running.stop()
    assert (answer.status, answer.body, answer.raw["x-odd"]) == (200, EVENT + DONE, "1")
    sent = h2_origin.requests.get(timeout=SECONDS)
    assert sent[:4] == [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", h2_origin.url.removeprefix("https://").encode()),
        (b":path", f"{CHAT}?q=1".encode()),
    ]
    assert sent[4:] == [
        (b"authorization", b"Bearer sk-or-v1-canary"),
        (b"x-twice", b"1"),
        (b"x-twice", b"2"),
        (b"content-length", b"%d" % len(BODY)),
    ]
    (record,) = records()
    assert (record.outcome, record.request.user) == (Outcome.COMPLETE, "ada")


def test_many_calls_share_connections_and_none_waits_for_another(start: Callable[..., Running]) -> None:
    with H2Origin(most=10) as origin:
        running = start(origin.url, http2=True)
        held = [connect(running.port) for _ in range(25)]
        for sock in held:
            sock.sendall(request(path=f"{CHAT}?hold", body=BODY))
        for sock in held:
            while EVENT not in sock.recv(4096):
                pass
        with ThreadPoolExecutor(8) as pool:
            raw = request(path="/echo", body=b"ab" * 1000)
            bodies = list(pool.map(lambda _: ask(running.port, raw).body, range(40)))
        assert bodies == [b"ab" * 1000] * 40
        assert 3 <= origin.connections <= 5
        for sock in held:
            sock.close()
        for _ in held:
            assert origin.resets.get(timeout=SECONDS) == ErrorCodes.CANCEL


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_bodies_of_any_size(size: int, h2_origin: H2Origin, start: Callable[..., Running]) -> None:
    body = bytes(range(256)) * (size // 256) or b"x" * size
    running = start(h2_origin.url, http2=True)
    for _ in range(2):
        assert running.ask(request(path="/echo", body=body)).body == body
    with connect(running.port) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        sock.sendall(b"".join(chunked(body, [1, 70_000])))
        assert read(sock).body == body
    assert h2_origin.connections == 1


def test_a_slow_client_holds_up_nobody_else(h2_origin: H2Origin, start: Callable[..., Running]) -> None:
    running = start(h2_origin.url, http2=True)
    with connect(running.port) as sock:
        sock.sendall(request("GET", "/big"))
        assert sock.recv(10)
        for _ in range(3):
            assert running.ask(request(path="/echo", body=b"ab" * 500_000)).body == b"ab" * 500_000
        received = _drain(sock)
    assert received > 8_000_000
    assert h2_origin.connections == 1


def _drain(sock) -> int:
    received, tail = 0, b""
    while received < 8_000_000 or not tail.endswith(b"0\r\n\r\n"):
        tail = sock.recv(1 << 20)
        received += len(tail)
    return received


@pytest.mark.parametrize("path", ["/goaway", "/garbage"])
def test_a_fault_before_the_answer(path: str, h2_origin: H2Origin, start: Callable[..., Running]) -> None:
    running = start(h2_origin.url, http2=True)
    answer = running.ask(request(path=path, body=BODY))
    assert answer.status == 502
    assert answer.raw["x-orobserve-error"] in {"upstream_closed", "upstream_malformed"}
    assert running.ask(request(path="/echo", body=BODY)).body == BODY  # on another connection
    assert h2_origin.connections == 2


def test_a_reset_within_the_answer(h2_origin: H2Origin, start: Callable[..., Running]) -> None:
    running = start(h2_origin.url, http2=True)
    assert running.ask(request(path="/echo", body=BODY)).body == BODY
    assert not running.ask(request(path="/reset", body=BODY)).whole
    assert running.ask(request(path="/echo", body=BODY)).body == BODY
    assert h2_origin.connections == 1


def test_a_client_that_leaves(
    h2_origin: H2Origin, start: Callable[..., Running], records: Callable[[], list[Generation]]
) -> None:
    running = start(h2_origin.url, http2=True)
    with connect(running.port) as sock:
        sock.sendall(request(path=f"{CHAT}?hold", body=BODY))
        while EVENT not in sock.recv(4096):
            pass
    assert h2_origin.resets.get(timeout=SECONDS) == ErrorCodes.CANCEL
    running.stop()
    assert [record.outcome for record in records()] == [Outcome.CANCELLED]


def test_an_upstream_that_speaks_http_1_only(start: Callable[..., Running]) -> None:
    with H2Origin(protocols=("http/1.1",)) as origin:
        running = start(origin.url, http2=True)
        with ThreadPoolExecutor(4) as pool:
            raw = request("GET", "/x")
            assert {ask(running.port, raw, "GET").body for _ in pool.map(str, range(8))} == {b"HTTP/1.1"}


def test_without_being_asked_it_speaks_http_1(start: Callable[..., Running]) -> None:
    with H2Origin(protocols=("h2", "http/1.1")) as origin:
        assert start(origin.url).ask(request("GET", "/x"), "GET").body == b"HTTP/1.1"


def test_a_certificate_that_nobody_trusts(
    h2_origin: H2Origin, start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    answer = start(h2_origin.url, http2=True).ask(request(path="/echo", body=BODY))
    assert (answer.status, answer.raw["x-orobserve-error"]) == (502, "upstream_unreachable")
