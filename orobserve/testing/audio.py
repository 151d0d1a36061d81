"""Speech (bytes only) and transcriptions (JSON)."""

from __future__ import annotations

from decimal import Decimal
from email import message_from_bytes
from typing import TYPE_CHECKING

from orobserve.testing import usage
from orobserve.testing.media import speech
from orobserve.testing.pricing import number

if TYPE_CHECKING:
    from email.message import Message

    from orobserve.testing.answers import Answer
    from orobserve.testing.request import Payload

_SPEECH_TYPES = {"pcm": "audio/pcm", "mp3": "audio/mpeg"}


def speech_body(answer: Answer) -> tuple[str, bytes]:
    """Speak: the content type and the bytes. Nothing in them tells usage or cost."""
    kind = str(answer.request.body.get("response_format") or "mp3")
    return _SPEECH_TYPES.get(kind, "audio/mpeg"), speech(kind, answer.tokens.completion)


def transcription(answer: Answer) -> Payload:
    """Build the transcript; the verbose format adds segments and words."""
    asked = answer.request.body
    seconds = number(answer.tokens.units)
    text = answer.scenario.text or "Hello, this is a simulated transcription."
    payload: Payload = {"text": text}
    if asked.get("response_format") == "verbose_json":
        language = asked.get("language") or "en"
        payload |= {"task": "transcribe", "language": language, "duration": seconds}
        payload["segments"] = [{"id": 0, "start": 0, "end": seconds, "text": text}]
        payload["words"] = [{"word": word, "start": 0, "end": seconds} for word in text.split()]
    tokens = answer.tokens
    counts: Payload = {
        "seconds": seconds,
        "input_tokens": tokens.prompt,
        "output_tokens": tokens.completion,
        "total_tokens": tokens.total,
    }
    if answer.scenario.cost != "absent":
        counts["cost"] = usage.spell(answer.charge.charged, answer.scenario.cost)
    return usage.attach(payload, counts, answer)


def seconds_of(body: Payload) -> Decimal:
    """Guess how long the audio of a transcription request is, from its size."""
    given = body.get("input_audio")
    data = given.get("data") if isinstance(given, dict) else body.get("file")
    size = len(data) if isinstance(data, str | bytes) else 0
    return Decimal(1 + size // 16_000)


def form_body(content_type: str, raw: bytes) -> Payload | None:
    """Read a multipart transcription request into the shape of a JSON one; None when it cannot be read."""
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + raw)
    if not message.is_multipart():
        return None
    fields: Payload = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str):
            fields[name.removesuffix("[]")] = _value(part)
    return fields


def _value(part: Message) -> str | bytes:
    data = part.get_payload(decode=True)
    raw = data if isinstance(data, bytes) else b""
    return raw if part.get_filename() else raw.decode()
