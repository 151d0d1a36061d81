"""Message parts: media are named, never kept."""

from __future__ import annotations

import pytest

from orobserve.generation import Media, Text, ToolCall
from orobserve.wire import parts


@pytest.mark.parametrize(
    ("source", "mime_type", "expected"),
    [
        ("https://a.test/i.png?sig=x", None, Media(type="uri", modality="image", uri="https://a.test/i.png")),
        (
            "gs://bucket/i.png",
            "image/png",
            Media(type="uri", modality="image", mime_type="image/png", uri="gs://bucket/i.png"),
        ),
        ("data:image/png;base64,AAAA", None, Media(type="blob", modality="image", mime_type="image/png", size=3)),
        ("data:video/mp4;base64,AAA=", None, Media(type="blob", modality="video", mime_type="video/mp4", size=2)),
        ("data:application/pdf,AA==", None, Media(type="blob", modality="image", mime_type="application/pdf", size=1)),
        ("data:,", None, Media(type="blob", modality="image", size=0)),
        ("AAAA", "image/webp", Media(type="blob", modality="image", mime_type="image/webp", size=3)),
        (None, "image/png", Media(type="uri", modality="image", mime_type="image/png")),
        ({"url": "x"}, None, Media(type="uri", modality="image")),
    ],
)
def test_media(source, mime_type, expected) -> None:
    assert parts.media(source, "image", mime_type) == expected


def test_a_blob_without_its_bytes() -> None:
    assert parts.blob(None, "audio", "audio/wav") == Media(type="blob", modality="audio", mime_type="audio/wav")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"a":1}', {"a": 1}),
        ('{"a":', '{"a":'),
        ("", ""),
        ("[" * 100_000, "[" * 100_000),
        ({"a": 1}, {"a": 1}),
        (None, None),
    ],
    ids=range(6),
)
def test_arguments(arguments, expected) -> None:
    assert parts.tool_call("c", "f", arguments) == ToolCall(id="c", name="f", arguments=expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("ok", "ok"),
        (None, None),
        (
            [{"type": "text", "text": "t"}, {"type": "image", "data": "AAAA"}, "x"],
            [{"type": "text", "text": "t"}, {"type": "image"}],
        ),
        ([{"type": []}, {}], [{"type": None}, {"type": None}]),
    ],
)
def test_answers_of_tools_hold_no_media(content, expected) -> None:
    assert parts.without_media(content) == expected


@pytest.mark.parametrize(
    ("value", "count"), [("a", 1), (["a", "", "b", 3], 2), ("", 0), (None, 0), ([1, 2], 0), ([[1]], 0)]
)
def test_input_texts(value, count: int) -> None:
    assert len(parts.input_texts(value)) == count


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a", ("a",)), ("", ()), (None, ()), ({}, ()), (["a", {"x": 1}, 3], ("a", "read"))],
)
def test_texts(value, expected) -> None:
    found = parts.texts(value, lambda part: [Text(content="read")])
    assert tuple(part.content for part in found) == expected
