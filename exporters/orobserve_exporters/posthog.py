"""PostHog LLM analytics: a generation as the event `$ai_generation`, or `$ai_embedding`, with what it cost.

PostHog prices what comes without a cost, and never touches a total that is there. Events that are equal in `uuid`,
time and person become one in the end, so nothing here may change when a batch is sent again.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orobserve._version import __version__
from orobserve.delivery import Field, HTTPExporter, HTTPRequest, Limits, Result, Verdict
from orobserve.generation import Outcome
from orobserve_exporters._details import facts, metadata, model, parameters, tags
from orobserve_exporters._figures import known, moment, split_cost
from orobserve_exporters._messages import chat_messages, fit
from orobserve_exporters._otlp import sent_headers
from orobserve_exporters._spans import as_json
from orobserve_exporters._texts import flat
from orobserve_exporters._tree import Tree, event_id, given_parent_id, given_trace_id, place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orobserve.delivery import HTTPResponse
    from orobserve.generation import Content, Cost, Error, Generation, Usage
    from orobserve_exporters._tree import Parent

_Item = dict[str, Any]

_US, _EU = "https://us.i.posthog.com", "https://eu.i.posthog.com"
_INGESTION = {"https://app.posthog.com": _US, "https://us.posthog.com": _US, "https://eu.posthog.com": _EU}
_SIDE, _TOOLS = 300_000, 150_000  # bytes of JSON: an event may have 900 KiB
_LEVELS = 3  # of custom values; what is deeper is left out, as Broadcast does
_ODD = re.compile(r"[^A-Za-z0-9\-_~.@()!':|]")  # what PostHog has no place for in a trace id
_FIELDS_OF_THEIR_OWN = frozenset({"cost_usd", "time_to_first_token", "provider", "service_tier", "finish_reasons"})


class PostHog(HTTPExporter):
    """Events in the words of PostHog's own SDK."""

    TYPE = "posthog"
    TITLE = "PostHog"
    FIELDS = (
        Field(
            name="api_key",
            help="the project's key, phc_...",
            required=True,
            secret=True,
            env=("POSTHOG_API_KEY", "POSTHOG_PROJECT_API_KEY"),
        ),
        Field(name="endpoint", help=f"{_US}, {_EU}, or your own server", default=_US, env=("POSTHOG_HOST",)),
    )
    LIMITS = Limits(items=100, bytes=5 * 1024 * 1024)

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take the settings.

        Raises:
            ValueError: a key of a person, or an address that is none.
        """
        super().__init__(config)
        self._tree = Tree()
        if config["api_key"].startswith("phx_"):
            raise ValueError("api_key is a personal key (phx_...): take the key of the project (phc_...)")
        found = urlsplit(config["endpoint"])
        if found.scheme not in {"http", "https"} or not found.hostname:
            raise ValueError(f"endpoint must be a full address, such as {_US}")
        base = config["endpoint"].rstrip("/")
        self._base = _INGESTION.get(base, base)  # as the SDK does with addresses of the app

    def encode(self, batch: Sequence[Generation]) -> HTTPRequest:
        """Return the request that delivers a batch. No `sent_at`: the server would shift all times by it."""
        events = [event for generation in batch for event in self._events(generation)]
        return self._request("/batch/", {"historical_migration": False, "batch": events})

    def judge(self, response: HTTPResponse) -> Result:
        """Return what became of the batch; above a project's quota PostHog answers 200 all the same."""
        result = super().judge(response)
        if result.verdict is Verdict.DELIVERED and _is_over_quota(response.body):
            reason = "the project's quota is used up: raise its billing limit in PostHog"
            return Result(verdict=Verdict.REJECTED, reason=reason)
        return result

    def probe(self) -> HTTPRequest:
        """Ask for the flags of nobody, which needs a key that exists; events are taken with any."""
        return self._request("/flags/?v=2", {"distinct_id": "orobserve-connection-test"})

    def judge_probe(self, response: HTTPResponse) -> Result:
        """Return whether the key is one of a project there."""
        result = super().judge_probe(response)
        hints = {
            401: "check api_key, and that endpoint is the project's region",
            404: "check endpoint: it is the address that takes events",
        }
        hint = hints.get(response.status)
        return Result(verdict=result.verdict, reason=f"{result.reason}: {hint}") if hint else result

    def _request(self, path: str, body: _Item) -> HTTPRequest:
        return HTTPRequest(
            url=f"{self._base}{path}",
            headers=sent_headers(self, {"Content-Type": "application/json"}),
            body=as_json({"api_key": self.config["api_key"], **body}).encode(),
        )

    def _events(self, generation: Generation) -> list[_Item]:
        """Return the generation's event after those of the named parents that come with it."""
        parents = [
            _event(
                "$ai_trace" if parent.is_trace else "$ai_span", generation, parent.span_id, _parent(generation, parent)
            )
            for parent in self._tree.brought(generation)
        ]
        name = "$ai_embedding" if generation.operation == "embeddings" else "$ai_generation"
        return [*parents, _event(name, generation, generation.span_id, _generation(generation))]


def _event(name: str, generation: Generation, span_id: str | None, said: _Item) -> _Item:
    request, trace_id = generation.request, given_trace_id(generation)
    words = tags(generation)
    custom = {**metadata(generation), **({"tags": words} if words else {})}
    properties = {
        "$ai_trace_id": _trace_id(generation),
        "trace_id": trace_id if trace_id != _trace_id(generation) else None,
        "$ai_session_id": request.session_id,
        **said,
        "trace_name": generation.trace_name,
        **{f"metadata_{key}": _shallow(value, _LEVELS) for key, value in custom.items()},
        "$ai_lib": "orobserve",
        "$ai_lib_version": __version__,
        "$process_person_profile": None if request.user else False,
        "$geoip_disable": True,
    }
    return {
        "event": name,
        "uuid": event_id(generation.trace_id, span_id),
        "distinct_id": request.user or trace_id,
        "timestamp": _time(generation.timing.ended_at),  # as the SDK's, which sends an event when the call is over
        "properties": known(properties),
    }


def _generation(generation: Generation) -> _Item:
    request, usage, cost = generation.request, generation.usage, generation.cost
    content, given = generation.content, parameters(generation)
    about = {key: value for key, value in facts(generation).items() if key not in _FIELDS_OF_THEIR_OWN}
    return {
        "$ai_span_id": generation.span_id,
        "$ai_parent_id": _above(generation),
        "$ai_span_name": generation.name,
        "$ai_model": model(generation),
        "$ai_provider": generation.provider,
        "$ai_base_url": _base_url(generation),
        "$ai_http_status": generation.status_code,
        "$ai_latency": generation.timing.duration,
        "$ai_time_to_first_token": generation.timing.time_to_first_chunk,
        "$ai_stream": request.stream,
        "$ai_temperature": request.temperature,
        "$ai_max_tokens": request.max_tokens,
        "$ai_model_parameters": known({**given, "stream": request.stream}) or None,
        "$ai_stop_reason": (generation.finish_reasons or (None,))[0],
        "$ai_service_tier": generation.service_tier,
        **(_tokens(usage) if usage else {}),
        **(_money(cost) if cost else {}),
        **(_failure(generation.error) if generation.error or generation.outcome is Outcome.FAILED else {}),
        **(_said(generation, content) if content else {}),
        **{f"openrouter_{key}": value for key, value in about.items()},
        "parent_span_id": None if given_parent_id(generation) else _not_here(generation),
    }


def _parent(generation: Generation, parent: Parent) -> _Item:
    """Return a trace or a span above; how long it took in all is not known here."""
    content = generation.content
    ids = {"$ai_span_id": parent.span_id, "$ai_parent_id": _trace_id(generation)}
    return {
        **({} if parent.is_trace else ids),
        "$ai_span_name": parent.name,
        "$ai_input_state": _prompt(content) if content else None,
        "$ai_output_state": _choices(content) if content else None,
    }


def _above(generation: Generation) -> str:
    """Return what is above the generation: the trace, unless a span of PostHog's is; for it a trace has no span."""
    parents, given = place(generation).parents, given_parent_id(generation)
    return parents[-1].span_id if parents and not parents[-1].is_trace else given or _trace_id(generation)


def _not_here(generation: Generation) -> str | None:
    """Return the span of the application above the generation, which PostHog does not get."""
    found = place(generation)
    return found.dropped if found.parents else found.above


def _trace_id(generation: Generation) -> str:
    return _ODD.sub("_", given_trace_id(generation))


def _base_url(generation: Generation) -> str | None:
    port = generation.server_port
    if generation.server_address is None or port is None:
        return None
    return f"https://{generation.server_address}" if port == 443 else f"http://{generation.server_address}:{port}"  # noqa: PLR2004


def _tokens(usage: Usage) -> _Item:
    return {
        "$ai_input_tokens": usage.input_tokens,
        "$ai_output_tokens": usage.output_tokens,
        "$ai_cache_read_input_tokens": usage.cache_read_input_tokens,
        "$ai_cache_creation_input_tokens": usage.cache_write_input_tokens,
        "$ai_cache_reporting_exclusive": False,  # OpenRouter counts cached tokens as input, for every model
        "$ai_reasoning_tokens": usage.reasoning_output_tokens,
        "$ai_web_search_count": usage.web_search_requests,
    }


def _money(cost: Cost) -> _Item:
    split = split_cost(cost) or (None, None)
    return {
        "$ai_total_cost_usd": cost.total,
        "$ai_input_cost_usd": split[0],
        "$ai_output_cost_usd": split[1],
    }


def _failure(error: Error | None) -> _Item:
    said = (error.message or error.type, error.type) if error else (Outcome.FAILED.value, None)
    return {"$ai_is_error": True, "$ai_error": said[0], "$ai_error_type": said[1]}


def _said(generation: Generation, content: Content) -> _Item:
    if generation.operation == "embeddings":
        texts = [flat(message.parts) for message in content.input]
        shown = fit([{"": text} for text in texts], _SIDE)
        return {"$ai_input": [item[""] for item in shown]}
    tools = [_tool(tool) for tool in content.tools if isinstance(tool, dict)]
    return {
        "$ai_input": _prompt(content) or None,
        "$ai_output_choices": _choices(content) or None,
        "$ai_tools": fit(tools, _TOOLS) or None,
    }


def _tool(tool: _Item) -> _Item:
    """Return a tool as chat completions have it."""
    if tool.get("type") != "function" or "function" in tool:
        return tool
    return {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}


def _prompt(content: Content) -> list[_Item]:
    return fit(chat_messages(content.input, content.system), _SIDE)


def _choices(content: Content) -> list[_Item]:
    return fit([_choice(message) for message in chat_messages(content.output)], _SIDE)


def _choice(message: _Item) -> _Item:
    said, thought = message["content"], message.get("reasoning")
    parts = said if isinstance(said, list) else [{"type": "text", "text": said}] if said else []
    thoughts = [{"type": "thinking", "thinking": thought}] if thought else []
    return {"role": message["role"], "content": [*thoughts, *parts, *message.get("tool_calls", ())]}


def _shallow(value: Any, levels: int) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(value, (dict, list, tuple)):
        return value
    if not levels:
        return "[truncated]"
    if isinstance(value, dict):
        return {key: _shallow(item, levels - 1) for key, item in value.items()}
    return [_shallow(item, levels - 1) for item in value]


def _is_over_quota(body: bytes) -> bool:
    try:
        found = json.loads(body or b"{}")
    except ValueError:  # older servers answer 2xx with whatever they like
        return False
    return isinstance(found, dict) and bool(found.get("quota_limited"))


def _time(nanoseconds: int) -> str:
    return moment(nanoseconds).isoformat(timespec="microseconds").replace("+00:00", "Z")
