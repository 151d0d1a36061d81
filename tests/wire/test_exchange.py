"""How calls end, and what is never said twice or aloud."""

from __future__ import annotations

import gzip

import pytest

from orobserve.generation import CacheInfo, Outcome
from tests.support.transcripts import exchange_for

CHAT = "https://openrouter.ai/api/v1/chat/completions"
STREAM = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}
EVENT = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'


class TransportError(Exception):
    """Stands for an HTTP library's error."""


def run(status, headers, chunks, reason=None, *, url=CHAT, sent=None, query=b""):
    """Return the record of a call that ended for this reason."""
    exchange = exchange_for("POST", url, wants_content=True)
    made = []
    exchange.on_end(made.append)
    exchange.request(sent or {}, b"{}", query)
    if status is not None:
        exchange.response(status, headers)
    for chunk in chunks:
        exchange.feed(chunk)
    exchange.end(reason)
    exchange.end(TransportError("too late"))
    assert exchange.ended
    assert len(made) == 1
    return made[0]


@pytest.mark.parametrize(
    ("status", "chunks", "reason", "outcome", "error"),
    [
        (200, [EVENT], GeneratorExit(), Outcome.CANCELLED, None),
        (200, [EVENT], KeyboardInterrupt(), Outcome.CANCELLED, None),
        (200, [EVENT], Outcome.CANCELLED, Outcome.CANCELLED, None),
        (200, [EVENT], Outcome.ABANDONED, Outcome.ABANDONED, None),
        (200, [EVENT], None, Outcome.TRUNCATED, "stream_truncated"),
        (200, [EVENT], Outcome.FAILED, Outcome.FAILED, "_OTHER"),
        (200, [EVENT], TransportError("reset"), Outcome.FAILED, f"{__name__}.TransportError"),
        (503, [EVENT], GeneratorExit(), Outcome.FAILED, "503"),
        (200, [EVENT, b"data: [DONE]\n\n"], TransportError("late"), Outcome.COMPLETE, None),
        (None, [], TransportError("refused"), Outcome.FAILED, f"{__name__}.TransportError"),
        (None, [], GeneratorExit(), Outcome.CANCELLED, None),
        (None, [], Outcome.FAILED, Outcome.FAILED, "_OTHER"),
        (None, [], None, Outcome.COMPLETE, None),
    ],
)
def test_endings(status, chunks, reason, outcome, error) -> None:
    generation = run(status, STREAM, chunks, reason)
    assert generation.outcome is outcome
    assert (generation.error and generation.error.type) == error
    assert generation.status_code == status
    transport = isinstance(reason, TransportError) or reason is Outcome.FAILED
    assert bool(generation.error and generation.error.transport) is (transport and outcome is Outcome.FAILED)
    assert generation.timing.started_at < generation.timing.ended_at


@pytest.mark.parametrize(
    ("status", "body", "reason", "fault"),
    [
        (200, b"", None, "empty"),
        (204, b"", None, None),
        (200, b"", GeneratorExit(), None),
        (200, b'{"id":', None, "malformed"),
        (200, b'{"id":', GeneratorExit(), None),
        (200, b"[]", GeneratorExit(), "malformed"),
        (200, b"[" * 100_000, None, "malformed"),
        (200, b'"' + b"prose " * 800_000 + b'"', None, "oversized"),
        (502, b"<html>", None, "malformed"),
    ],
    ids=["empty", "204", "empty-cancelled", "cut", "cut-cancelled", "list", "deep", "oversized", "html"],
)
def test_faults_of_bodies(status, body, reason, fault) -> None:
    assert run(status, JSON, [body], reason).body_fault == fault


def test_a_document_that_is_oversized_only_at_the_end() -> None:
    body = b'{"id":"gen-1","x":"' + b"prose " * 600_000 + b'"}'
    generation = run(200, JSON, [body, b" " * 1_000_000])
    assert generation.body_fault == "oversized"


@pytest.mark.parametrize("kind", [JSON, STREAM])
@pytest.mark.parametrize(
    ("coding", "body"),
    [("rot13", b"whatever"), ("gzip", b"no gzip at all"), ("gzip", gzip.compress(EVENT)[:-8] + bytes(8) + b"more")],
)
def test_what_cannot_be_decoded(kind, coding, body) -> None:
    exchange = exchange_for("POST", CHAT)
    made = []
    exchange.on_end(made.append)
    exchange.response(200, {**kind, "content-encoding": coding})
    kept = exchange.feed  # as an edge may do
    for chunk in (body[:9], body[9:], body):
        kept(chunk)
    exchange.end()
    assert made[0].body_fault == "undecodable"
    assert made[0].usage is None


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", ""])
def test_json_of_any_charset(content_type: str) -> None:
    generation = run(200, {"content-type": content_type}, [b'{"id":"gen-1"}'])
    assert generation.id == "gen-1"


def test_dialects_without_streams_read_no_events() -> None:
    generation = run(200, STREAM, [EVENT], url="https://openrouter.ai/api/v1/embeddings")
    assert generation.stream is None
    assert generation.body_fault == "malformed"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("bad key sk-secret-123456", "bad key [REDACTED]"),
        ("https://gw.test?token=abcdefgh", "https://gw.test?token=[REDACTED]"),
        ("signature was abcdefgh", "signature was [REDACTED]"),
        ("", None),
    ],
)
def test_errors_of_the_transport_keep_no_secrets(message, expected) -> None:
    sent = {"authorization": "Bearer sk-secret-123456"}
    generation = run(None, {}, [], TransportError(message), sent=sent, query=b"signature=abcdefgh")
    assert generation.error.message == expected


@pytest.mark.parametrize(
    ("headers", "cache"),
    [
        ({}, None),
        ({"x-openrouter-cache-status": "MISS"}, CacheInfo(status="miss")),
        (
            {"x-openrouter-cache-status": "HIT", "x-openrouter-cache-age": "x", "x-openrouter-cache-ttl": "9"},
            CacheInfo(status="hit", ttl=9),
        ),
        ({"x-openrouter-cache-age": "9"}, None),
    ],
)
def test_the_response_cache(headers, cache) -> None:
    assert run(200, {**JSON, **headers}, [b"{}"]).cache == cache


def test_what_is_known_before_the_call_goes_out() -> None:
    exchange = exchange_for("POST", CHAT)
    exchange.on_end(lambda _: None)
    exchange.request({}, b'{"model":"a/b"}')
    assert exchange.asked.model == "a/b"
    assert not exchange.ended
    assert exchange.started_at > 0


def test_the_first_to_end_a_call_ends_it() -> None:
    exchange = exchange_for("POST", CHAT)
    made = []

    def on_end(generation):
        made.append(generation)
        exchange.end(TransportError("from inside"))

    exchange.on_end(on_end)
    exchange.response(200, STREAM)
    exchange.feed(b"data: [DONE]\n\n")
    exchange._finish(None)
    assert [generation.outcome for generation in made] == [Outcome.COMPLETE]


@pytest.mark.parametrize("coding", [None, "identity", "gzip"])
def test_an_edge_may_keep_the_function_that_takes_bytes(coding) -> None:
    exchange = exchange_for("POST", CHAT)
    made = []
    exchange.on_end(made.append)
    exchange.response(200, {**STREAM, **({"content-encoding": coding} if coding else {})})
    feed = exchange.feed
    body = EVENT * 5 + b"data: [DONE]\n\n"
    feed(gzip.compress(body) if coding == "gzip" else body)
    feed(b"" if coding == "gzip" else EVENT)
    exchange.end()
    assert made[0].outcome is Outcome.COMPLETE
    assert made[0].stream.chunk_count == 5
