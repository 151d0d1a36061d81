"""Bodies of many megabytes are read in little memory."""

from __future__ import annotations

import base64
import json
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orobserve.wire import document
from tests.support.chunks import every
from tests.support.transcripts import exchange_for

RANDOM = random.Random(7)
MEGABYTE = 1024 * 1024
PIECE = 64 * 1024


def picture(size):
    """Return base64 of this many characters."""
    return base64.b64encode(RANDOM.randbytes(size * 3 // 4)).decode()


def vector(size):
    """Return the JSON of a list of about this many bytes."""
    return "[" + ",".join(f"{RANDOM.uniform(-1, 1):.9g}" for _ in range(size // 14)) + "]"


PICTURE = picture(20 * MEGABYTE)
VECTOR = json.loads(vector(20_000))


def compact(value):
    """Return JSON as OpenRouter sends it."""
    return json.dumps(value, separators=(",", ":"))


BODIES = {
    "images": ("images", {"created": 1, "data": [{"b64_json": PICTURE}], "usage": {"prompt_tokens": 0, "cost": 0.04}}),
    "embeddings": (
        "embeddings",
        {"data": [{"index": at, "embedding": VECTOR} for at in range(1000)], "model": "a/b", "usage": {"cost": 0.04}},
    ),
    "base64 embeddings": ("embeddings", {"data": [{"embedding": PICTURE}], "model": "a/b", "usage": {"cost": 0.04}}),
    "chat picture": (
        "chat/completions",
        {
            "choices": [{"message": {"images": [{"image_url": {"url": f"data:image/png;base64,{PICTURE}"}}]}}],
            "usage": {"prompt_tokens": 8, "completion_tokens": 1, "cost": 0.04},
        },
    ),
}
PROSE = {"choices": [{"message": {"content": "Long prose. " * 1_750_000}}], "usage": {"cost": 0.04}}


def run(path, body, *, content_type="application/json", size=PIECE):
    """Return the record of a body, and the most memory that reading it took."""
    pieces = every((body if isinstance(body, str) else compact(body)).encode(), size)
    exchange = exchange_for("POST", f"https://openrouter.ai/api/v1/{path}", wants_content=True)
    made = []
    exchange.on_end(made.append)
    exchange.response(200, {"content-type": content_type})
    tracemalloc.start()
    for piece in pieces:
        exchange.feed(piece)
    exchange.end()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return made[0], peak


@pytest.mark.parametrize("name", BODIES)
def test_large_bodies_are_read_in_bounded_memory(name: str) -> None:
    path, body = BODIES[name]
    generation, peak = run(path, body)
    assert generation.cost.charged == 0.04
    assert generation.body_fault is None
    assert peak < 4 * MEGABYTE


def test_the_size_of_a_cut_picture_is_known() -> None:
    generation, _ = run(*BODIES["images"])
    (part,) = generation.content.output[0].parts
    assert part.size == len(base64.b64decode(PICTURE))


def test_large_prose_is_not_read() -> None:
    generation, peak = run("chat/completions", PROSE)
    assert generation.body_fault == "oversized"
    assert generation.cost is None
    assert peak < 3 * document.HARD_LIMIT


def test_prose_below_the_limit_is_read() -> None:
    content = "Long prose. " * 100_000
    generation, _ = run("chat/completions", {"choices": [{"message": {"content": content}}]})
    same = generation.content.output[0].parts[0].content == content  # a diff of such texts would take for ever
    assert same


def test_oversized_only_when_put_together() -> None:
    body = document.Body()
    body.feed(b" " * (document.SOFT_LIMIT - 1))
    assert not body.oversized
    assert body.content() == b" " * (document.SOFT_LIMIT - 1)
    with pytest.raises(document.OversizedError):
        document.parse(json.dumps("prose " * 800_000).encode())
    body.feed(b" " * (document.HARD_LIMIT + 1))
    body.feed(b"more")
    assert body.oversized
    assert body.content() == b""
    assert body.received == document.SOFT_LIMIT - 1 + document.HARD_LIMIT + 1 + 4


@pytest.mark.parametrize("size", [PIECE, 4096])
def test_a_large_picture_in_a_stream(size: int) -> None:
    events = [
        {"type": "image_generation.partial_image", "b64_json": PICTURE[: 2 * MEGABYTE]},
        {"type": "image_generation.completed", "b64_json": PICTURE[: 5 * MEGABYTE], "usage": {"cost": 0.04}},
    ]
    stream = "".join(f"data: {compact(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    generation, peak = run("images", stream, content_type="text/event-stream", size=size)
    assert generation.cost.charged == 0.04
    assert generation.content.output[0].parts[0].size == 5 * MEGABYTE * 3 // 4
    assert peak < 4 * MEGABYTE


def test_an_event_of_endless_prose_is_dropped_and_the_rest_is_read() -> None:
    prose = json.dumps({"choices": [{"delta": {"content": "prose " * 900_000}}]})
    usage = json.dumps({"choices": [], "usage": {"cost": 0.04}})
    stream = f"data: {prose}\n\ndata: {usage}\n\ndata: [DONE]\n\n"
    generation, peak = run("chat/completions", stream, content_type="text/event-stream", size=4 * PIECE)
    assert generation.cost.charged == 0.04
    assert peak < 5 * document.HARD_LIMIT


SAMPLE = json.dumps(
    {
        "b64": "\n" + picture(9000) + "==",
        "escaped": "\u00e9\n" + "A" * 8300 + "\n" + "B" * 300,
        "vector": [0.125, -1e-7, 3] * 1000,
        "nested": [[1.5] * 4000, [2] * 4000],
        "short": [1, 2, 3],
        "words": "plain text " * 20,
        "numbers in text": "[" + "1, " * 3000 + "2]",
    }
).encode()
EXPECTED = json.loads(document.shorten(SAMPLE))


@settings(max_examples=100)
@given(places=st.lists(st.integers(0, len(SAMPLE)), min_size=1, max_size=4))
def test_shortening_keeps_json_valid_for_any_cut(places: list[int]) -> None:
    kept, last = b"", 0
    for place in [*sorted(places), len(SAMPLE)]:
        kept = document.shorten(kept + SAMPLE[last:place])
        last = place
    value = json.loads(kept)
    for key in ("short", "words"):
        assert value[key] == EXPECTED[key]
    assert list(value) == list(EXPECTED)
    assert document.original_length(value["b64"]) == 1 + len(picture(9000)) + 2
    assert len(kept) < len(SAMPLE)


def test_shortening_at_every_place_around_the_edges() -> None:
    edges = [at for at, byte in enumerate(SAMPLE) if byte in b'"[]\\,:'][:400]
    for edge in {place for at in edges for place in (at - 1, at, at + 1)}:
        json.loads(document.shorten(document.shorten(SAMPLE[:edge]) + SAMPLE[edge:]))


def test_short_documents_stay_as_they_are() -> None:
    data = json.dumps({"a": "A" * 8000, "b": [1.5] * 100}).encode()
    assert document.shorten(data) == data


@pytest.mark.parametrize(
    ("text", "length"),
    [("", 0), ("abc", 3), ("~5~", 5), ("ab~10~cd~3~", 17), ("~x~", 3), ("~5", 2)],
)
def test_original_length(text: str, length: int) -> None:
    assert document.original_length(text) == length


@pytest.mark.parametrize("data", [b"", b"{", b"{} {}", b"nul", b'{"a":}', b"[" * 100_000, b"1" * 5000], ids=len)
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        document.parse(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\xef\xbb\xbf{}", {}),
        (b' \r\n\t{"a":1}\n', {"a": 1}),
        (b'"\xff"', "\N{REPLACEMENT CHARACTER}"),
        (b'"\xc3\xa9"', "\u00e9"),
        (b"null", None),
    ],
)
def test_parse(data: bytes, value) -> None:
    assert document.parse(data) == value


@given(st.text())
def test_escape_and_back(text: str) -> None:
    assert document.unescape(document.escape(text)) == text
    assert document.unescape(json.dumps(text, ensure_ascii=False)[1:-1].encode()) == text


def test_halves_of_a_pair_meet_again() -> None:
    assert document.unescape(document.escape("\ud83c") + document.escape("\udf0d")) == "\U0001f30d"
    assert document.unescape(document.escape("\ud83c") + b"x") == "\N{REPLACEMENT CHARACTER}x"
