"""Spans in the words of OpenInference, which Arize, Phoenix and others read. Knows no endpoint.

https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve_exporters import _details
from orobserve_exporters._address import AddressedExporter
from orobserve_exporters._figures import split_cost
from orobserve_exporters._messages import completion, prompt
from orobserve_exporters._otlp import as_json

if TYPE_CHECKING:
    from orobserve.generation import Cost, Generation, Usage
    from orobserve_exporters._otlp import Attributes

_KINDS = {"embeddings": "EMBEDDING", "rerank": "RERANKER"}  # of an operation; every other one is a language model's
_MODELS = {"embeddings": "embedding.model_name", "rerank": "reranker.model_name"}
_TOKENS = {
    "input_tokens": "llm.token_count.prompt",
    "output_tokens": "llm.token_count.completion",
    "total_tokens": "llm.token_count.total",
    "cache_read_input_tokens": "llm.token_count.prompt_details.cache_read",
    "cache_write_input_tokens": "llm.token_count.prompt_details.cache_write",
    "audio_input_tokens": "llm.token_count.prompt_details.audio",
    "reasoning_output_tokens": "llm.token_count.completion_details.reasoning",
    "audio_output_tokens": "llm.token_count.completion_details.audio",
}


class OpenInferenceExporter(AddressedExporter):
    """A destination that reads OpenInference."""

    def attributes(self, generation: Generation) -> Attributes:
        """Return the generation's attributes; totals are inclusive, and a cost of 0 is a cost."""
        kind, model = _KINDS.get(generation.operation, "LLM"), _details.model(generation)
        return {
            **_identity(generation, kind, {**_details.facts(generation), **_details.metadata(generation)}),
            "llm.model_name": model,
            _MODELS.get(generation.operation, "llm.model_name"): model,
            "llm.request.model_name": generation.request.model,
            "llm.response.model_name": generation.model,
            "llm.provider": generation.provider and generation.provider.lower(),
            "llm.invocation_parameters": _details.parameters(generation) or None,
            "llm.finish_reason": (generation.finish_reasons or (None,))[0],
            **_content(generation),
            **(_tokens(generation.usage) if generation.usage else {}),
            **(_cost(generation.cost) if generation.cost else {}),
        }

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:  # noqa: ARG002 - the span's name
        """Return what a named parent carries: all but model, tokens and cost."""
        return {**_identity(generation, "CHAIN", _details.metadata(generation)), **_values(generation)}


def _identity(generation: Generation, kind: str, metadata: dict[str, Any]) -> Attributes:
    return {
        "openinference.span.kind": kind,
        "session.id": generation.request.session_id,
        "user.id": generation.request.user,
        "metadata": metadata or None,
        "tag.tags": _details.tags(generation),
    }


def _tokens(usage: Usage) -> Attributes:
    return {name: getattr(usage, field) for field, name in _TOKENS.items()}


def _cost(cost: Cost) -> Attributes:
    given, taken = split_cost(cost) or (None, None)
    return {"llm.cost.total": cost.total, "llm.cost.prompt": given, "llm.cost.completion": taken}


def _values(generation: Generation) -> Attributes:
    content = generation.content
    if content is None:
        return {}
    found: Attributes = {}
    for side, messages in (("input", prompt(content)), ("output", completion(content))):
        if messages:
            found |= {f"{side}.value": {"messages": messages}, f"{side}.mime_type": "application/json"}
    return found


def _content(generation: Generation) -> Attributes:
    content, found = generation.content, _values(generation)
    if content is None:
        return found
    for side, messages in (("input", prompt(content)), ("output", completion(content))):
        for number, message in enumerate(messages):
            found |= _message(f"llm.{side}_messages.{number}.message.", message)
    for number, tool in enumerate(content.tools):
        found[f"llm.tools.{number}.tool.json_schema"] = as_json(tool)
    return found


def _message(prefix: str, message: dict[str, Any]) -> Attributes:
    found = {f"{prefix}{key}": message.get(key) for key in ("role", "name", "tool_call_id")}
    content, reasoning = message["content"], message.get("reasoning")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
    if reasoning:
        parts = [{"type": "reasoning", "text": reasoning}, *parts]
    if isinstance(content, str) and not reasoning:
        found[f"{prefix}content"] = content
    else:
        for number, part in enumerate(parts):
            found |= _part(f"{prefix}contents.{number}.message_content.", part)
    for number, call in enumerate(message.get("tool_calls", ())):
        path = f"{prefix}tool_calls.{number}.tool_call."
        found[f"{path}id"] = call["id"]
        found[f"{path}function.name"] = call["function"]["name"]
        found[f"{path}function.arguments"] = call["function"]["arguments"]
    return found


def _part(prefix: str, part: dict[str, Any]) -> Attributes:
    """Return one part of a message: a text, or what a medium is, with its address where it has one."""
    if part["type"] in {"text", "reasoning"}:
        return {f"{prefix}type": part["type"], f"{prefix}text": part["text"]}
    if part.get("modality") == "image" and part.get("uri"):
        return {f"{prefix}type": "image", f"{prefix}image.image.url": part["uri"]}
    return {f"{prefix}type": "text", f"{prefix}text": as_json(part)}
