"""The conversation in plain texts, for products that show nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.generation import Media, Text, ToolCall, ToolCallResponse
from orobserve_exporters._messages import fit
from orobserve_exporters._spans import as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve.generation import Content, Json, Message, Part


def flat(parts: Sequence[Part]) -> str:
    """Return the texts of a message; media are named where they stood, never shown."""
    return "".join(_shown(part) for part in parts if isinstance(part, (Text, Media)))


def latest_question(content: Content) -> str:
    """Return the latest message of the user; without one, the last message that says anything."""
    said = [(message.role, _said(message)) for message in content.input]
    told = [text for role, text in said if text and role == "user"] or [text for _, text in said if text]
    return told[-1] if told else ""


def answer(content: Content) -> str:
    """Return what was answered; the tool calls where that is all there is."""
    answers = [flat(message.parts) for message in content.output]
    return "\n\n".join(filter(None, answers)) or "\n".join(filter(None, map(_calls, content.output)))


def shortened(text: str, limit: int) -> str:
    """Return a text of which the JSON has no more than `limit` bytes."""
    found = fit([{"": text}], limit)
    return found[0][""] if found else ""


def as_text(value: Json) -> str:
    """Return a value of JSON as a text; a text stays as it is."""
    return value if isinstance(value, str) else as_json(value)


def _said(message: Message) -> str:
    answers = [as_text(part.response) for part in message.parts if isinstance(part, ToolCallResponse)]
    return flat(message.parts) or "\n".join(answers)


def _calls(message: Message) -> str:
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    return "\n".join(f"{call.name}({as_text(call.arguments)})" for call in calls)


def _shown(part: Text | Media) -> str:
    if isinstance(part, Text):
        return part.content
    facts = (part.modality, part.mime_type, part.uri or part.file_id)
    return f"[{' '.join(filter(None, facts))}]"
