"""What a client sees through the proxy is what it sees without it, byte for byte; and so is what the upstream sees."""

from __future__ import annotations

import gzip
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.proxy.origin import ask, chunked, connect, head, read, request
from tests.support.transcripts import encode, transcripts, untimed

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve import Generation
    from tests.proxy.conftest import Running
    from tests.proxy.origin import Origin
    from tests.support.transcripts import Transcript

TRANSCRIPTS = transcripts()


def whole(transcript: Transcript) -> list[bytes]:
    return [_head(transcript, f"Content-Length: {len(transcript.body)}"), transcript.body]


def with_head(transcript: Transcript) -> list[bytes]:
    return [b"".join([_head(transcript, "Transfer-Encoding: chunked"), *chunked(transcript.body, [1 << 20])])]


def in_pieces(*sizes: int) -> Callable[[Transcript], list[bytes]]:
    return lambda transcript: [
        _head(transcript, "Transfer-Encoding: chunked"), *chunked(transcript.body, sizes)
    ]  # fmt: skip


def cut_framing(transcript: Transcript) -> list[bytes]:
    """Writes that end inside of chunk sizes and line ends."""
    raw = b"".join([_head(transcript, "Transfer-Encoding: chunked"), *chunked(transcript.body, [5, 300, 41])])
    return [raw[at : at + 13] for at in range(0, len(raw), 13)]


def _head(transcript: Transcript, framing: str) -> bytes:
    response = transcript.response
    extra = ["Date: Sat, 22 Aug 2026 12:00:00 GMT", "Set-Cookie: a=1", "set-cookie: b=2", "X-Odd:  \xe9 "]
    return head(response["status"], *(f"{name}: {value}" for name, value in response["headers"].items()), *extra, framing)


def sent(transcript: Transcript) -> bytes:
    given, parts = transcript.request, urlsplit(transcript.request["url"])
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    headers = [f"{name}: {value}" for name, value in given["headers"].items()]
    return request(given["method"], path, headers, transcript.request_body)


CHUNKINGS = {
    "whole": whole,
    "with the head": with_head,
    "bytes": in_pieces(1),
    "7": in_pieces(7),
    "uneven": in_pieces(1, 3, 200, 2, 64, 1, 17, 1000, 31),
    "cut framing": cut_framing,
}


@pytest.mark.parametrize("chunking", CHUNKINGS.values(), ids=list(CHUNKINGS))
def test_every_transcript(
    chunking: Callable[[Transcript], list[bytes]], origin: Origin, start: Callable[..., Running]
) -> None:
    through = start(origin.url).port
    for transcript in TRANSCRIPTS:
        method, pieces = transcript.request["method"], chunking(transcript)
        origin.play(pieces, pieces)
        with_proxy, without = ask(through, sent(transcript), method), ask(origin.port, sent(transcript), method)
        assert with_proxy.end_to_end == without.end_to_end, transcript.name
        assert with_proxy.body == transcript.body, transcript.name
        assert with_proxy.whole
        first, second = origin.requests[-2:]
        assert (first.line, first.body) == (second.line, second.body), transcript.name
        others = [header for header in second.headers if header[0] != b"Host"]
        assert [header for header in first.headers if header[0] != b"Host"] == others
        assert first.header(b"host") == [f"127.0.0.1:{origin.port}".encode()]


def test_every_record_is_the_one_of_the_transcript(
    origin: Origin, start: Callable[..., Running], records: Callable[[], list[Generation]]
) -> None:
    served = [item for item in TRANSCRIPTS if "gateway" not in item.request["url"] and item.request["method"] == "POST"]
    running = start(origin.url, {"content": "span_only"})
    for transcript in served:
        origin.play(in_pieces(11)(transcript))
        running.ask(sent(transcript), transcript.request["method"])
    running.stop()
    assert len(records()) == len(served)
    made = [_comparable(encode(untimed(record))) for record in records()]
    for transcript in served:
        assert _comparable(transcript.expected) in made, transcript.name


def _comparable(record: dict) -> dict:
    own = {"server_address", "server_port", "trace_id", "span_id", "parent_span_id", "tags", "enrichment", "error"}
    found = {name: value for name, value in record.items() if name not in own}
    found["error_type"] = (record.get("error") or {}).get("type")
    return found


def test_a_response_arrives_as_it_is_sent(origin: Origin, start: Callable[..., Running]) -> None:
    step = threading.Semaphore(0)

    def play(sock) -> None:
        sock.sendall(head(200, "Content-Type: text/event-stream", "Transfer-Encoding: chunked"))
        for piece in (b": OPENROUTER PROCESSING\n\n", b"data: {", b"}\n\n"):
            sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            assert step.acquire(timeout=10)  # the client has it, before there is more
        sock.sendall(b"0\r\n\r\n")

    origin.play(play)
    with connect(start(origin.url).port) as sock:
        sock.sendall(request(body=b"{}"))
        seen = b""
        for wanted in (b": OPENROUTER PROCESSING\n\n\r\n", b"data: {\r\n", b"}\n\n\r\n"):
            while not seen.endswith(wanted):
                seen += sock.recv(4096)
            step.release()
        while not seen.endswith(b"0\r\n\r\n"):
            seen += sock.recv(4096)


def test_a_request_arrives_as_it_is_sent(origin: Origin, start: Callable[..., Running]) -> None:
    running = start(origin.url)
    origin.play([head(200, "Content-Length: 2"), b"{}"])
    with connect(running.port) as sock:
        sock.sendall(b"POST /api/v1/files HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in chunked(b'{"model": "a/b"}' * 1000, [1, 5000, 30, 9000]):
            sock.sendall(piece)
        assert read(sock).body == b"{}"
    (received,) = origin.requests
    assert received.body == b'{"model": "a/b"}' * 1000
    assert received.header(b"transfer-encoding") == [b"chunked"]
    assert not received.header(b"content-length")


@pytest.mark.parametrize("path", ["/", "//evil.test/x", "/a%2Fb/../c?", "/api/v1/models?q=a%20b&&x", "/%00%ff"])
def test_a_path_is_forwarded_as_it_is(path: str, origin: Origin, start: Callable[..., Running]) -> None:
    origin.play([head(200, "Content-Length: 0")])
    assert start(origin.url).ask(request("GET", path), "GET").status == 200
    assert origin.requests[0].line == f"GET {path} HTTP/1.1".encode()


def test_a_gateways_prefix_comes_before_the_path(origin: Origin, start: Callable[..., Running]) -> None:
    origin.play([head(200, "Content-Length: 0")])
    start(f"{origin.url}/or/api/v1").ask(request("GET", "/api/v1/models?x"), "GET")
    assert origin.requests[0].line == b"GET /or/api/v1/models?x HTTP/1.1"


def test_headers_keep_their_order_spelling_and_number(origin: Origin, start: Callable[..., Running]) -> None:
    given = ["X-b: 1", "x-A: 2", "X-b: 3", "Accept-Encoding: gzip, br", "Connection: keep-alive, X-Gone", "X-Gone: 1"]
    given += ["TE: trailers", "X-Empty: ", "X-Latin: \xe9", "X-Orobserve-User: ada", "traceparent: 00-x"]
    origin.play([head(200, "Content-Length: 0")])
    start(origin.url).ask(request(headers=given))
    names = [name for name, _ in origin.requests[0].headers]
    assert names == [b"Host", b"X-b", b"x-A", b"X-b", b"Accept-Encoding", b"X-Empty", b"X-Latin", b"traceparent",
                     b"Content-Length"]  # fmt: skip
    assert origin.requests[0].header(b"x-latin") == [b"\xe9"]


def test_encoded_bodies_stay_encoded(origin: Origin, start: Callable[..., Running]) -> None:
    packed = gzip.compress(b'{"id": "gen-1"}')
    headers = ["Content-Encoding: gzip", "Content-Type: application/json", f"Content-Length: {len(packed)}"]
    origin.play([head(200, *headers), packed])
    answer = start(origin.url).ask(request(headers=["Accept-Encoding: gzip"], body=b"{}"))
    assert answer.body == packed
    assert answer.raw["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("method", "answer", "status"),
    [
        ("HEAD", [head(200, "Content-Length: 5")], 200),
        ("GET", [head(204)], 204),
        ("GET", [head(304, "ETag: a")], 304),
        ("GET", [head(103, "Link: </a>"), head(200, "Content-Length: 0")], 200),
        ("DELETE", [head(529, "Content-Length: 0")], 529),
        ("OPTIONS", [head(302, "Location: https://elsewhere.test/", "Content-Length: 0")], 302),
    ],
)
def test_answers_without_a_body(
    method: str, answer: list[bytes], status: int, origin: Origin, start: Callable[..., Running]
) -> None:
    origin.play(answer, [head(200, "Content-Length: 2"), b"ok"])
    with connect(start(origin.url).port) as sock:
        sock.sendall(request(method, "/api/v1/models"))
        first = read(sock, method)
        assert (first.status, first.body) == (status, b"")
        if method == "HEAD":
            assert first.raw["content-length"] == "5"
        sock.sendall(request("GET", "/api/v1/key"))  # the client's connection goes on
        assert read(sock, "GET").body == b"ok"


def test_an_answer_that_ends_with_its_connection(origin: Origin, start: Callable[..., Running]) -> None:
    origin.play(lambda sock: sock.sendall(head(200) + b"until the end"))
    answer = start(origin.url).ask(request("GET", "/x"), "GET")
    assert (answer.body, answer.whole) == (b"until the end", True)


def test_a_client_of_http_1_0(origin: Origin, start: Callable[..., Running]) -> None:
    origin.play([head(200, "Transfer-Encoding: chunked"), *chunked(b"until the end", [4])])
    answer = start(origin.url).ask(b"GET /x HTTP/1.0\r\n\r\n", "GET")
    assert (answer.body, answer.closes) == (b"until the end", True)
    assert origin.requests[0].line == b"GET /x HTTP/1.1"
    assert origin.requests[0].header(b"host")


def test_connections_are_kept_on_both_sides(origin: Origin, start: Callable[..., Running]) -> None:
    origin.play(*[[head(200, "Content-Length: 2"), b"{}"]] * 5)
    with connect(start(origin.url).port) as sock:
        for _ in range(5):
            sock.sendall(request(body=b"{}"))
            assert read(sock).body == b"{}"
    assert origin.connections == 1


def test_a_client_that_waits_to_be_told_to_go_on(origin: Origin, start: Callable[..., Running]) -> None:
    origin.play([head(200, "Content-Length: 2"), b"{}"])
    with connect(start(origin.url).port) as sock:
        sock.sendall(b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"{}")
        assert read(sock).body == b"{}"
    assert not origin.requests[0].header(b"expect")
