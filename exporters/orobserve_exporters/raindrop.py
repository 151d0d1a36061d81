"""Raindrop: a generation as the AI event `llm_generation`, as Broadcast sends it, and the figures that it leaves out.

Raindrop takes no event without any text, so one without gets a word in brackets: that keeps it in its conversation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.delivery import Field, HTTPExporter, HTTPRequest, Limits, Result
from orobserve_exporters._address import endpoint
from orobserve_exporters._details import facts, metadata, model, tags
from orobserve_exporters._figures import known, moment, split_cost, total_tokens
from orobserve_exporters._otlp import sent_headers
from orobserve_exporters._spans import as_json
from orobserve_exporters._texts import answer, latest_question, shortened
from orobserve_exporters._tree import event_id, given_parent_id, given_trace_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orobserve.delivery import HTTPResponse
    from orobserve.generation import Generation

_Item = dict[str, Any]

_TRACK, _IDENTIFY = "/v1/events/track", "/v1/users/identify"
_SIDE = 350_000  # bytes of JSON: an event may have 1 MB
_PRIVATE, _NOTHING = "[not sent: privacy mode]", "[no text]"
_FIELDS_OF_THEIR_OWN = frozenset({"cost_usd", "finish_reasons", "provider"})


class Raindrop(HTTPExporter):
    """Events of Raindrop's HTTP API."""

    TYPE = "raindrop"
    TITLE = "Raindrop"
    FIELDS = (
        Field(
            name="write_key",
            help="write key of the project",
            required=True,
            secret=True,
            env=("RAINDROP_WRITE_KEY", "RAINDROP_API_KEY"),
        ),
        Field(name="base_url", help="address of the API", default="https://api.raindrop.ai"),
    )
    LIMITS = Limits(items=50, bytes=4_000_000)

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take the settings.

        Raises:
            ValueError: `base_url` is no address.
        """
        super().__init__(config)
        self._url = endpoint(config["base_url"], _TRACK)

    def encode(self, batch: Sequence[Generation]) -> HTTPRequest:
        """Return the request that delivers a batch."""
        return self._request(self._url, [_event(generation) for generation in batch])

    def probe(self) -> HTTPRequest:
        """Name a user of no calls; Raindrop has no request that would only look at the key."""
        user = {"user_id": "orobserve-connection-test", "traits": {"source": "orobserve"}}
        return self._request(self._url.removesuffix(_TRACK) + _IDENTIFY, [user])

    def judge_probe(self, response: HTTPResponse) -> Result:
        """Return whether the key is accepted."""
        result = super().judge_probe(response)
        hints = {401: "check write_key", 403: "check write_key", 404: "check base_url"}
        hint = hints.get(response.status)
        return Result(verdict=result.verdict, reason=f"{result.reason}: {hint}") if hint else result

    def _request(self, url: str, body: object) -> HTTPRequest:
        own = {"Content-Type": "application/json", "Authorization": f"Bearer {self.config['write_key']}"}
        return HTTPRequest(url=url, body=as_json(body).encode(), headers=sent_headers(self, own))


def _event(generation: Generation) -> _Item:
    request = generation.request
    said = {"model": model(generation), **_texts(generation), "convo_id": request.session_id}
    return {
        "event_id": event_id(generation.trace_id, generation.span_id),
        "user_id": request.user or request.session_id or given_trace_id(generation),
        "event": "llm_generation",
        "timestamp": _time(generation.timing.started_at),
        "ai_data": known(said),
        "properties": {name: _flat(value) for name, value in known(_properties(generation)).items()},
    }


def _texts(generation: Generation) -> _Item:
    content = generation.content
    if content is None:
        return {"input": _PRIVATE}
    asked, answered = shortened(latest_question(content), _SIDE), shortened(answer(content), _SIDE)
    return {"input": asked or (None if answered else _NOTHING), "output": answered or None}


def _properties(generation: Generation) -> _Item:
    """Return Broadcast's properties and ours; those of the user under their own names, where these are still free."""
    usage, cost, error = generation.usage, generation.cost, generation.error
    given, taken = (usage.input_tokens, usage.output_tokens) if usage else (None, None)
    split = (split_cost(cost) if cost else None) or (None, None)
    words = tags(generation)
    return {
        **metadata(generation),
        **({"tags": words} if words else {}),
        **{key: value for key, value in facts(generation).items() if key not in _FIELDS_OF_THEIR_OWN},
        "prompt_tokens": given,
        "completion_tokens": taken,
        "total_tokens": usage and total_tokens(usage),
        "cached_tokens": usage and usage.cache_read_input_tokens,
        "cache_write_tokens": usage and usage.cache_write_input_tokens,
        "reasoning_tokens": usage and usage.reasoning_output_tokens,
        "total_cost": cost and cost.total,
        "input_cost": split[0],
        "output_cost": split[1],
        "duration_ms": round(generation.timing.duration * 1e3),
        "finish_reason": (generation.finish_reasons or (None,))[0],
        "model": model(generation),
        "provider": generation.provider,
        "source": "openrouter",
        "error": error and (error.message or error.type),
        "error_type": error and error.type,
        "trace_id": given_trace_id(generation),
        "span_id": generation.span_id,
        "parent_span_id": given_parent_id(generation) or generation.parent_span_id,
        "trace_name": generation.trace_name or "OpenRouter Request",
        "span_name": generation.span_name,
        "generation_name": generation.name,
    }


def _flat(value: Any) -> Any:  # noqa: ANN401 - JSON
    return as_json(value) if isinstance(value, (dict, list, tuple)) else value


def _time(nanoseconds: int) -> str:
    return moment(nanoseconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")
