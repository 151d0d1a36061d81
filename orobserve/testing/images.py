"""Images: the result, and the stream of partial and completed pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.testing import usage
from orobserve.testing.media import PICTURE_BASE64
from orobserve.testing.sse import FINISHED, Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve.testing.answers import Answer
    from orobserve.testing.request import Payload
    from orobserve.testing.scenarios import Failure

_PARTIALS = 2


def result(answer: Answer) -> Payload:
    """Build the body of a call that is not streamed; it has no id."""
    picture = {"b64_json": PICTURE_BASE64, "media_type": "image/png"}
    payload: Payload = {"created": answer.created, "data": [picture] * int(answer.tokens.units)}
    return usage.attach(payload, usage.images(answer), answer)


def events(answer: Answer) -> Iterator[Event]:
    """Stream partial pictures, a word about the work, and the finished pictures; the last one has usage."""
    for index in range(_PARTIALS):
        partial = {"type": "image_generation.partial_image", "partial_image_index": index, "b64_json": PICTURE_BASE64}
        yield Event(partial)
    yield Event({"type": "image_generation.text_chunk", "phase": "content", "text": "A picture."})
    pictures = int(answer.tokens.units)
    for index in range(pictures):
        done: Payload = {
            "type": "image_generation.completed",
            "b64_json": PICTURE_BASE64,
            "media_type": "image/png",
            "created": answer.created,
        }
        last = index == pictures - 1
        yield Event(usage.attach(done, usage.images(answer), answer) if last else done)
    yield FINISHED


def broken_off(_answer: Answer, failure: Failure) -> Iterator[Event]:
    """End a stream with an error event."""
    code = str(failure.http_status if failure.code is None else failure.code)
    error = {"message": failure.message, "code": code, "param": None, "type": failure.error_type}
    yield Event({"type": "error", "error": error}, terminal=True)
    yield FINISHED
