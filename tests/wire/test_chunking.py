"""How a body is cut, framed or compressed must not matter."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.chunks import CODINGS, COMMENTS, FRAMINGS, PLACES, cut, every
from tests.support.transcripts import Transcript, play, transcripts, untimed

ALL = transcripts()
# Streams whose last event is complete: reframing the others would change what they say.
STREAMED = [item for item in transcripts(streamed=True) if item.body.endswith(b"\n\n")]


def named(item):
    """Name a transcript in a test's id."""
    return item.name


def whole(transcript, **options):
    """Return the record of a transcript whose body came at once."""
    return untimed(play(transcript, **options))


@pytest.mark.parametrize("transcript", ALL, ids=named)
@settings(max_examples=15)
@given(places=PLACES, wants_content=st.booleans())
def test_any_chunking(transcript: Transcript, places: list[int], wants_content: bool) -> None:
    chunks = cut(transcript.body, places)
    assert untimed(play(transcript, chunks, wants_content=wants_content)) == whole(
        transcript, wants_content=wants_content
    )


@pytest.mark.parametrize("transcript", ALL, ids=named)
@pytest.mark.parametrize("size", [1, 2, 7])
def test_small_chunks(transcript: Transcript, size: int) -> None:
    assert untimed(play(transcript, every(transcript.body, size))) == whole(transcript)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("transcript", STREAMED, ids=named)
def test_every_framing(transcript: Transcript, framing: str) -> None:
    stream = FRAMINGS[framing](transcript.body)
    assert untimed(play(transcript, [stream])) == whole(transcript)
    assert untimed(play(transcript, every(stream, 1))) == whole(transcript)


@pytest.mark.parametrize("framing", FRAMINGS)
@settings(max_examples=150)
@given(transcript=st.sampled_from(STREAMED), places=PLACES)
def test_any_chunking_of_any_framing(transcript: Transcript, framing: str, places: list[int]) -> None:
    chunks = cut(FRAMINGS[framing](transcript.body), places)
    assert untimed(play(transcript, chunks)) == whole(transcript)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("transcript", STREAMED, ids=named)
def test_an_event_a_chunk(transcript: Transcript, end: bytes) -> None:
    chunks = [event.replace(b"\n", end[: len(end) // 2]) + end for event in transcript.body.split(b"\n\n")]
    for wants_content in (True, False):
        generation = untimed(play(transcript, chunks, wants_content=wants_content))
        assert generation == whole(transcript, wants_content=wants_content)


@pytest.mark.parametrize("comments", COMMENTS)
@settings(max_examples=150)
@given(transcript=st.sampled_from(STREAMED), places=PLACES)
def test_comments_anywhere(transcript: Transcript, comments: str, places: list[int]) -> None:
    generation = untimed(play(transcript, cut(COMMENTS[comments](transcript.body), places)))
    expected = whole(transcript)
    assert generation.stream.keepalive_count >= expected.stream.keepalive_count
    assert replace(generation, stream=None) == replace(expected, stream=None)
    assert generation.stream.chunk_count == expected.stream.chunk_count


@pytest.mark.parametrize("coding", CODINGS)
@settings(max_examples=150)
@given(transcript=st.sampled_from(ALL), places=PLACES)
def test_any_coding(transcript: Transcript, coding: str, places: list[int]) -> None:
    name, compress = CODINGS[coding]
    chunks = cut(compress(transcript.body), places)
    assert untimed(play(transcript, chunks, headers={"content-encoding": name})) == whole(transcript)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("transcript", STREAMED[::5], ids=named)
def test_any_coding_byte_by_byte(transcript: Transcript, coding: str) -> None:
    name, compress = CODINGS[coding]
    chunks = every(compress(transcript.body), 1)
    assert untimed(play(transcript, chunks, headers={"content-encoding": name})) == whole(transcript)


@pytest.mark.parametrize("transcript", ALL[::7], ids=named)
def test_content_that_the_library_has_decoded(transcript: Transcript) -> None:
    generation = untimed(play(transcript, headers={"content-encoding": "br"}, decoded=True))
    assert generation == whole(transcript)
