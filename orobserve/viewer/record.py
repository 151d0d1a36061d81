"""One call's whole record for the page: long texts cut, the rest of them in pieces. Nothing here reads a ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orobserve.ledger import codec
from orobserve.telemetry.unpriced import why_unknown
from orobserve.viewer.plain import exact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve.generation import Generation

WHOLE = 20_000  # characters of a text that are sent at once
PIECE = 200_000  # characters of a piece
_ENOUGH = 600_000  # characters of a page; texts after that are cut to
_GLIMPSE = 1_000
_MESSAGES = 200  # of a conversation that are sent at once, the last ones
_ITEMS = 500  # of any other list
_RAW = "$raw"
_MONEY = {  # amounts in USD
    "cost": ("charged", "upstream", "upstream_input", "upstream_output", "total", "cache_discount"),
    "routing": ("pipeline_cost",),
}


def shown(generation: Generation) -> dict[str, Any]:
    """Return the record as the page has it: amounts as exact texts, and what tools were asked as indented JSON."""
    found: dict[str, Any] = document(generation)
    for name, amounts in _MONEY.items():
        part = found.get(name) or {}
        part.update({each: exact(part[each]) for each in amounts if each in part})
    content = found.get("content") or {}
    for message in [*content.get("input", ()), *content.get("output", ())]:
        for part in message["parts"]:
            part.update({name: _pretty(part[name]) for name in ("arguments", "response") if name in part})
    if "tools" in content:
        content["tools"] = [_pretty(tool) for tool in content["tools"]]
    return found


def document(generation: Generation) -> dict[str, Any]:
    """Return the record as the ledger keeps it."""
    found: dict[str, Any] = json.loads(codec.text_of(codec.encode(generation)))
    return found


def page(generation: Generation, before: int | None = None) -> dict[str, Any]:
    """Return the record with its long texts cut: each is `{"cut": its beginning, "length": ..., "path": ...}`.

    Args:
        generation: the call.
        before: only the messages before this one, where the conversation is longer than a page.
    """
    found = shown(generation)
    content = found.get("content") or {}
    asked = content.get("input", [])
    end = len(asked) if before is None else min(before, len(asked))
    start = max(0, end - _MESSAGES)
    if "input" in content:
        content["input"] = asked[start:end]
    cutter = _Cutter(start)
    if before is not None:
        return {"messages": cutter.cut(content.get("input", []), ["content", "input"]), "earlier": start}
    raw = _Cutter(0).cut(_raw(generation), [_RAW])
    is_known = generation.cost is not None and generation.cost.total is not None
    why = None if is_known else why_unknown(generation)
    return {"record": cutter.cut(found, []), "earlier": start, "raw": raw, "why": why}


def text_at(generation: Generation, path: Sequence[str | int]) -> str | None:
    """Return the whole text at a path that `page` gave; None: there is none."""
    if list(path) == [_RAW]:
        return _raw(generation)
    value: Any = shown(generation)
    for step in path:
        is_there = step in value if isinstance(value, dict) else isinstance(value, list) and step in range(len(value))
        if not is_there:
            return None
        value = value[step]
    return value if isinstance(value, str) else None


class _Cutter:
    """Cuts, and remembers how much a page holds already."""

    def __init__(self, first: int) -> None:
        self._first = first  # the number of the first message that is there
        self._room = _ENOUGH

    def cut(self, value: Any, path: list[str | int]) -> Any:  # noqa: ANN401 - JSON
        if isinstance(value, str):
            most = WHOLE if self._room > 0 else _GLIMPSE
            self._room -= min(most, len(value))
            return value if len(value) <= most else {"cut": value[:most], "length": len(value), "path": path}
        if isinstance(value, dict):
            return {name: self.cut(item, [*path, name]) for name, item in value.items()}
        if isinstance(value, list):
            first = self._first if path == ["content", "input"] else 0
            kept = [self.cut(item, [*path, first + number]) for number, item in enumerate(value[:_ITEMS])]
            return [*kept, {"more": len(value) - _ITEMS}] if len(value) > _ITEMS else kept
        return value


def _raw(generation: Generation) -> str:
    return json.dumps(document(generation), indent=2, ensure_ascii=False)


def _pretty(value: Any) -> str:  # noqa: ANN401 - JSON
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
