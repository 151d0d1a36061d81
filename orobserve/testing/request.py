"""Reads what the dialects of an inference request have in common: model, prompt text, tools, output schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Payload = dict[str, Any]

_TEXT_KEYS = ("text", "content", "input", "output", "prompt", "instructions", "system", "query", "messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceRequest:
    """One inference request, as far as any dialect needs it. Header names are lower case."""

    dialect: str
    path: str
    body: Mapping[str, Any]
    raw: bytes
    headers: Mapping[str, str]
    key: str

    @property
    def stream(self) -> bool:
        """Whether an event stream was asked for."""
        return self.body.get("stream") is True

    @property
    def model(self) -> str:
        """The slug as sent; empty when the account default is meant."""
        model = self.body.get("model")
        if isinstance(model, str) and model:
            return model
        models = self.models
        return models[0] if models else ""

    @property
    def models(self) -> list[str]:
        """The ordered fallbacks, whichever way the dialect spells them."""
        models = self.body.get("models")
        if isinstance(models, list):
            return [model for model in models if isinstance(model, str)]
        fallbacks = self.body.get("fallbacks")
        if isinstance(fallbacks, list):
            return [item["model"] for item in fallbacks if isinstance(item, dict) and "model" in item]
        return []

    @property
    def wants_metadata(self) -> bool:
        """Whether router metadata was asked for, by either header name."""
        names = ("x-openrouter-metadata", "x-openrouter-experimental-metadata")
        return any(self.headers.get(name, "").lower() == "enabled" for name in names)

    @property
    def prompt(self) -> str:
        """All prompt text, for counting tokens."""
        return "\n".join(_texts({key: self.body[key] for key in _TEXT_KEYS if key in self.body}))

    @property
    def question(self) -> str:
        """The text of the last turn: what an echo should repeat."""
        for key in ("messages", "input", "prompt", "query"):
            value = self.body.get(key)
            if isinstance(value, list) and value:
                return " ".join(_texts(value[-1]))
            if isinstance(value, str):
                return value
        return ""

    @property
    def answers_a_tool(self) -> bool:
        """Whether the last turn brings a tool's result, so that asking for the tool again would loop."""
        turns = self.body.get("messages") or self.body.get("input")
        last = turns[-1] if isinstance(turns, list) and turns else None
        if not isinstance(last, dict):
            return False
        if last.get("role") == "tool" or last.get("type") == "function_call_output":
            return True
        content = last.get("content")
        parts = content if isinstance(content, list) else []
        return any(isinstance(part, dict) and part.get("type") == "tool_result" for part in parts)

    @property
    def tools(self) -> list[tuple[str, Payload]]:
        """The offered functions as (name, JSON schema of the arguments)."""
        offered = self.body.get("tools")
        found = []
        for tool in offered if isinstance(offered, list) else []:
            function = tool.get("function", tool) if isinstance(tool, dict) else {}
            if isinstance(function, dict) and isinstance(function.get("name"), str):
                schema = function.get("parameters") or function.get("input_schema") or {}
                found.append((function["name"], schema))
        return found

    @property
    def forced_tool(self) -> tuple[str, Payload] | None:
        """The function the caller insists on, if any."""
        choice = self.body.get("tool_choice")
        if isinstance(choice, dict):
            name = choice.get("name") or (choice.get("function") or {}).get("name")
            if name:
                return next((tool for tool in self.tools if tool[0] == name), None)
            choice = choice.get("type")
        return self.tools[0] if choice in {"required", "any"} and self.tools else None

    @property
    def output_schema(self) -> Payload | None:
        """The JSON schema the answer must follow; empty for free-form JSON, None for plain text."""
        chosen: Any = self.body.get("response_format")
        for outer in ("text", "output_config"):
            block = self.body.get(outer)
            if isinstance(block, dict) and block.get("format"):
                chosen = block["format"]
        if not isinstance(chosen, dict) or chosen.get("type") not in {"json_object", "json_schema"}:
            return None
        schema = (chosen.get("json_schema") or {}).get("schema") or chosen.get("schema") or {}
        return schema if isinstance(schema, dict) else {}


def _texts(value: object) -> Iterator[str]:
    """Collect the strings of a prompt in any dialect, leaving out media data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key in _TEXT_KEYS:
            if key in value:
                yield from _texts(value[key])


def parse_body(raw: bytes) -> Payload | None:
    """Read a JSON object; None when it is anything else."""
    try:
        body = json.loads(raw or b"null")
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
