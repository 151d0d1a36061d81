"""Message parts that several dialects share. Media are named by kind, type and size; their bytes are never kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orobserve.generation import Json, Media, Message, Part, Text, ToolCall
from orobserve.wire.document import original_length
from orobserve.wire.values import Object, mapping, objects, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MODALITIES = {"image": "image", "audio": "audio", "video": "video"}
_TEXTS = ("text", "input_text", "output_text")


def modality_of(mime_type: str | None, otherwise: str) -> str:
    """Return `image`, `audio` or `video` for a media type."""
    return _MODALITIES.get((mime_type or "").partition("/")[0], otherwise)


def media(source: object, modality: str, mime_type: str | None = None) -> Media:
    """Describe a URL, a data URL, or bare base64 (`mime_type` given)."""
    if not isinstance(source, str):
        return Media(type="uri", modality=modality, mime_type=mime_type)
    if source.startswith("data:"):
        head, _, payload = source.partition(",")
        mime_type = text(head[5:].partition(";")[0])
        return blob(payload, modality_of(mime_type, modality), mime_type)
    if source.startswith(("http://", "https://", "gs://", "s3://")):
        return Media(type="uri", modality=modality, mime_type=mime_type, uri=without_query(source))
    return blob(source, modality, mime_type)


def without_query(url: str) -> str | None:
    """Return a URL without its query, where signatures and tokens stand."""
    return text(url.partition("?")[0])


def blob(payload: object, modality: str, mime_type: str | None) -> Media:
    """Describe base64 data."""
    size = None
    if isinstance(payload, str):
        size = original_length(payload) * 3 // 4 - payload[-2:].count("=")
    return Media(type="blob", modality=modality, mime_type=mime_type, size=size)


def texts(value: object, read: Callable[[Object], Iterable[Part]]) -> tuple[Part, ...]:
    """Read a `content` that is a text, or a list of parts and plain texts."""
    if isinstance(value, str):
        return (Text(content=value),) if value else ()
    parts: list[Part] = []
    if isinstance(value, list):
        for item in value:
            if isinstance(item, str):
                parts.append(Text(content=item))
            elif isinstance(item, dict):
                parts.extend(read(item))
    return tuple(parts)


def without_media(content: Any) -> Json:  # noqa: ANN401 - JSON
    """Return a tool's answer with all its parts but texts reduced to their types."""
    if not isinstance(content, list):
        return content  # type: ignore[no-any-return]  # JSON already
    return [item if item.get("type") in _TEXTS else {"type": text(item.get("type"))} for item in objects(content)]


def tool_call(call_id: object, name: object, arguments: object) -> ToolCall:
    """Describe a tool call; arguments that are JSON text are parsed."""
    return ToolCall(id=text(call_id), name=text(name), arguments=_parsed(arguments))


def _parsed(arguments: Any) -> Json:  # noqa: ANN401 - JSON
    if isinstance(arguments, str):
        try:
            parsed: Json = json.loads(arguments)
        except (ValueError, RecursionError):
            return arguments
        return parsed
    return arguments  # type: ignore[no-any-return]  # JSON already


def tool_definitions(body: Object) -> tuple[Json, ...]:
    """Return the user's tools: type, name, description and parameters, in any dialect's nesting."""
    found: list[Json] = []
    for tool in objects(body.get("tools")):
        inner = mapping(tool.get("function")) or tool
        definition = {
            "type": text(tool.get("type")) or "function",
            "name": inner.get("name"),
            "description": inner.get("description"),
            "parameters": inner.get("parameters") or inner.get("input_schema"),
        }
        found.append({key: value for key, value in definition.items() if value is not None})
    return tuple(found)


def input_texts(value: object) -> tuple[Message, ...]:
    """Read an input that is a text or a list of texts as user messages."""
    items = value if isinstance(value, list) else [value]
    return tuple(Message(role="user", parts=(Text(content=item),)) for item in items if isinstance(item, str) and item)
