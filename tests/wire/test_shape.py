"""Learned shapes are only a shortcut: with them a stream says what it says without them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orobserve.wire import stream as stream_module
from orobserve.wire.shape import Texts, learn
from tests.support.chunks import PLACES, cut
from tests.support.transcripts import exchange_for, untimed

TRAPS = [
    '"finish_reason":"stop"',
    "data: [DONE]",
    "\n\ndata: [DONE]\n\n",
    '"},"finish_reason":"stop"}]}',
    '"content":"x"',
    '\\"content\\":\\"',
    '"text": "',
    "@0@",
    "@1@",
    "\\",
    '"',
    "\\u0041",
    "\ud83d",
    "\udf0d",
    "🌍",
    "\x00\x1f\x7f\u2028",
    "é",
    "",
    " ",
    "12",
    ": OPENROUTER PROCESSING",
]
WORDS = st.one_of(st.sampled_from(TRAPS), st.text(max_size=8), st.just("word"))
TEXTS = st.lists(st.one_of(WORDS, st.lists(WORDS, max_size=4).map("".join)), min_size=1, max_size=30)
JSON_STYLES = [{"ensure_ascii": False}, {"ensure_ascii": True}, {"separators": (",", ":"), "ensure_ascii": True}]


def chat(kind, text, number):
    """Return a chat chunk."""
    call = {"index": number % 2, "function": {"arguments": text}}
    if kind == "begin":
        call |= {"id": f"call_{number}", "type": "function", "function": {"name": "f", "arguments": ""}}
    delta = {
        "text": {"role": "assistant", "content": text},
        "both": {"content": text, "reasoning": text},
        "reasoning": {
            "content": "",
            "reasoning": text,
            "reasoning_details": [{"type": "reasoning.text", "text": text}],
        },
        "refusal": {"refusal": text},
        "call": {"tool_calls": [call]},
        "begin": {"tool_calls": [call]},
        "other": {"content": text, "annotations": [{"type": "url_citation"}]},
        "finish": {"content": text},
    }[kind]
    reason = "stop" if kind == "finish" else None
    choice = {"index": number % 3 // 2, "delta": delta, "finish_reason": reason, "native_finish_reason": reason}
    usage = {"prompt_tokens": number, "completion_tokens": 1, "cost": 0.5} if kind == "finish" else None
    return {
        "id": "gen-1",
        "model": "m/x",
        "provider": "P",
        "choices": [choice],
        "usage": usage,
        "obfuscation": text if number % 2 else "",
    }


def responses(kind, text, number):
    """Return an event of the Responses API."""
    event = {"sequence_number": number, "item_id": "i", "output_index": number % 2, "delta": text, "obfuscation": text}
    if kind == "begin":
        item = {"type": "function_call", "call_id": f"call_{number}", "name": "f"}
        return {"type": "response.output_item.added", "output_index": number % 2, "item": item}
    if kind == "finish":
        response = {"id": "resp_1", "model": "m/x", "usage": {"input_tokens": number}, "status": "in_progress"}
        return {"type": "response.in_progress", "sequence_number": number, "response": response}
    name = {
        "text": "output_text.delta",
        "both": "content_part.delta",
        "reasoning": "reasoning_summary_text.delta",
        "refusal": "refusal.delta",
        "call": "function_call_arguments.delta",
        "other": "output_text.annotation.added",
    }[kind]
    return {"type": f"response.{name}", **event, "logprobs": []}


def messages(kind, text, number):
    """Return an event of the Messages API."""
    index = number % 2 * 3  # thinking, text and calls have blocks of their own
    if kind == "begin":
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": "f", "input": {}}
        return {"type": "content_block_start", "index": index + 2, "content_block": block}
    if kind in {"finish", "both"}:
        delta = {"stop_reason": "end_turn" if kind == "finish" else None}
        return {"type": "message_delta", "delta": delta, "usage": {"input_tokens": 3, "output_tokens": number}}
    delta, place = {
        "text": ({"type": "text_delta", "text": text}, 1),
        "reasoning": ({"type": "thinking_delta", "thinking": text}, 0),
        "refusal": ({"type": "signature_delta", "signature": text}, 0),
        "call": ({"type": "input_json_delta", "partial_json": text}, 2),
        "other": ({"type": "citations_delta", "citation": {"text": text}}, 1),
    }[kind]
    return {"type": "content_block_delta", "index": index + place, "delta": delta}


def completions(kind, text, number):
    """Return a chunk of a legacy completion."""
    reason = "stop" if kind == "finish" else None
    choice = {"index": number % 2, "text": text, "finish_reason": reason, "logprobs": None}
    if kind == "reasoning":
        choice["reasoning"] = text
    usage = {"prompt_tokens": number} if kind in {"finish", "both"} else None
    return {"id": "gen-1", "model": "m/x", "choices": [choice], "usage": usage}


DIALECTS = {
    "chat/completions": chat,
    "responses": responses,
    "messages": messages,
    "completions": completions,
}
KINDS = ["text", "both", "reasoning", "refusal", "call", "begin", "other", "finish"]


@contextmanager
def learning(*, disabled):
    """Switch learning off."""
    with pytest.MonkeyPatch.context() as patch:
        if disabled:
            patch.setattr(stream_module, "learn", lambda *_: None)
        yield


def read(path, chunks, *, disabled=False, **options):
    """Return the record of a stream."""
    with learning(disabled=disabled):
        exchange = exchange_for("POST", f"https://openrouter.ai/api/v1/{path}", wants_content=True, **options)
        made = []
        exchange.on_end(made.append)
        exchange.request({}, b"{}")
        exchange.response(200, {"content-type": "text/event-stream"})
        for chunk in chunks:
            exchange.feed(chunk)
        exchange.end()
    return untimed(made[0])


def serialise(path, events, style, end):
    """Return the bytes of each event of a stream; comments are texts."""
    rows = []
    for event in events:
        if isinstance(event, str):
            rows.append(f": {event}{end}{end}")
            continue
        name = f"event: {event['type']}{end}" if path == "messages" else ""
        rows.append(f"{name}data: {json.dumps(event, **style)}{end}{end}")
    return [row.encode("utf-8", "replace") for row in rows]


def cut_some(pieces, places):
    """Return events as chunks of their own, but some of them in two, and some with a part of the next."""
    chunks = list(pieces)
    for place in places:
        at = place % len(chunks)
        chunks[at : at + 2] = cut(b"".join(chunks[at : at + 2]), [place // 7, place // 11])
    return chunks


@pytest.mark.parametrize("path", DIALECTS)
@settings(max_examples=300)
@given(
    texts=TEXTS,
    kinds=st.lists(st.sampled_from([*KINDS, *["text"] * 8, "comment"]), min_size=30, max_size=30),
    number=st.integers(0, 3),
    style=st.sampled_from(JSON_STYLES),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    places=PLACES,
)
def test_equals_full_parsing(path, texts, kinds, number, style, end, places) -> None:
    events = [
        "keep-alive" if kind == "comment" else DIALECTS[path](kind, text, number + place // 6)
        for place, (kind, text) in enumerate(zip(kinds, cycle(texts), strict=False))
    ]
    pieces = serialise(path, events, style, end)
    data = b"".join(pieces)
    expected = read(path, [data], disabled=True)
    for chunks in ([data], pieces, cut(data, places), cut_some(pieces, places)):
        assert read(path, chunks) == expected


@pytest.mark.parametrize(
    ("path", "kind"),
    [(path, kind) for path in DIALECTS for kind in ("text", "reasoning", "call") if path != "completions"]
    + [("completions", "text")],
)
def test_ordinary_events_are_recognised(path: str, kind: str) -> None:
    begin = [messages("begin", "", 0)] if kind == "call" and path == "messages" else []
    events = begin + [DIALECTS[path](kind, f"word {number} ", 0) for number in range(100 - len(begin))]
    learned = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_module, "learn", lambda *given: learned.append(learn(*given)) or learned[-1])
        generation = read(path, serialise(path, events, {}, "\n"))
    assert len(learned) == 1, "one shape serves the whole stream"
    assert generation.stream.chunk_count == 100
    assert "word 0 word 1 " in str(generation.content.output)
    assert "word 97 word 98 " in str(generation.content.output)


def test_learning_stops_when_it_never_helps() -> None:
    kinds = cycle([("text", 0), ("reasoning", 0), ("text", 2), ("reasoning", 2)])
    events = [chat(kind, "x", number) for (kind, number), _ in zip(kinds, range(100), strict=False)]
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_module, "learn", lambda *given: calls.append(1) or learn(*given))
        read("chat/completions", serialise("chat/completions", events, {}, "\n"))
    assert len(calls) < 20


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("given", ["text", "reasoning"])
def test_every_chunk_has_its_time(given: str, together: bool) -> None:
    events = [{**chat(kind, "x", 0), "obfuscation": ""} for kind in ["begin", *[given] * 10]]
    pieces = serialise("chat/completions", events, {}, "\n")
    exchange = exchange_for("POST", "https://openrouter.ai/api/v1/chat/completions", keeps_chunk_times=True)
    made = []
    exchange.on_end(made.append)
    exchange.response(200, {"content-type": "text/event-stream"})
    for chunk in [b"".join(pieces)] if together else pieces:
        exchange.feed(chunk)
    exchange.end()
    timing = made[0].timing
    assert len(timing.chunks_at) == 11
    assert list(timing.chunks_at) == sorted(timing.chunks_at)
    assert timing.first_chunk_at <= timing.chunks_at[0]
    assert timing.chunk_gaps == [1.0] * 10
    assert made[0].content is None


@pytest.mark.parametrize(
    ("raw", "meaning"),
    [
        (b'data: {"x":1}\n\n', lambda raw: (("text", "0"), "no hole at all")),
        (b'data: {"content":"a"}\n\n', lambda raw: None),
        (b'data: {"content":""}\n\n', lambda raw: (("text", "0"), "")),
    ],
)
def test_an_event_without_a_provable_text_has_no_shape(raw, meaning) -> None:
    assert learn(raw, meaning) is None


def test_texts_stop_at_their_limit() -> None:
    texts = Texts(10)
    for _ in range(5):
        texts.append(("text", "0"), "12345678")
    assert texts.get(("text", "0")) == "1234567812345678"
    assert texts.get(("text", "1")) is None
    texts.append_escaped(("text", "1"), b"\\ud83d")
    assert texts.items() == [(("text", "0"), "12345678" * 2), (("text", "1"), "\N{REPLACEMENT CHARACTER}")]


@pytest.mark.parametrize(
    "begun", [b"data: x\n", b"data: {\n", b": c\n", b"event: ping\n", b"event: x\r\n", b"id: 1\n", b"\n"]
)
def test_an_ordinary_chunk_that_ends_an_event_begun_before(begun: bytes) -> None:
    pieces = serialise("completions", [completions("text", "x", 0)] * 6, {}, "\n")
    chunks = [*pieces[:4], begun, *pieces[4:]]
    expected = read("completions", [b"".join(chunks)], disabled=True)
    assert read("completions", chunks) == expected
    assert read("completions", [b"".join(chunks)]) == expected
