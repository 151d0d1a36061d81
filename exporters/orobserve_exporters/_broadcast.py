"""Generic OTLP destinations: our own attributes, and the names that OpenRouter's Broadcast puts on the wire.

Dashboards and receivers that were made for Broadcast keep working. https://openrouter.ai/docs/guides/features/broadcast
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orobserve.config import Config
from orobserve.delivery import HTTPResponse, Result, Verdict
from orobserve.telemetry import attributes as own
from orobserve.telemetry import content as messages
from orobserve.telemetry import names
from orobserve_exporters._figures import split_cost
from orobserve_exporters._messages import completion, prompt
from orobserve_exporters._otlp import Attributes, OTLPExporter, as_json

if TYPE_CHECKING:
    from orobserve.generation import Attempt, Content, Cost, Generation, Usage

# Who called, by which key and from which app, is in the metadata where the identity group was asked for.
CONFIG = Config(compat=("cost", "legacy_tokens", "legacy_system"), metadata_limit=64)
_BAD_REQUEST = 400


class BroadcastExporter(OTLPExporter):
    """A generic OTLP destination. A profile says where it is and how to get in."""

    ATTEMPTS = True

    def attributes(self, generation: Generation) -> Attributes:
        """Return our own attributes and Broadcast's."""
        found: Attributes = {**own_attributes(generation), **_usage(generation.usage), **_cost(generation.cost)}
        if generation.content is not None:
            found |= _content(generation.content)
        first_chunk = generation.timing.time_to_first_chunk
        return {
            **found,
            **_frame(generation, "generation"),
            "trace.metadata.openrouter.provider_name": generation.provider,
            "trace.metadata.openrouter.finish_reason": (generation.finish_reasons or (None,))[0],
            "trace.metadata.openrouter.first_token_ms": None if first_chunk is None else round(first_chunk * 1e3, 3),
            **{f"span.metadata.{key}": value for key, value in metadata(generation).items()},
        }

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:
        """Return names, user, session, metadata, and what was asked and answered."""
        found = {**super().parent_attributes(generation, name), **_frame(generation, "span")}
        if generation.content is not None:
            said = _content(generation.content)
            found |= {key: said[key] for key in ("trace.input", "trace.output", "span.input", "span.output")}
        return {**found, **{f"{names.METADATA_PREFIX}{key}": value for key, value in metadata(generation).items()}}

    def attempt_attributes(self, attempt: Attempt) -> Attributes:
        """Mark the span as none that has usage."""
        return {**super().attempt_attributes(attempt), "span.type": "span"}

    def judge_probe(self, response: HTTPResponse) -> Result:
        """Pass a refusal of the empty export too: the server is there and has let us in."""
        if response.status == _BAD_REQUEST:
            return Result(verdict=Verdict.DELIVERED, reason="reachable; the server dislikes an empty export (HTTP 400)")
        return super().judge_probe(response)


def own_attributes(generation: Generation, config: Config = CONFIG) -> Attributes:
    """Return the attributes that the application's own spans have, content included where there is any."""
    found: Attributes = {**own.encode(generation, config)}
    if generation.content is not None:
        found |= messages.as_text(messages.encode(generation.content, config))
    return found


def metadata(generation: Generation) -> dict[str, Any]:
    """Return the custom metadata as our own spans have it; the request wins over the ambient context."""
    trace = generation.request.trace
    found = {**(generation.tags or {}), **((trace and trace.metadata) or {})}
    return {key: own.simple(value) for key, value in found.items() if value is not None}


def traces_url(setting: str, value: str, path: str) -> str:
    """Return a URL that has no path yet with one; any other as it is.

    Raises:
        ValueError: it is no HTTP URL.
    """
    found = urlsplit(value)
    if found.scheme not in {"http", "https"} or not found.hostname:
        raise ValueError(f"{setting} must be a full address, such as https://collector.example.com:4318{path}")
    return found._replace(path=path).geturl() if found.path in {"", "/"} else value


def _frame(generation: Generation, kind: str) -> Attributes:
    failed = generation.error is not None
    return {
        "trace.name": generation.trace_name or generation.name,
        "span.type": kind,
        "span.level": "ERROR" if failed else "DEFAULT",
    }


def _usage(usage: Usage | None) -> Attributes:
    if usage is None:
        return {}
    return {
        "gen_ai.usage.input_tokens.cached": usage.cache_read_input_tokens,
        "gen_ai.usage.input_tokens.cache_write": usage.cache_write_input_tokens,
        "gen_ai.usage.output_tokens.reasoning": usage.reasoning_output_tokens,
    }


def _cost(cost: Cost | None) -> Attributes:
    if cost is None:
        return {}
    given, taken = split_cost(cost) or (None, None)
    return {
        "gen_ai.usage.total_cost": cost.total,
        "gen_ai.usage.input_cost": given,
        "gen_ai.usage.output_cost": taken,
    }


def _content(content: Content) -> Attributes:
    asked = as_json({"messages": prompt(content)})
    last = (completion(content) or [{}])[-1]
    answer = {
        "completion": last.get("content"),
        "reasoning": last.get("reasoning"),
        "toolCalls": last.get("tool_calls"),
    }
    answered = as_json({key: value for key, value in answer.items() if value is not None})
    return {
        **dict.fromkeys(("trace.input", "span.input", "gen_ai.prompt"), asked),
        **dict.fromkeys(("trace.output", "span.output", "gen_ai.completion"), answered),
    }
