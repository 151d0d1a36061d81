"""Whatever breaks, the client is told the truth, the upstream is not left running, and the call is recorded once."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from orobserve.generation import Outcome
from orobserve.testing import Failure, Scenario
from tests.proxy.origin import SECONDS, chunked, connect, head, read, request, reset

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve import Generation
    from orobserve.testing import Simulator
    from tests.proxy.conftest import Running
    from tests.proxy.origin import Origin

BODY = b'{"model": "openai/gpt-4o", "stream": true, "messages": []}'
STREAM = head(200, "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
EVENT = b'data: {"id":"gen-1","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
PIECE = chunked(EVENT, [1000])[0]


def silence(sock: socket.socket) -> None:
    """Say nothing until the other side leaves."""
    assert sock.recv(1) == b""


BEFORE: dict[str, tuple[Callable[[socket.socket], None], int, str]] = {
    "reset": (reset, 502, "upstream_closed"),
    "closed": (lambda sock: None, 502, "upstream_closed"),
    "silent": (silence, 504, "upstream_timeout"),
    "no HTTP": (lambda sock: sock.sendall(b"SSH-2.0-OpenSSH\r\n\r\n"), 502, "upstream_malformed"),
    "long head": (lambda sock: sock.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 400_000), 502, "upstream_malformed"),
    "status": (lambda sock: sock.sendall(head(999, "Content-Length: 0")), 502, "upstream_malformed"),
    "two lengths": (
        lambda sock: sock.sendall(head(200, "Content-Length: 5", "Transfer-Encoding: chunked") + b"hello"),
        502,
        "upstream_malformed",
    ),
    "torn head": (lambda sock: sock.sendall(b"HTTP/1.1 200 OK\r\nContent-"), 502, "upstream_closed"),
}


@pytest.mark.parametrize(("fault", "status", "code"), BEFORE.values(), ids=list(BEFORE))
def test_a_fault_before_the_answer(
    fault: Callable[[socket.socket], None],
    status: int,
    code: str,
    origin: Origin,
    start: Callable[..., Running],
    records: Callable[[], list[Generation]],
) -> None:
    running = start(origin.url, idle_timeout=0.3)
    origin.play(fault, [head(200, "Content-Length: 2"), b"{}"])
    with connect(running.port) as sock:
        sock.sendall(request(body=BODY))
        answer = read(sock)
        sock.sendall(request("GET", "/api/v1/key"))  # the client's connection goes on
        assert read(sock).body == b"{}"
    running.stop()
    assert (answer.status, answer.raw["x-orobserve-error"]) == (status, code)
    told = json.loads(answer.body)
    assert told["type"] == "error"
    assert told["error"]["code"] == code
    assert told["error"]["message"].startswith("the upstream")
    (record,) = records()
    assert (record.outcome, record.request.model, record.status_code) == (Outcome.FAILED, "openai/gpt-4o", None)
    assert record.error is not None
    assert record.error.transport
    assert code in running.log.getvalue()


@pytest.mark.parametrize("name", ["127.0.0.1", "nowhere.invalid"])
def test_no_connection(
    name: str,
    start: Callable[..., Running],
    records: Callable[[], list[Generation]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = start(f"http://{name}:{port}")
    answer = running.ask(request(body=BODY))
    running.stop()
    assert (answer.status, answer.raw["x-orobserve-error"]) == (502, "upstream_unreachable")
    (record,) = records()
    assert record.outcome is Outcome.FAILED
    assert record.error is not None
    assert record.error.type in {"builtins.ConnectionRefusedError", "socket.gaierror"}
    assert record.request.model == "openai/gpt-4o"


WITHIN: dict[str, Callable[[socket.socket], None]] = {
    "reset": reset,
    "closed": lambda sock: None,
    "silent": silence,
    "malformed": lambda sock: sock.sendall(b"zz\r\nwhat?\r\n"),
}


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("fault", WITHIN.values(), ids=list(WITHIN))
def test_a_fault_within_the_answer(
    fault: Callable[[socket.socket], None],
    version: str,
    origin: Origin,
    start: Callable[..., Running],
    records: Callable[[], list[Generation]],
) -> None:
    def play(sock: socket.socket) -> None:
        sock.sendall(STREAM + PIECE)
        assert origin.wait.wait(SECONDS)
        fault(sock)

    origin.play(play)
    running = start(origin.url, idle_timeout=0.5)
    with connect(running.port) as sock:
        sock.sendall(request(body=BODY).replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
        seen = b""
        while EVENT not in seen:
            seen += sock.recv(4096)
        origin.wait.set()
        try:
            rest = b"".join(iter(lambda: sock.recv(4096), b""))
            is_reset = False
        except ConnectionResetError:
            rest, is_reset = b"", True
    running.stop()
    assert b"0\r\n\r\n" not in rest
    assert is_reset or version == "1.1"  # without chunks, only a reset tells a torn answer from a whole one
    (record,) = records()
    assert record.outcome is Outcome.FAILED
    assert record.id == "gen-1"


def test_an_answer_that_is_shorter_than_its_length(
    origin: Origin, start: Callable[..., Running], records: Callable[[], list[Generation]]
) -> None:
    origin.play(lambda sock: sock.sendall(head(200, "Content-Length: 9") + b"{}"))
    running = start(origin.url)
    answer = running.ask(request(body=BODY))
    running.stop()
    assert (answer.body, answer.whole) == (b"{}", False)
    assert records()[0].outcome is Outcome.FAILED


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
def test_errors_of_the_upstream_pass_as_they_are(
    status: int, origin: Origin, start: Callable[..., Running], records: Callable[[], list[Generation]]
) -> None:
    body = b'{"error": {"code": 1, "message": "no"}}'
    origin.play([head(status, f"Content-Length: {len(body)}", "Retry-After: 3"), body])
    running = start(origin.url)
    answer = running.ask(request(body=BODY))
    running.stop()
    assert (answer.status, answer.body, answer.raw["retry-after"]) == (status, body, "3")
    assert "x-orobserve-error" not in answer.raw
    (record,) = records()
    assert (record.outcome, record.status_code) == (Outcome.FAILED, status)


def test_an_error_inside_a_stream(
    sim: Simulator, start: Callable[..., Running], records: Callable[[], list[Generation]]
) -> None:
    sim.next(Scenario(error=Failure(error_type="provider_unavailable", place="midstream")))
    running = start(sim.root)
    assert b"error" in running.ask(request(headers=["Authorization: Bearer sk-or-v1-x"], body=BODY)).body
    running.stop()
    (record,) = records()
    assert record.error is not None
    assert (record.outcome, record.error.type) == (Outcome.FAILED, "provider_unavailable")


@pytest.mark.parametrize("after", [b"", STREAM, STREAM + PIECE], ids=["request", "head", "chunk"])
def test_when_the_client_leaves_the_upstream_is_left_at_once(
    after: bytes, origin: Origin, start: Callable[..., Running], records: Callable[[], list[Generation]]
) -> None:
    def play(sock: socket.socket) -> None:
        sock.sendall(after)
        silence(sock)
        origin.gone.put(None)

    origin.play(play)
    running = start(origin.url)
    with connect(running.port) as sock:
        sock.sendall(request(body=BODY))
        origin.arrived.get(timeout=SECONDS)
        seen = b""
        while (PIECE in after and EVENT not in seen) or (after and not seen):
            seen += sock.recv(4096)
    origin.gone.get(timeout=SECONDS)
    running.stop()
    (record,) = records()
    assert (record.outcome, record.error) == (Outcome.CANCELLED, None)
    assert f"POST /api/v1/chat/completions {'200' if after else '---'} " in running.log.getvalue()


def test_when_the_client_leaves_within_its_request(
    origin: Origin, start: Callable[..., Running], records: Callable[[], list[Generation]]
) -> None:
    running = start(origin.url)
    origin.play([])
    with connect(running.port) as sock:
        sock.sendall(request(body=BODY)[:-5])
    origin.gone.get(timeout=SECONDS)
    running.stop()
    assert [record.outcome for record in records()] == [Outcome.CANCELLED]


def test_a_client_that_does_not_read_holds_up_its_own_upstream(origin: Origin, start: Callable[..., Running]) -> None:
    sent = []

    def play(sock: socket.socket) -> None:
        sock.sendall(head(200))
        sock.settimeout(0.5)
        try:
            while sum(sent) < 64_000_000:
                sent.append(sock.send(b"x" * 65536))
        except TimeoutError:
            sent.append(0)
        origin.gone.put(None)
        sock.settimeout(SECONDS)

    origin.play(play, [head(200, "Content-Length: 2"), b"{}"])
    running = start(origin.url)
    with connect(running.port) as sock:
        sock.sendall(request("GET", "/x"))
        origin.gone.get(timeout=SECONDS)
        assert sum(sent) < 30_000_000
        assert running.ask(request(body=BODY)).body == b"{}"  # others go on
        answer = read(sock)
    assert len(answer.body) == sum(sent)


def test_an_early_answer_to_a_long_request(origin: Origin, start: Callable[..., Running]) -> None:
    running = start(origin.url)
    with connect(running.port) as sock, connect(running.port):
        origin.play([])
        sock.sendall(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"a" * 10)
        sock.sendall(b"a" * 99_990)
        origin.arrived.get(timeout=SECONDS)
        origin.play([head(413, "Content-Length: 0")])
    assert origin.connections == 1


def test_what_an_upstream_sends_unasked_is_nobodys_answer(origin: Origin, start: Callable[..., Running]) -> None:
    forged = head(200, "Content-Length: 6") + b"forged"
    origin.play([head(200, "Content-Length: 2") + b"{}" + forged], [head(200, "Content-Length: 4"), b"true"])
    running = start(origin.url)
    assert running.ask(request(body=BODY)).body == b"{}"
    assert running.ask(request(body=BODY)).body == b"true"
    assert origin.connections == 2
