"""The conversation in the shape of chat completions, which most products know how to draw."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve.generation import Content, Message, Part


def chat_messages(messages: Sequence[Message], system: Sequence[Part] = ()) -> list[dict[str, Any]]:
    """Return messages as `{"role", "content", "reasoning"?, "tool_calls"?, "tool_call_id"?, "name"?}`.

    Content is a text, or a list of parts where there is more than text. Media are what they are, never their bytes.
    """
    found = [_message("system", system, None)] if system else []
    for message in messages:
        answers = [part for part in message.parts if part.type == "tool_call_response"]
        found += [
            {"role": "tool", "tool_call_id": part.id, "content": _as_text(part.response)}  # type: ignore[union-attr]
            for part in answers
        ]
        rest = [part for part in message.parts if part.type != "tool_call_response"]
        if rest or not answers:
            found.append(_message(message.role, rest, message.name))
    return found


def prompt(content: Content) -> list[dict[str, Any]]:
    """Return what was asked."""
    return chat_messages(content.input, content.system)


def completion(content: Content) -> list[dict[str, Any]]:
    """Return what was answered."""
    return chat_messages(content.output)


def _message(role: str, parts: Sequence[Part], name: str | None) -> dict[str, Any]:
    message: dict[str, Any] = {"role": role, "content": _content(parts)}
    if name:
        message["name"] = name
    reasoning = [part.content for part in parts if part.type == "reasoning"]  # type: ignore[union-attr]
    if reasoning:
        message["reasoning"] = "\n".join(reasoning)
    calls = [part for part in parts if part.type == "tool_call"]
    if calls:
        message["tool_calls"] = [
            {
                "id": call.id,  # type: ignore[union-attr]
                "type": "function",
                "function": {"name": call.name, "arguments": _as_text(call.arguments)},  # type: ignore[union-attr]
            }
            for call in calls
        ]
    return message


def _content(parts: Sequence[Part]) -> str | list[dict[str, Any]] | None:
    shown = [part for part in parts if part.type not in {"reasoning", "tool_call", "tool_call_response"}]
    if all(part.type == "text" for part in shown):
        return "".join(part.content for part in shown) if shown else None  # type: ignore[union-attr]
    return [_part(part) for part in shown]


def _part(part: Part) -> dict[str, Any]:
    if part.type == "text":
        return {"type": "text", "text": part.content}  # type: ignore[union-attr]
    facts = ("modality", "mime_type", "uri", "file_id", "size")
    given = {fact: getattr(part, fact, None) for fact in facts}
    return {"type": part.type, **{fact: value for fact, value in given.items() if value is not None}}


def _as_text(value: Any) -> str:  # noqa: ANN401 - JSON
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
