"""A generation in the words of Datadog's LLM Observability SDK: what a span says (`meta`), and its `metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve._version import __version__
from orobserve.generation import Outcome, Reasoning, ToolCall, ToolCallResponse
from orobserve_exporters._details import facts, metadata, model, parameters
from orobserve_exporters._figures import known, split_cost, total_tokens
from orobserve_exporters._messages import fit
from orobserve_exporters._texts import answer, as_text, flat, latest_question, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.generation import Content, Cost, Generation, Json, Message, Usage

Item = dict[str, Any]

_MESSAGES, _TOOLS, _VALUE = 1_000_000, 200_000, 100_000  # bytes of JSON: a span must not exceed a request
_FIELDS_OF_THEIR_OWN = frozenset({"cost_usd", "time_to_first_token"})


def raw(span: Item) -> Item:
    """Return a span as the SDK writes it for the intake behind the agent."""
    described = {
        "span": {"kind": span["meta"]["kind"]},
        **{key: span["meta"][key] for key in span["meta"] if key != "kind"},
    }
    linked = {key: span[key] for key in ("span_id", "trace_id", "apm_trace_id")}
    plain = {key: value for key, value in span.items() if key != "apm_trace_id"}
    return {
        "_dd.stage": "raw",
        "_dd.tracer_version": __version__,
        "event_type": "span",
        "spans": [{**plain, "meta": described, "_dd": linked}],
    }


def meta(generation: Generation, dropped: str | None) -> Item:
    """Return what the generation's span says; `dropped` is a span above it that Datadog does not have."""
    content, error = generation.content, generation.error
    failed = error is not None or generation.outcome is Outcome.FAILED
    about = {key: value for key, value in facts(generation).items() if key not in _FIELDS_OF_THEIR_OWN}
    asked_model = model(generation)
    about |= {"model_name": asked_model, "model_provider": generation.provider, "parent_span_id": dropped}
    embedding = generation.operation == "embeddings"
    return known(
        {
            "kind": "embedding" if embedding else "llm",
            "model_name": asked_model,
            "model_provider": generation.provider and generation.provider.lower(),
            **(_values(content) if content and embedding else _messages(content) if content else {}),
            "metadata": known({**metadata(generation), **parameters(generation), **about}),
            "tool_definitions": fit([_tool(tool) for tool in content.tools], _TOOLS)
            if content and content.tools
            else None,
            "error": known(
                {
                    "type": error.type if error else generation.outcome.value,
                    "message": (error.message or error.type) if error else None,
                }
            )
            if failed
            else None,
        }
    )


def workflow(generation: Generation) -> Item:
    """Return what a named parent says."""
    return {
        "kind": "workflow",
        **(_values(generation.content) if generation.content else {}),
        "metadata": metadata(generation),
    }


def _values(content: Content) -> Item:
    said = {"input": latest_question(content), "output": answer(content)}
    return {side: {"value": shortened(text, _VALUE)} for side, text in said.items() if text}


def _messages(content: Content) -> Item:
    system = [{"role": "system", "content": flat(content.system)}] if content.system else []
    names = {part.id: part.name for said in content.input for part in said.parts if isinstance(part, ToolCall)}
    sides = {
        "input": [*system, *(item for message in content.input for item in _message(message, names))],
        "output": [item for message in content.output for item in _message(message, names)],
    }
    return {side: {"messages": fit(messages, _MESSAGES)} for side, messages in sides.items() if messages}


def _message(message: Message, names: Mapping[str | None, str | None]) -> list[Item]:
    """Return a message; reasoning is one of its own, as in the SDK, and goes first."""
    thoughts = [part.content for part in message.parts if isinstance(part, Reasoning)]
    calls = [
        known({"name": part.name, "arguments": _object(part.arguments), "tool_id": part.id, "type": "function"})
        for part in message.parts
        if isinstance(part, ToolCall)
    ]
    results = [
        known({"name": names.get(part.id), "result": as_text(part.response), "tool_id": part.id, "type": "tool_result"})
        for part in message.parts
        if isinstance(part, ToolCallResponse)
    ]
    said = {"role": message.role, "content": flat(message.parts)}
    said |= known({"tool_calls": calls or None, "tool_results": results or None})
    return [*([{"role": "reasoning", "content": "\n".join(thoughts)}] if thoughts else []), said]


def _object(arguments: Json) -> Item:
    return arguments if isinstance(arguments, dict) else {} if arguments is None else {"value": as_text(arguments)}


def _tool(tool: Any) -> Item:  # noqa: ANN401 - JSON, in the dialect of any API
    given: Item = tool if isinstance(tool, dict) else {}
    inner = given.get("function")
    said: Item = inner if isinstance(inner, dict) else given
    schema = said.get("parameters") or said.get("input_schema")
    return known(
        {"name": said.get("name") or given.get("type"), "description": said.get("description"), "schema": schema}
    )


def metrics(generation: Generation) -> Item:
    """Return counts, seconds and USD; what is unknown is not there."""
    usage, cost = generation.usage, generation.cost
    found = {**(_tokens(usage) if usage else {}), "time_to_first_token": generation.timing.time_to_first_chunk}
    return known({**found, **(_money(cost) if cost else {})})


def _tokens(usage: Usage) -> Item:
    given, taken = usage.input_tokens, usage.output_tokens
    read, written = usage.cache_read_input_tokens, usage.cache_write_input_tokens
    rest = None if given is None or (read is None and written is None) else given - (read or 0) - (written or 0)
    return {
        "input_tokens": given,
        "output_tokens": taken,
        "total_tokens": total_tokens(usage),
        "cache_read_input_tokens": read,
        "cache_write_input_tokens": written,
        "non_cached_input_tokens": rest if rest is not None and rest >= 0 else None,
        "reasoning_output_tokens": usage.reasoning_output_tokens,
    }


def _money(cost: Cost) -> Item:
    split = split_cost(cost) or (None, None)
    return {"input_cost": split[0], "output_cost": split[1], "total_cost": cost.total}
