"""Legacy text completions: chat's shape with ``text`` in place of messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.testing import errors, usage
from orobserve.testing.chat import closing, native_finish
from orobserve.testing.sse import FINISHED, Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve.testing.answers import Answer
    from orobserve.testing.request import Payload
    from orobserve.testing.scenarios import Failure


def result(answer: Answer) -> Payload:
    """Build the body of a call that is not streamed."""
    payload = _envelope(answer, answer.text, answer.finish, native_finish(answer))
    payload["choices"][0]["reasoning"] = answer.reasoning or None
    usage.attach(payload, usage.chat(answer), answer)
    if answer.metadata is not None:
        payload["openrouter_metadata"] = answer.metadata
    return payload


def _envelope(answer: Answer, text: str, finish: str | None = None, native: str | None = None) -> Payload:
    return {
        "id": answer.generation_id,
        "object": "text_completion",
        "created": answer.created,
        "model": answer.model,
        "provider": answer.provider,
        "system_fingerprint": None,
        "choices": [
            {"index": 0, "text": text, "logprobs": None, "finish_reason": finish, "native_finish_reason": native}
        ],
    }


def events(answer: Answer) -> Iterator[Event]:
    """Stream the text, then the finish, then usage."""
    for piece in answer.pieces:
        yield Event(_envelope(answer, piece))
    yield Event(_envelope(answer, "", answer.finish, native_finish(answer)))
    yield from closing(answer, _envelope(answer, ""))


def failed(answer: Answer, failure: Failure) -> Payload:
    """Build a 200 body that says it failed."""
    if failure.place == "body200_top":
        return errors.body("completions", failure, story=answer.metadata)
    payload = _envelope(answer, "", "error", "error")
    payload["choices"][0]["error"] = errors.detail(failure)
    return payload


def broken_off(answer: Answer, failure: Failure) -> Iterator[Event]:
    """End a stream with an error chunk."""
    yield Event({**_envelope(answer, "", "error", "error"), "error": errors.detail(failure)})
    yield FINISHED
