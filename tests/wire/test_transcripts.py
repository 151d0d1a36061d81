"""Every transcript makes its record, to the last field."""

from __future__ import annotations

import json

import pytest

from orobserve.generation import Outcome
from tests.support.transcripts import Transcript, encode, play, transcripts, untimed

ALL = transcripts()


def exactly(value):
    """Return JSON text, so that 0, 0.0 and false are not the same."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False)


@pytest.mark.parametrize("transcript", ALL, ids=lambda item: item.name)
def test_makes_the_expected_record(transcript: Transcript) -> None:
    assert exactly(encode(play(transcript))) == exactly(transcript.expected)


@pytest.mark.parametrize("transcript", ALL, ids=lambda item: item.name)
def test_keeps_no_content_unless_asked(transcript: Transcript) -> None:
    expected = {key: value for key, value in transcript.expected.items() if key != "content"}
    assert exactly(encode(play(transcript, wants_content=False))) == exactly(expected)


@pytest.mark.parametrize("transcript", ALL, ids=lambda item: item.name)
@pytest.mark.parametrize("wants_content", [True, False])
def test_never_keeps_the_key(transcript: Transcript, wants_content: bool) -> None:
    secret = transcript.request["headers"]["Authorization"].removeprefix("Bearer ")
    assert secret not in repr(play(transcript, wants_content=wants_content))


@pytest.mark.parametrize("transcript", transcripts(streamed=True), ids=lambda item: item.name)
def test_cancelled_before_the_first_byte(transcript: Transcript) -> None:
    generation = play(transcript, [], reason=GeneratorExit())
    assert generation.outcome is Outcome.CANCELLED
    assert generation.finish_reasons == ("error",)
    assert generation.error is None
    assert generation.timing.first_chunk_at is None


@pytest.mark.parametrize(
    "transcript",
    [item for item in transcripts(streamed=True) if b"[DONE]" in item.body],
    ids=lambda item: item.name,
)
def test_bytes_after_the_end_change_nothing(transcript: Transcript) -> None:
    more = [transcript.body, b'data: {"model":"other","usage":{"prompt_tokens":99}}\n\n']
    assert untimed(play(transcript, more)) == untimed(play(transcript))


def test_every_dialect_is_there() -> None:
    dialects = {transcript.expected["api_type"] for transcript in ALL}
    assert len(dialects) == 11
    assert all(transcript.folder.parent.name == transcript.expected["api_type"] for transcript in ALL)
