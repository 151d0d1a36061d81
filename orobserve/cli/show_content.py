"""What was said in a call, as a conversation, and how much room each part of it takes up in the model's context."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orobserve.cli import table
from orobserve.generation import Media, Reasoning, Text, ToolCall, ToolCallResponse
from orobserve.telemetry.console import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from orobserve.generation import Content, Json, Message, Part

_LINES, _CHARACTERS = 15, 1_500  # of a part, on a terminal
_NARROW = 24  # characters of the widest bar
_LARGEST = 12  # single things that are listed


def write(out: TextIO, content: Content, *, full: bool) -> None:
    """Write the conversation: who said what, tools and media in their places."""
    if content.tools:
        _write_part(out, "tools", ", ".join(map(_tool_name, content.tools)), full=full)
    for part in content.system:
        _write_part(out, "system", _said(part), full=full)
    for message in (*content.input, *content.output):
        who = message.role + (f" ({message.name})" if message.name else "")
        for part in message.parts:
            _write_part(out, f"{who}: {part.type}" if not isinstance(part, Text) else who, _said(part), full=full)
        if not message.parts:
            _write_part(out, who, "", full=full)
    if content.citations:
        told = (" ".join(dict.fromkeys(filter(None, (each.title, each.url)))) for each in content.citations)
        _write_part(out, "sources", "\n".join(told), full=full)


def _write_part(out: TextIO, who: str, said: str, *, full: bool) -> None:
    shown = said if full else beginning(said)
    out.write(table.style(plain(who), "head", out) + "\n")
    out.writelines(f"  {line}\n" for line in plain(shown, lines=True).split("\n"))
    if len(shown) < len(said):
        out.write("  " + table.style(rest(said, shown), "dim", out) + "\n")


def beginning(said: str) -> str:
    """Return as much of a text as a terminal shows unless all is asked for."""
    return "\n".join(said[:_CHARACTERS].split("\n")[:_LINES])


def rest(said: str, shown: str) -> str:
    """Return what tells that a text goes on."""
    return f"… {table.counted(len(said) - len(shown), 'more character')}: --full shows them"


def _said(part: Part) -> str:
    if isinstance(part, (Text, Reasoning)):
        return part.content
    if isinstance(part, ToolCall):
        return f"{part.name or '?'}({_json(part.arguments)})"
    if isinstance(part, ToolCallResponse):
        return _json(part.response)
    return _media(part)


def _media(part: Media) -> str:
    size = None if part.size is None else table.counted(part.size, "byte")
    told = [part.modality, part.mime_type, size, part.uri, part.file_id]
    return f"[{', '.join(each for each in told if each)}]"


def _json(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _tool_name(tool: Json) -> str:
    if not isinstance(tool, dict):
        return str(tool)
    function = tool.get("function")
    inner: dict[str, Any] = function if isinstance(function, dict) else tool
    return str(inner.get("name") or inner.get("type") or "?")


def context(content: Content) -> dict[str, Any]:
    """Return what filled the model's context: characters by kind, and the largest single things, largest first."""
    things = list(_things(content))
    kinds: dict[str, int] = {}
    for kind, _, size in things:
        kinds[kind] = kinds.get(kind, 0) + size
    return {
        "characters": sum(kinds.values()),
        "kinds": [{"kind": kind, "characters": size} for kind, size in _ranked(kinds.items())],
        "largest": [
            {"what": what, "characters": size} for what, size in _ranked((what, size) for _, what, size in things)
        ][:_LARGEST],
    }


def _things(content: Content) -> Iterator[tuple[str, str, int]]:
    """Yield all that went into the context: its kind, its name, its characters."""
    for tool in content.tools:
        yield "tools", f"tool {_tool_name(tool)}", len(_json(tool))
    for number, part in enumerate(content.system, 1):
        yield "system", f"system {number}" if len(content.system) > 1 else "system", len(_said(part))
    last = len(content.input)
    for number, message in enumerate(content.input, 1):
        size = sum(len(_said(part)) for part in message.parts)
        kind = "system" if message.role in {"system", "developer"} else "history"
        yield "last message" if number == last else kind, _message_name(number, message), size


def _message_name(number: int, message: Message) -> str:
    return f"message {number} ({message.role})"


def _ranked(sizes: Any) -> list[tuple[str, int]]:  # noqa: ANN401 - pairs
    return sorted(sizes, key=lambda each: -each[1])


def write_context(out: TextIO, found: dict[str, Any], tokens: int | None) -> None:
    """Write what filled the context, and the tokens it came to."""
    whole = found["characters"]
    _write_sizes(out, ("kind", "characters", "share", ""), [tuple(each.values()) for each in found["kinds"]], whole)
    out.write("\n")
    _write_sizes(
        out, ("largest", "characters", "share", ""), [tuple(each.values()) for each in found["largest"]], whole
    )
    counted = "?" if tokens is None else str(tokens)
    out.write(f"\n{table.counted(whole, 'character')}, {counted} input tokens; media are not counted in characters\n")


def _write_sizes(out: TextIO, head: Sequence[str], sizes: Sequence[tuple[str, int]], whole: int) -> None:
    rows = [
        (name, str(size), f"{size / (whole or 1):.0%}", "█" * round(_NARROW * size / (whole or 1)))
        for name, size in sizes
    ]
    table.write(out, head, rows, ["" for _ in rows], (1, 2))
