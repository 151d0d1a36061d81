"""Anybody's GenAI span into a record: OpenRouter's Broadcast, our own, other instrumentations. Pure.

A record needs no more than the span says. Which endpoint a call went to, Broadcast does not say: then it is unknown.
Cost is taken from OpenRouter and from us alone: others compute it from price tables.

The generation id, by who sends the span:

- ours: `openrouter.generation.id`.
- Broadcast: `gen_ai.response.id` of the generation's span (seen by receivers of it, such as an openly published parser
  that keys its rows by it; a provider attempt's is `gen-...:attempt-0`); else `openrouter.trace.id` of the resource,
  which is the generation id where the request gave no `trace.trace_id`.
- others: `gen_ai.response.id`, where it begins with `gen-`: chat completions answer with it as their `id`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from orobserve.generation import Cost, Error, Generation, Outcome, Request, Timing, Trace, Usage, fill
from orobserve.telemetry import names, own_spans, spellings
from orobserve.telemetry.conversation import raw_request, read_content
from orobserve.wire.record import merge
from orobserve.wire.request import read_fields
from orobserve.wire.route import DOMAIN, Hosts
from orobserve.wire.usage import price
from orobserve.wire.values import mapping, text, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.telemetry.received import Received
    from orobserve.wire.values import Object

_BROADCAST = "openrouter"
_GENERATION_ID = re.compile(r"gen-[^:\s]+")
_OPERATIONS = {
    "chat": "chat",
    "completion": "text_completion",
    "text_completion": "text_completion",
    "generate_content": "generate_content",
    "generate": "generate_content",
    "embedding": "embeddings",
    "embeddings": "embeddings",
    "rerank": "rerank",
    "transcription": "transcription",
    "batch": "batch",
}
_KINDS = {"LLM": "chat", "EMBEDDING": "embeddings", "RERANKER": "rerank"}  # OpenInference's
_STREAMABLE = {"chat", "text_completion"}
_OTHER_ERROR = "_OTHER"


class Sender(Enum):
    """Who made a span."""

    OURS = "orobserve"
    BROADCAST = "openrouter"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which spans become records: those of OpenRouter's calls, or with `every`, all that stand for calls."""

    every: bool = False
    hosts: Hosts  # that serve OpenRouter's API


def sender_of(span: Received) -> Sender:
    """Return who made a span."""
    given = span.attributes
    if span.scope == names.SCOPE or names.API_TYPE in given:
        return Sender.OURS
    marks = (
        span.scope,
        span.resource.get("service.name"),
        given.get("openrouter.source"),
        given.get("trace.metadata.openrouter.source"),
    )
    return Sender.BROADCAST if _BROADCAST in marks else Sender.OTHER


def generation_of(span: Received, wanted: Wanted) -> Generation | None:
    """Return the record of the call that a span stands for; None: it stands for none, or for none that is wanted."""
    sender = sender_of(span)
    if sender is Sender.OURS:
        found = own_spans.decode(span)
        if found is not None:
            return found
    parts = spellings.read(span.attributes)
    operation = _operation(parts)
    if operation is None or not (sender is not Sender.OTHER or wanted.every or _is_openrouters(parts, wanted.hosts)):
        return None
    made = _made(span, parts, operation, sender, wanted)
    return _with_record(made, span) if sender is Sender.BROADCAST else made


def _operation(parts: Mapping[str, Object]) -> str | None:
    """Return the operation of a span that stands for a call of a model, else None: agents, tools, attempts, parents."""
    kind, usage = parts.get("kind", {}), parts.get("usage", {})
    if kind.get("span", "generation") != "generation":  # Broadcast's parents and attempts are `span`
        return None
    if "operation" in kind:
        return _OPERATIONS.get(kind["operation"])
    if "openinference" in kind:
        return _KINDS.get(kind["openinference"])
    if "traceloop" in kind:
        return _OPERATIONS.get(kind["traceloop"])
    has_model = "model" in parts.get("request", {}) or "model" in parts.get("", {})
    return "chat" if has_model and (usage or kind.get("span")) else None


def _is_openrouters(parts: Mapping[str, Object], hosts: Hosts) -> bool:
    address, system = parts.get("server", {}).get("server_address", ""), parts.get("kind", {}).get("system", "")
    return hosts.know(address.lower()) or system.lower() == _BROADCAST


def _made(span: Received, parts: Mapping[str, Object], operation: str, sender: Sender, wanted: Wanted) -> Generation:
    own, is_billed = dict(parts.get("", {})), sender is not Sender.OTHER
    error = _error(span)
    cost = _cost(parts.get("cost", {}), sender) if is_billed else None
    system, address = parts.get("kind", {}).get("system", ""), parts.get("server", {}).get("server_address")
    is_openrouters = is_billed or _is_openrouters(parts, wanted.hosts)
    if address is None and is_openrouters:
        address = DOMAIN
    if sender is Sender.BROADCAST or not is_openrouters:  # others name the client's dialect, not who served the call
        own.setdefault("provider", system if system.lower() != _BROADCAST else None)
    usage = parts.get("usage")
    found: Object = {
        **own,
        "api_type": None,
        "operation": operation,
        "outcome": _outcome(span, parts, operation, sender) if error is None else Outcome.FAILED,
        "timing": _timing(span, parts.get("times", {})),
        "request": _request(span, parts, sender),
        "server_address": address,
        "server_port": parts.get("server", {}).get("server_port", 443 if address else None),
        "id": _generation_id(span, parts),
        "usage": fill(Usage, usage) if usage else None,
        "cost": cost,
        "error": error,
        "content": read_content(span.attributes, (own.get("finish_reasons") or (None,))[0]),
        "name": _name(span, parts, operation),
        "trace_name": _chosen(parts.get("names", {}).get("trace_name")),
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
    }
    return fill(Generation, found)


def _generation_id(span: Received, parts: Mapping[str, Object]) -> str | None:
    candidates = (parts.get("ids", {}).get("id"), parts.get("", {}).get("response_id"))
    for found in (*candidates, text(span.resource.get("openrouter.trace.id"))):
        if found and _GENERATION_ID.fullmatch(found):
            return str(found)
    return None


def _outcome(span: Received, parts: Mapping[str, Object], operation: str, sender: Sender) -> Outcome:
    """Return how a call ended that has not failed. Broadcast's calls that were cancelled have no finish reason."""
    if sender is not Sender.BROADCAST:
        return Outcome.COMPLETE
    told = span.attributes.get("trace.metadata.openrouter_generation.cancelled")
    is_cut = operation in _STREAMABLE and "span" in parts.get("kind", {}) and "finish_reasons" not in parts.get("", {})
    return Outcome.CANCELLED if told is True or (told is None and is_cut) else Outcome.COMPLETE


def _error(span: Received) -> Error | None:
    kind = text(span.attributes.get(names.ERROR_TYPE))
    level = text(span.attributes.get("span.level"))
    if not span.is_error and kind is None and level != "ERROR":
        return None
    said = next((event.attributes for event in span.events if event.name == names.EXCEPTION_EVENT), {})
    message = span.message or text(said.get(names.EXCEPTION_MESSAGE))
    raised = text(said.get(names.EXCEPTION_TYPE))
    return Error(type=kind or raised or _OTHER_ERROR, message=message)


def _cost(given: Object, sender: Sender) -> Cost | None:
    """Return what OpenRouter billed. Of a call with the caller's own key the span's total is all that is known."""
    total = given.get("total")
    if total is None:
        return None
    split = {"upstream_input": given.get("input"), "upstream_output": given.get("output")}
    source = "generation" if sender is Sender.BROADCAST else "response"
    if given.get("is_byok"):
        return Cost(total=total, is_byok=True, source=source, **split)
    return price(total, is_byok=given.get("is_byok"), source=source, **split)


def _timing(span: Received, given: Object) -> Timing:
    seconds = given.get("first_chunk_seconds")
    if seconds is None and "first_chunk_ms" in given:
        seconds = given["first_chunk_ms"] / 1e3
    first = None
    if seconds is not None and 0 <= seconds <= (span.end - span.start) / 1e9:
        first = span.start + round(seconds * 1e9)
    return Timing(started_at=span.start, ended_at=span.end, first_chunk_at=first)


def _request(span: Received, parts: Mapping[str, Object], sender: Sender) -> Request:
    raw = raw_request(span.attributes) if sender is Sender.BROADCAST else {}
    sent = mapping(spellings.parsed(span.attributes.get("llm.invocation_parameters")))
    fields = {**read_fields(sent), **read_fields(raw), **parts.get("request", {})}
    metadata = _metadata(span.attributes)
    given = fields.pop("trace", None)
    raw_id = text(span.resource.get("openrouter.trace.id")) if sender is Sender.BROADCAST else None
    trace_id = None if raw_id is None or _GENERATION_ID.fullmatch(raw_id) else raw_id
    trace = given or (Trace() if metadata or trace_id else None)
    if trace is not None:
        metadata = {**(trace.metadata or {}), **metadata}
        trace = replace(trace, trace_id=trace.trace_id or trace_id, metadata=metadata or None)
    return fill(Request, {**fields, "trace": trace} if trace else fields)


def _metadata(attributes: Mapping[str, Any]) -> Object:
    """Return the custom metadata: all that Broadcast puts there but what has a field of its own in the record."""
    found: Object = {**mapping(spellings.parsed(attributes.get("metadata")))}  # OpenInference's
    for prefix in (spellings.ASSOCIATIONS, *spellings.METADATA_PREFIXES):
        for name, value in attributes.items():
            if name.startswith(prefix) and name not in spellings.KNOWN and name[len(prefix) :] not in spellings.SAID:
                found[name[len(prefix) :]] = spellings.parsed(value)
    return found


def _name(span: Received, parts: Mapping[str, Object], operation: str) -> str | None:
    """Return what the generation was called, where that is somebody's choice."""
    models = {parts.get("request", {}).get("model"), parts.get("", {}).get("model"), None}
    usual = {*models, operation, *(f"{operation} {model}" for model in models)}
    return None if span.name in usual else _chosen(span.name)


def _chosen(name: str | None) -> str | None:
    return None if not name or name in spellings.DEFAULT_NAMES else whole(name)


def _with_record(generation: Generation, span: Received) -> Generation:
    """Return the record with what Broadcast says in the words of OpenRouter's own record of the call."""
    given: Object = {}
    for prefix in spellings.METADATA_PREFIXES:
        start = prefix + spellings.RECORD
        given |= {
            name[len(start) :]: spellings.parsed(value)
            for name, value in span.attributes.items()
            if name.startswith(start)
        }
        responses = spellings.parsed(span.attributes.get(f"{prefix}provider_responses"))
        if isinstance(responses, list):
            given["provider_responses"] = responses
    if not given:
        return generation
    given.setdefault("upstream_inference_cost", given.get("byok_usage_inference"))
    merged = replace(merge(generation, given), enrichment=None)  # nobody has asked for it
    cost, said = merged.cost, generation.cost
    if cost is not None and said is not None and cost.is_byok and cost.upstream is None:
        return replace(merged, cost=replace(cost, total=said.total))
    return merged
