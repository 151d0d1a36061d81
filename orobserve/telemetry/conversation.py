"""What was said, as spans of others have it: the conventions' messages, chat completions in a text, indexed names."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orobserve.generation import Content
from orobserve.telemetry.decode import read_content as read_standard
from orobserve.telemetry.spellings import parsed
from orobserve.wire.chat import read_prompt
from orobserve.wire.values import mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.wire.values import Object

_PROMPTS = ("gen_ai.prompt", "span.input", "trace.input")  # Broadcast's, all the same
_COMPLETIONS = ("gen_ai.completion", "span.output", "trace.output")
_INDEXED = re.compile(  # OpenLLMetry's and OpenInference's
    r"(?:gen_ai\.|llm\.)(?P<side>prompt|completion|input_messages|output_messages)"
    r"\.(?P<index>\d{1,4})\.(?:message\.)?(?P<field>role|content)"
)
_ANSWERS = {"completion", "output_messages"}


def read_content(attributes: Mapping[str, Any], finish_reason: str | None) -> Content | None:
    """Return the conversation, or None where the span has nothing of it."""
    found = read_standard(attributes)
    if found is not None:
        return found
    asked, answered = _asked(attributes), _answered(attributes)
    if not asked and not answered:
        asked, answered = _indexed(attributes)
    prompt = read_prompt(asked) if asked else Content()
    output = read_prompt({"messages": [answered]}).input if answered else ()
    if finish_reason and output:
        output = tuple(replace(message, finish_reason=finish_reason) for message in output)
    return Content(input=prompt.input, output=output, tools=prompt.tools) if prompt.input or output else None


def _asked(attributes: Mapping[str, Any]) -> Object:
    """Return the request: as Broadcast tells it, else as it echoes it in the answer, which it does for failed calls."""
    raw = raw_request(attributes)
    messages = _messages(_first(attributes, _PROMPTS)) or _messages(raw)
    return {"messages": messages, "tools": raw.get("tools")} if messages else {}


def raw_request(attributes: Mapping[str, Any]) -> Object:
    """Return the request's body as Broadcast echoes it; empty if it does not."""
    return mapping(mapping(_first(attributes, _COMPLETIONS)).get("rawRequest"))


def _messages(found: Any) -> list[Any]:  # noqa: ANN401 - JSON
    if isinstance(found, dict):
        found = found.get("messages") or found.get("input") or found.get("prompt")
    if isinstance(found, str):
        return [{"role": "user", "content": found}]
    if not isinstance(found, list):
        return []
    return [{"role": "user", "content": item} if isinstance(item, str) else item for item in found]


def _answered(attributes: Mapping[str, Any]) -> Object:
    """Return the answer as a message of a chat completion."""
    found = _first(attributes, _COMPLETIONS)
    if isinstance(found, str):
        return {"role": "assistant", "content": found}
    given = mapping(found)
    answer = {
        "content": given.get("completion"),
        "reasoning": given.get("reasoning"),
        "tool_calls": given.get("toolCalls"),
    }
    answer = {key: value for key, value in answer.items() if value}
    return {"role": "assistant", **answer} if answer else {}


def _first(attributes: Mapping[str, Any], spellings: tuple[str, ...]) -> Any:  # noqa: ANN401 - JSON
    return next((parsed(attributes[name]) for name in spellings if attributes.get(name)), None)


def _indexed(attributes: Mapping[str, Any]) -> tuple[Object, Object]:
    """Return the request and the last answer from names with an index."""
    rows: dict[tuple[bool, int], Object] = {}
    for name, value in attributes.items():
        found = _INDEXED.fullmatch(name)
        if found is not None and isinstance(value, str):
            place = (found["side"] in _ANSWERS, int(found["index"]))
            said = parsed(value) if found["field"] == "content" and value.startswith("[{") else value
            rows.setdefault(place, {})[found["field"]] = said
    asked = [rows[place] for place in sorted(rows) if not place[0]]
    answers = [rows[place] for place in sorted(rows) if place[0]]
    last = {"role": "assistant", **answers[-1]} if answers else {}
    return ({"messages": asked} if asked else {}), last
