"""What a request asks for, in any order of its keys."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orobserve.generation import Outcome, Trace
from orobserve.wire.exchange import Ambient
from orobserve.wire.request import api_key_of, hash_api_key, leading_integer, read_fields, read_headers
from orobserve.wire.transcriptions import read_form
from tests.support.transcripts import exchange_for


@pytest.mark.parametrize(
    ("slug", "variant", "preset"),
    [
        ("openai/gpt-4o", None, None),
        ("openai/gpt-4o:free", "free", None),
        ("openai/gpt-4o:NITRO", None, None),
        ("openai/gpt-4o:unheard-of", None, None),
        ("@preset/mine", None, "mine"),
        ("openai/gpt-4o@preset/mine", None, "mine"),
        ("~openai/gpt-latest:floor@preset/a/b", "floor", "a/b"),
        ("openai/gpt-4o@other/mine", None, None),
        ("a:free:nitro", None, None),
    ],
)
def test_slugs(slug: str, variant: str | None, preset: str | None) -> None:
    fields = read_fields({"model": slug})
    assert (fields["model"], fields.get("variant"), fields.get("preset")) == (slug, variant, preset)


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ({"models": ["a/b:free", "c/d"]}, "model", "a/b:free"),
        ({"models": ["a/b:free", "c/d"]}, "variant", "free"),
        ({"fallbacks": [{"model": "a/b"}, 3, {}]}, "models", ("a/b",)),
        ({"models": ["a/b"], "fallbacks": []}, "models", ("a/b",)),
        ({"model": "m@preset/mine", "preset": None}, "preset", "mine"),
        ({"model": "m@preset/mine", "preset": "other"}, "preset", "other"),
        ({"max_tokens": 5, "max_completion_tokens": None}, "max_tokens", 5),
        ({"max_completion_tokens": 6, "max_tokens": 5}, "max_tokens", 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens", 6),
        ({"plugins": [{"id": "web"}], "transforms": ["middle-out"]}, "plugins", ("web",)),
        ({"transforms": ["middle-out"], "plugins": None}, "plugins", ("middle-out",)),
        ({"service_tier": "flex", "speed": "fast"}, "service_tier", "flex"),
        ({"speed": "fast"}, "service_tier", "fast"),
        ({"speed": "standard"}, "service_tier", None),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, "reasoning_level", "low"),
        ({"reasoning_effort": "high", "reasoning": {"effort": "low"}}, "reasoning_level", "low"),
        ({"reasoning": {"max_tokens": 9}}, "reasoning_max_tokens", 9),
        ({"thinking": {"type": "adaptive"}, "reasoning": None}, "reasoning_max_tokens", None),
        ({"thinking": {"budget_tokens": 9}, "reasoning": {}}, "reasoning_max_tokens", 9),
        ({"stop": "END"}, "stop_sequences", ("END",)),
        ({"stop": ["A", "B"]}, "stop_sequences", ("A", "B")),
        ({"stream": False}, "stream", None),
        ({"stream": True}, "stream", True),
        ({"n": 1}, "choice_count", None),
        ({"n": 3}, "choice_count", 3),
        ({"tool_choice": "auto"}, "tool_choice", "auto"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice", "function"),
        ({"tool_choice": {"type": "any"}}, "tool_choice", "any"),
        ({"tools": [{"type": "function"}, {"name": "x"}, {"type": "custom"}]}, "tool_count", 3),
        (
            {"tools": [{"type": "openrouter:fusion"}, {"type": "web_search_1"}]},
            "server_tools",
            ("fusion", "web_search_1"),
        ),
        ({"tools": [{"type": "function", "cache_control": {"type": "ephemeral"}}]}, "cache_control", True),
        ({"cache_control": None}, "cache_control", None),
        ({"provider": {"sort": "price"}}, "provider.sort", "price"),
        ({"provider": {"sort": {"by": "price", "partition": "none"}}}, "provider.sort", "price/none"),
        ({"provider": {"sort": {}}}, "provider.sort", None),
        ({"provider": {"max_price": {"prompt": "x", "completion": True}}}, "provider.max_price_prompt", None),
        ({"provider": {}}, "provider", None),
        ({"response_format": {"type": "text"}}, "output_type", "text"),
        ({"response_format": {"type": "json_object"}}, "output_type", "json"),
        ({"response_format": "mp3"}, "output_type", None),
        ({"text": {"format": {"type": "json_schema"}}}, "output_type", "json"),
        ({"text": "plain"}, "output_type", None),
        ({"output_config": {"format": None}}, "output_type", None),
        ({"output_config": {"effort": "max"}}, "reasoning_level", "max"),
        ({"modalities": ["text"]}, "output_type", None),
        ({"modalities": ["text", "image"]}, "output_type", "image"),
        ({"modalities": None}, "output_type", None),
        ({"documents": ["a", "b"]}, "document_count", 2),
        ({"documents": []}, "document_count", None),
        ({"encoding_format": "base64"}, "encoding_formats", ("base64",)),
        ({"user": "u", "metadata": {"user_id": "m"}}, "user", "u"),
        ({"metadata": {"user_id": "m"}, "user": "u"}, "user", "u"),
        ({"metadata": {"user_id": "m"}, "user": None}, "user", "m"),
        ({"safety_identifier": "s"}, "user", "s"),
        ({"user": "u", "safety_identifier": "s"}, "user", "u"),
        ({"metadata": {}}, "user", None),
        ({"trace": {}}, "trace", None),
        ({"trace": {"trace_id": "t", "x": 1}}, "trace", Trace(trace_id="t", metadata={"x": 1})),
        ({"seed": -5}, "seed", -5),
        ({"top_k": 40.0}, "top_k", 40),
        ({"unknown": 1}, "model", None),
    ],
)
def test_fields(body, field, value) -> None:
    fields = read_fields(body)
    name, _, inner = field.partition(".")
    found = getattr(fields.get(name), inner) if inner else fields.get(name)
    assert found == value


@given(
    st.permutations(list({"max_tokens": 1, "max_completion_tokens": 2, "user": "u", "safety_identifier": "s"}.items()))
)
def test_the_order_of_keys_does_not_matter(items) -> None:
    fields = read_fields(dict(items))
    assert (fields["max_tokens"], fields["user"]) == (2, "u")


@pytest.mark.parametrize(
    ("headers", "field", "value"),
    [
        ({"x-session-id": "s"}, "session_id", "s"),
        ({"x-openrouter-cache": "TRUE", "x-openrouter-cache-ttl": "60abc"}, "response_cache_ttl", 60),
        ({"x-openrouter-cache": "TRUE"}, "response_cache", True),
        ({"x-openrouter-cache": "false"}, "response_cache", False),
        ({}, "response_cache", None),
        ({"http-referer": "https://a.test"}, "referer", "https://a.test"),
        ({"x-title": "Old"}, "title", "Old"),
        ({"x-title": "Old", "x-openrouter-title": "New"}, "title", "New"),
    ],
)
def test_headers(headers, field, value) -> None:
    fields = {}
    read_headers(fields, headers)
    assert fields.get(field) == value


def test_the_session_of_the_body_wins() -> None:
    fields = {"session_id": "body"}
    read_headers(fields, {"x-session-id": "header"})
    assert fields["session_id"] == "body"


@pytest.mark.parametrize(
    ("value", "number"),
    [("60", 60), ("60abc", 60), ("1.5", 1), (" 7", 7), ("abc", None), ("-5", None), ("", None), (None, None)],
)
def test_leading_integer(value, number) -> None:
    assert leading_integer(value) == number


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"authorization": "Bearer sk-1"}, "sk-1"),
        ({"authorization": "bearer  sk-1 "}, "sk-1"),
        ({"authorization": "Bearer "}, None),
        ({"authorization": "Basic abc"}, None),
        ({"authorization": "Basic abc", "x-api-key": "sk-2"}, "sk-2"),
        ({"x-api-key": "sk-2"}, "sk-2"),
        ({}, None),
    ],
)
def test_api_keys(headers, key) -> None:
    assert api_key_of(headers) == key


def test_keys_are_hashed_as_openrouter_does() -> None:
    assert hash_api_key("sk-or-v1-x") == hashlib.sha256(b"sk-or-v1-x").hexdigest()


def form(*parts):
    """Return a multipart body."""
    return b"".join(b"--B\r\n" + head + b"\r\n\r\n" + value + b"\r\n" for head, value in parts) + b"--B--\r\n"


NAMED = b'Content-Disposition: form-data; name="%b"'


@pytest.mark.parametrize(
    ("content_type", "body", "fields"),
    [
        ("multipart/form-data; boundary=B", form((NAMED % b"model", b"m")), {"model": "m"}),
        ('multipart/form-data; boundary="B"; charset=x', form((NAMED % b"model", b"m")), {"model": "m"}),
        ("multipart/form-data", form((NAMED % b"model", b"m")), {}),
        ("multipart/form-data; boundary=B", form((NAMED % b"temperature", b"0.5")), {"temperature": 0.5}),
        ("multipart/form-data; boundary=B", form((NAMED % b"temperature", b"hot")), {"temperature": "hot"}),
        ("multipart/form-data; boundary=B", form((NAMED % b'file"; filename="a.wav', b"RIFF")), {}),
        ("multipart/form-data; boundary=B", form((NAMED % b"model", b"m" * 70_000)), {}),
        ("multipart/form-data; boundary=B", form((NAMED % b"\xff", b"\xfe")), {"\ufffd": "\ufffd"}),
        ("multipart/form-data; boundary=B", form((b"Content-Type: text/plain", b"m")), {}),
        ("multipart/form-data; boundary=B", form((NAMED % b"prompt", b"a\r\nb")), {"prompt": "a\r\nb"}),
        ("multipart/form-data; boundary=B", b"", {}),
    ],
    ids=str,
)
def test_forms(content_type, body, fields) -> None:
    assert read_form(body, content_type) == fields


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"\xff\xfe", {}, {"model": None}])
def test_bodies_that_say_nothing(body) -> None:
    exchange = exchange_for("POST", "https://openrouter.ai/api/v1/chat/completions", wants_content=True)
    exchange.on_end(lambda _: None)
    exchange.request({"content-type": "application/json"}, body)
    assert exchange.asked.model is None
    exchange.end(Outcome.ABANDONED)


@pytest.mark.parametrize(
    ("sent", "user", "session"),
    [({}, "ambient", "room"), ({"user": "own"}, "own", "room"), ({"session_id": "own"}, "ambient", "own")],
)
def test_the_request_wins_over_what_was_said_in_general(sent, user, session) -> None:
    ambient = Ambient(user="ambient", session_id="room", tags={"k": "v"}, trace_name="flow")
    exchange = exchange_for("POST", "https://openrouter.ai/api/v1/responses", ambient=ambient)
    made = []
    exchange.on_end(made.append)
    exchange.request({}, sent)
    exchange.end(Outcome.CANCELLED)
    assert (made[0].request.user, made[0].request.session_id) == (user, session)
    assert made[0].tags == {"k": "v"}
    assert (made[0].name, made[0].trace_name, made[0].span_name) == (None, "flow", None)
