"""The conversation in the shape of chat completions, which most products know how to draw."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orobserve.generation import Media, Reasoning, Text, ToolCall, ToolCallResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve.generation import Content, Message, Part

LIMIT = 200_000  # bytes of JSON that a prompt, or a completion, may take: some profiles send it several times
_SHORTEST_TEXT = 256  # rather than shorten all texts further, leave out the oldest messages
_CUT_MARK = "…[truncated]"


def chat_messages(messages: Sequence[Message], system: Sequence[Part] = ()) -> list[dict[str, Any]]:
    """Return messages as `{"role", "content", "reasoning"?, "tool_calls"?, "tool_call_id"?, "name"?}`.

    Content is a text, or a list of parts where there is more than text. Media are what they are, never their bytes.
    """
    found = [_message("system", system, None)] if system else []
    for message in messages:
        answers = [part for part in message.parts if isinstance(part, ToolCallResponse)]
        found += [{"role": "tool", "tool_call_id": part.id, "content": _as_text(part.response)} for part in answers]
        rest = [part for part in message.parts if not isinstance(part, ToolCallResponse)]
        if rest or not answers:
            found.append(_message(message.role, rest, message.name))
    return found


def prompt(content: Content) -> list[dict[str, Any]]:
    """Return what was asked, within `LIMIT`."""
    return fit(chat_messages(content.input, content.system))


def completion(content: Content) -> list[dict[str, Any]]:
    """Return what was answered, within `LIMIT`."""
    return fit(chat_messages(content.output))


def fit(messages: list[dict[str, Any]], limit: int = LIMIT) -> list[dict[str, Any]]:
    """Shorten the longest texts until the JSON fits, then leave out the oldest messages; the structure stays valid."""
    text_limit, fitted = limit, messages
    while _size(fitted) > limit and text_limit > _SHORTEST_TEXT:
        text_limit //= 2
        fitted = [_cut(message, text_limit) for message in messages]
    sizes = [_size(message) + 1 for message in fitted]
    while sizes and sum(sizes) >= limit:
        sizes.pop(0)
    return fitted[len(fitted) - len(sizes) :]


def _size(value: object) -> int:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return len(text.encode("utf-8", "replace"))


def _cut(value: Any, limit: int) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return value if len(value) <= limit else value[: limit - len(_CUT_MARK)] + _CUT_MARK
    if isinstance(value, dict):
        return {key: _cut(item, limit) for key, item in value.items()}
    if isinstance(value, list):
        return [_cut(item, limit) for item in value]
    return value


def _message(role: str, parts: Sequence[Part], name: str | None) -> dict[str, Any]:
    message: dict[str, Any] = {"role": role, "content": _content(parts)}
    if name:
        message["name"] = name
    reasoning = [part.content for part in parts if isinstance(part, Reasoning)]
    if reasoning:
        message["reasoning"] = "\n".join(reasoning)
    calls = [part for part in parts if isinstance(part, ToolCall)]
    if calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _as_text(call.arguments)},
            }
            for call in calls
        ]
    return message


def _content(parts: Sequence[Part]) -> str | list[dict[str, Any]] | None:
    shown = [part for part in parts if isinstance(part, (Text, Media))]
    texts = [part.content for part in shown if isinstance(part, Text)]
    if len(texts) == len(shown):
        return "".join(texts) if texts else None
    return [_part(part) for part in shown]


def _part(part: Text | Media) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.content}
    facts = ("modality", "mime_type", "uri", "file_id", "size")
    given = {fact: getattr(part, fact) for fact in facts}
    return {"type": part.type, **{fact: value for fact, value in given.items() if value is not None}}


def _as_text(value: Any) -> str:  # noqa: ANN401 - JSON
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
