"""Comet Opik, through its REST API: a generation as a span of a trace, with exact cost, usage and first token.

Opik makes no trace for a span, so both are sent. It keeps them by UUIDs that begin with a time, by which it also finds
them, and it may refuse one whose time is long past.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID

from orobserve.delivery import Field, HTTPExporter, HTTPRequest
from orobserve.telemetry import ids
from orobserve_exporters._address import endpoint
from orobserve_exporters._details import facts, metadata, model, parameters, tags
from orobserve_exporters._figures import known, moment
from orobserve_exporters._messages import completion, prompt
from orobserve_exporters._otlp import as_json, sent_headers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orobserve.generation import Content, Error, Generation, Usage

_Item = dict[str, Any]

_CLOUD = "https://www.comet.com/opik/api"
_HOUR = 3_600_000  # milliseconds
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_TOKENS = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens", "total_tokens": "total_tokens"}
_SUBSETS = {  # Opik counts cached tokens as such only where they stand in the provider's own usage
    "cache_read_input_tokens": "prompt_tokens_details.cached_tokens",
    "cache_write_input_tokens": "prompt_tokens_details.cache_write_tokens",
    "audio_input_tokens": "prompt_tokens_details.audio_tokens",
    "reasoning_output_tokens": "completion_tokens_details.reasoning_tokens",
    "audio_output_tokens": "completion_tokens_details.audio_tokens",
}


class Opik(HTTPExporter):
    """Two requests: the traces of a batch, then its spans. Ids come from the record, so both can be sent again."""

    TYPE = "opik"
    TITLE = "Comet Opik"
    FIELDS = (
        Field(
            name="api_key",
            help="API key; a server of your own may need none",
            secret=True,
            env=("OPIK_API_KEY",),
        ),
        Field(name="workspace", help="workspace; the key's default if not given", env=("OPIK_WORKSPACE",)),
        Field(name="project_name", help="project; `Default Project` if not given", env=("OPIK_PROJECT_NAME",)),
        Field(name="base_url", help="address of the API", default=_CLOUD, env=("OPIK_URL_OVERRIDE",)),
    )

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take the settings.

        Raises:
            ValueError: no key for Comet's own servers, or a `base_url` that is no address.
        """
        super().__init__(config)
        self._base = endpoint(config["base_url"], "/v1/private")
        if not config["api_key"] and self._base.startswith(_CLOUD):
            raise ValueError("set api_key (or OPIK_API_KEY), or the base_url of a server of your own")

    def encode(self, batch: Sequence[Generation]) -> list[HTTPRequest]:
        """Return the requests that deliver a batch, in the order in which they are to be sent."""
        traces: dict[str, _Item] = {}
        spans: dict[str, _Item] = {}
        for generation in batch:
            trace = _trace(generation)
            traces[trace["id"]] = _joined(traces.get(trace["id"]), trace)
            spans |= {span["id"]: span for span in _spans(generation, trace["id"])}
        return [
            self._request("/traces/batch", {"traces": self._placed(traces)}),
            self._request("/spans/batch", {"spans": self._placed(spans)}),
        ]

    def probe(self) -> HTTPRequest:
        """Ask whether the key may use the workspace."""
        return self._request("/auth", {})

    def _placed(self, items: Mapping[str, _Item]) -> list[_Item]:
        return [known({**item, "project_name": self.config["project_name"]}) for item in items.values()]

    def _request(self, path: str, body: _Item) -> HTTPRequest:
        own = {
            "Content-Type": "application/json",
            "Authorization": self.config["api_key"],  # without a scheme
            "Comet-Workspace": self.config["workspace"],
        }
        return HTTPRequest(
            url=f"{self._base}{path}", body=as_json(body).encode(), headers=sent_headers(self, known(own))
        )


def _trace(generation: Generation) -> _Item:
    trace_id, given = _trace_id(generation)
    trace = {
        "id": trace_id,
        **_described(generation, generation.trace_name or _name(generation)),
        "ttft": _first_token(generation),
        "thread_id": generation.request.session_id,
        "error_info": generation.error and _error(generation.error),
    }
    if given:  # somebody else's trace stays as it is: of two rows with one id, that with the later update counts
        trace["last_updated_at"] = _time((UUID(trace_id).int >> 80) * 1_000_000)
    return trace


def _joined(before: _Item | None, trace: _Item) -> _Item:
    """Return the trace of several generations: asked what the first was, answered what the last was."""
    if before is None:
        return trace
    first, last = sorted((before, trace), key=lambda item: item["start_time"])
    start = {name: first[name] for name in ("name", "start_time", "input", "ttft")}
    return {**last, **start, "end_time": max(first["end_time"], last["end_time"])}


def _spans(generation: Generation, trace_id: str) -> list[_Item]:
    """Return the generation's span, after the named one above it. A trace's name is its own, and needs no span."""
    usage, cost, asked = generation.usage, generation.cost, generation.request.trace
    above, outer = asked and asked.parent_span_id, []
    if not above or not _UUID7.fullmatch(above):
        above = None
    if generation.span_name and not above:
        name = "/".join(("", *filter(None, (generation.trace_name, generation.span_name))))
        above = _uuid7(_moment(generation), f"{ids.named_span_id(int(generation.trace_id or '0', 16), name):016x}")
        outer = [{"id": above, "trace_id": trace_id, "type": "general", **_described(generation, generation.span_name)}]
    described = _described(generation, _name(generation))
    details = {**facts(generation), **parameters(generation), **described["metadata"]}
    span = {
        "id": _uuid7(_milliseconds(generation), generation.span_id or ""),
        "trace_id": trace_id,
        "parent_span_id": above,
        "type": "llm",
        **described,
        "metadata": known(
            {**details, "parent_span_id": None if above or generation.trace_name else generation.parent_span_id}
        ),
        "model": model(generation),
        "provider": generation.provider and generation.provider.lower(),
        "usage": usage and _usage(usage),
        "total_estimated_cost": cost and cost.total,
        "ttft": _first_token(generation),
        "error_info": generation.error and _error(generation.error),
    }
    return [*outer, span]


def _described(generation: Generation, name: str) -> _Item:
    """Return what a trace and its spans have alike."""
    content, asked = generation.content, generation.request.trace
    custom = {
        **metadata(generation),
        "user_id": generation.request.user,
        "session_id": generation.request.session_id,
        "openrouter_trace_id": (asked and asked.trace_id) or generation.id,
    }
    return {
        "name": name,
        "start_time": _time(generation.timing.started_at),
        "end_time": _time(generation.timing.ended_at),
        "input": content and known({"messages": prompt(content), "tools": list(content.tools) or None}),
        "output": content and _answers(content),
        "metadata": known(custom),
        "tags": tags(generation) or None,
        "source": "sdk",
    }


def _answers(content: Content) -> _Item:
    messages = completion(content)
    reasons = [message.finish_reason for message in content.output][-len(messages) :]  # the oldest may be left out
    choices = [{"index": number, "message": message} for number, message in enumerate(messages)]
    if len(reasons) == len(choices):
        choices = [{**choice, "finish_reason": reason} for choice, reason in zip(choices, reasons, strict=True)]
    return {"choices": choices}


def _usage(usage: Usage) -> dict[str, int]:
    tokens = {name: getattr(usage, field) for field, name in _TOKENS.items()}
    subsets = {name: getattr(usage, field) for field, name in _SUBSETS.items()}
    return known({**tokens, **{f"original_usage.{name}": count for name, count in {**tokens, **subsets}.items()}})


def _error(error: Error) -> _Item:
    return known(
        {
            "exception_type": error.type,
            "message": error.message,
            "traceback": error.message or error.type,  # Opik refuses an error without one
        }
    )


def _name(generation: Generation) -> str:
    asked = generation.request.model or generation.model
    return generation.name or (f"{generation.operation} {asked}" if asked else generation.operation)


def _first_token(generation: Generation) -> float | None:
    seconds = generation.timing.time_to_first_chunk
    return None if seconds is None else round(seconds * 1e3, 3)


def _trace_id(generation: Generation) -> tuple[str, bool]:
    """Return the trace's UUID, and whether the request gave it: then it is one that Opik has, or will have."""
    asked = generation.request.trace
    if asked and asked.trace_id and _UUID7.fullmatch(asked.trace_id):
        return asked.trace_id.lower(), True
    return _uuid7(_moment(generation), generation.trace_id or ""), False


def _uuid7(milliseconds: int, span_or_trace: str) -> str:
    """Return a UUID of version 7 from a time and the hex digits of an OpenTelemetry id, made as Opik makes its own."""
    value = milliseconds << 80 | int.from_bytes(sha256(bytes.fromhex(span_or_trace)).digest()[:10], "big")
    value = value & ~(0xF << 76) | 0x7 << 76  # the version
    return str(UUID(int=value & ~(0x3 << 62) | 0x2 << 62))  # the variant


def _milliseconds(generation: Generation) -> int:
    return generation.timing.started_at // 1_000_000


def _moment(generation: Generation) -> int:
    """Return the time in the ids of what several generations may share, in milliseconds.

    That is the hour, which those that belong together have in common, nearly always; and the exact time, by which Opik
    sorts, of a generation that is alone in its trace.
    """
    asked, exact = generation.request.trace, _milliseconds(generation)
    shared = generation.parent_span_id or (asked and asked.trace_id)
    return exact // _HOUR * _HOUR if shared else exact


def _time(nanoseconds: int) -> str:
    return moment(nanoseconds).isoformat(timespec="microseconds").replace("+00:00", "Z")
