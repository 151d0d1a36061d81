"""The table of inference dialects: which functions build each one's bodies, and what each one measures."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

from orobserve.testing import audio, chat, completions, embeddings, images, messages, rerank, responses, videos
from orobserve.testing.answers import TOKENS_PER_IMAGE, Answer, Measure
from orobserve.testing.prose import count_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orobserve.testing.request import InferenceRequest, Payload
    from orobserve.testing.scenarios import Failure
    from orobserve.testing.sse import Event

_DOCUMENTS_PER_SEARCH = 100
_SPOKEN_TOKENS_PER_TEXT_TOKEN = 5
_DEFAULT_VIDEO_SECONDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one endpoint speaks. ``needs`` lists alternative body fields of which one must be present."""

    name: str
    needs: tuple[str, ...]
    result: Callable[[Answer], Payload]
    events: Callable[[Answer], Iterator[Event]] | None = None
    failed: Callable[[Answer, Failure], Payload] | None = None
    broken_off: Callable[[Answer, Failure], Iterator[Event]] | None = None
    measure: Callable[[InferenceRequest], Measure] | None = None
    status: int = 200


def _speech(request: InferenceRequest) -> Measure:
    return Measure(written=count_tokens(request.prompt) * _SPOKEN_TOKENS_PER_TEXT_TOKEN)


def _transcription(request: InferenceRequest) -> Measure:
    return Measure(units=audio.seconds_of(dict(request.body)), written=10)


def _rerank(request: InferenceRequest) -> Measure:
    documents = request.body.get("documents")
    count = len(documents) if isinstance(documents, list) else 0
    return Measure(units=Decimal(max(1, -(-count // _DOCUMENTS_PER_SEARCH))))


def _images(request: InferenceRequest) -> Measure:
    count = int(request.body.get("n") or 1)
    return Measure(units=Decimal(count), image=count * TOKENS_PER_IMAGE)


def _videos(request: InferenceRequest) -> Measure:
    return Measure(units=Decimal(int(request.body.get("duration") or _DEFAULT_VIDEO_SECONDS)))


def _nothing(_request: InferenceRequest) -> Measure:
    return Measure()


def _bytes_only(_answer: Answer) -> Payload:
    """Speech has no JSON result; its bytes come from `audio.speech_body`."""
    return {}


DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            Dialect(
                name="chat",
                needs=("messages", "prompt"),
                result=chat.result,
                events=chat.events,
                failed=chat.failed,
                broken_off=chat.broken_off,
            ),
            Dialect(
                name="completions",
                needs=("prompt",),
                result=completions.result,
                events=completions.events,
                failed=completions.failed,
                broken_off=completions.broken_off,
            ),
            Dialect(
                name="responses",
                needs=("input",),
                result=responses.result,
                events=responses.events,
                failed=responses.failed,
                broken_off=responses.broken_off,
            ),
            Dialect(
                name="messages",
                needs=("messages",),
                result=messages.result,
                events=messages.events,
                failed=messages.failed,
                broken_off=messages.broken_off,
            ),
            Dialect(name="embeddings", needs=("input",), result=embeddings.result, measure=_nothing),
            Dialect(name="rerank", needs=("query",), result=rerank.result, measure=_rerank),
            Dialect(
                name="images",
                needs=("prompt",),
                result=images.result,
                events=images.events,
                broken_off=images.broken_off,
                measure=_images,
            ),
            Dialect(name="speech", needs=("input",), result=_bytes_only, measure=_speech),
            Dialect(
                name="transcriptions",
                needs=("input_audio", "file"),
                result=audio.transcription,
                measure=_transcription,
            ),
            Dialect(name="videos", needs=("prompt",), result=videos.submitted, measure=_videos, status=202),
        )
    }
)
