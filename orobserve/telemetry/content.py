"""Message content in the semantic convention's shape: masked first, then cut to size, then written as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from orobserve._guard import guard
from orobserve.generation import Content, Media
from orobserve.telemetry import names
from orobserve.wire.redact import redact
from orobserve.wire.values import whole

if TYPE_CHECKING:
    from orobserve.config import Config
    from orobserve.generation import Message, Part

_CUT_MARK = "…[truncated]"
_SHORTEST_TEXT = 256  # rather than shorten all texts further, leave out the oldest messages


def masked(content: Content | None, config: Config) -> Content | None:
    """Run the user's mask. A mask that fails means no content."""
    if content is None or config.mask is None:
        return content
    with guard:
        found = config.mask(content)
        if found is not None and not isinstance(found, Content):
            raise TypeError("a mask returns Content or None")
        return found
    return None


def encode(content: Content, config: Config) -> dict[str, Any]:
    """Return the content attributes in structured form, each within the size limit."""
    attributes: dict[str, list[Any]] = {
        names.INPUT_MESSAGES: [_message(message) for message in content.input],
        names.OUTPUT_MESSAGES: [_message(message) for message in content.output],
        names.SYSTEM_INSTRUCTIONS: [_part(part) for part in content.system],
        names.TOOL_DEFINITIONS: list(content.tools),
    }
    return {name: _fit(value, config.content_limit) for name, value in attributes.items() if value}


def as_text(attributes: dict[str, Any]) -> dict[str, str]:
    """Return content attributes as JSON text, for spans."""
    return {name: _json(value) for name, value in attributes.items()}


def _message(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {"role": message.role, "parts": [_part(part) for part in message.parts]}
    if message.name:
        found["name"] = message.name
    if message.finish_reason:
        found["finish_reason"] = message.finish_reason
    return found


def _part(part: Part) -> dict[str, Any]:
    found = {"type": part.type, **{key: value for key, value in asdict(part).items() if value is not None}}
    if isinstance(part, Media) and part.type == "blob":
        found["content"] = ""  # the convention wants the key; the bytes are never captured
    cleaned: dict[str, Any] = _clean(found)
    return cleaned


def _clean(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return redact(whole(value))
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    return value


def _fit(value: list[Any], limit: int) -> list[Any]:
    """Shorten the longest texts until the JSON fits, then leave out the oldest items; the structure stays valid."""
    text_limit, shortest = limit, min(_SHORTEST_TEXT, limit // 8)
    fitted = [_cut(item, text_limit) for item in value]
    while _size(fitted) > limit:
        if text_limit <= shortest:
            return _newest(fitted, limit)
        text_limit //= 2
        fitted = [_cut(item, text_limit) for item in value]
    return fitted


def _newest(value: list[Any], limit: int) -> list[Any]:
    room, kept = limit - 1, []
    for item in reversed(value):
        room -= _size(item) + 1
        if room < 0:
            break
        kept.append(item)
    return kept[::-1]


def _size(value: Any) -> int:  # noqa: ANN401 - JSON
    return len(_json(value).encode("utf-8", "replace"))


def _cut(value: Any, limit: int) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return value if len(value) <= limit else value[: max(0, limit - len(_CUT_MARK))] + _CUT_MARK
    if isinstance(value, dict):
        return {key: _cut(item, limit) for key, item in value.items()}
    if isinstance(value, list):
        return [_cut(item, limit) for item in value]
    return value


def _json(value: Any) -> str:  # noqa: ANN401 - JSON
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
