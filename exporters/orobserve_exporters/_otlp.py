"""Destinations that speak OTLP over HTTP: a generation as spans, protobuf or JSON. A profile says what they carry.

A profile overrides `url`, `headers` and `attributes`, often `parent_attributes` and `resource`, seldom anything else.
Values of attributes may be None (left out), text, numbers, booleans, lists of one of them, or anything that JSON can
hold, which becomes JSON text.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from orobserve._version import __version__
from orobserve.delivery import Field, HTTPExporter, HTTPRequest, HTTPResponse, Result, Verdict
from orobserve.telemetry import names
from orobserve_exporters import _otlp_json, _otlp_proto
from orobserve_exporters._spans import Attributes, Event, Span, as_json
from orobserve_exporters._tree import Tree, named_id, place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from orobserve.generation import Attempt, Generation

__all__ = ["SERVICE_NAME", "Attributes", "Event", "OTLPExporter", "Span", "as_json", "endpoint", "sent_headers"]

SERVICE_NAME = Field(name="service_name", help="`service.name` of the spans", default="orobserve")

_SCOPE = (names.SCOPE, __version__)
_INTERNAL, _CLIENT = 1, 3  # span kinds
_FAILED = 400  # the first HTTP status of an error


class OTLPExporter(HTTPExporter):
    """The base of every OTLP destination. A profile overrides `url`, `headers`, `resource`, `attributes`, and flags."""

    FIELDS: ClassVar[tuple[Field, ...]] = (SERVICE_NAME,)
    JSON: ClassVar[bool] = False  # else protobuf
    KEEPS_ORPHANS: ClassVar[bool] = True  # False: a child whose parent the product never gets would vanish
    ORPHAN_OF: ClassVar[str] = f"{names.METADATA_PREFIX}parent_span_id"  # where the dropped link goes then
    ATTEMPTS: ClassVar[bool] = False  # provider attempts as child spans

    def __init__(self, config: Mapping[str, object]) -> None:
        super().__init__(config)
        self._tree = Tree()

    def url(self) -> str:
        """Return the full address of the traces endpoint."""
        raise NotImplementedError

    def headers(self) -> dict[str, str]:
        """Return the headers that authenticate and route."""
        return {}

    def resource(self) -> Attributes:
        """Return the resource's attributes."""
        return {"service.name": self.config.get("service_name") or "orobserve"}

    def attributes(self, generation: Generation) -> Attributes:
        """Return what the generation's span carries: the only span with model, tokens and cost."""
        raise NotImplementedError

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:  # noqa: ARG002 - for profiles
        """Return what a named parent above the generation carries: names, user, session, metadata."""
        return {names.USER_ID: generation.request.user, names.SESSION_ID: generation.request.session_id}

    def attempt_attributes(self, attempt: Attempt) -> Attributes:
        """Return what the span of an attempt carries: never model, tokens or cost."""
        return {names.UPSTREAM: attempt.provider, names.HTTP_STATUS: attempt.status, names.BYOK: attempt.is_byok}

    def span_name(self, generation: Generation) -> str:
        """Return the generation's span name."""
        model = generation.request.model or generation.model
        return generation.name or (f"{generation.operation} {model}" if model else generation.operation)

    def spans(self, generation: Generation) -> list[Span]:
        """Return the generation's span after its named parents, and its attempts where the product shows them."""
        found = place(generation)
        above, dropped = found.above, found.dropped
        if above and not found.parents and not self.KEEPS_ORPHANS:
            above, dropped = None, above
        attributes = self.attributes(generation)
        if dropped:
            attributes = {**attributes, self.ORPHAN_OF: dropped}
        error, timing = generation.error, generation.timing
        events: tuple[Event, ...] = ()
        if error is not None:
            said = {names.EXCEPTION_TYPE: error.type, names.EXCEPTION_MESSAGE: error.message}
            events = (Event(name=names.EXCEPTION_EVENT, time=timing.ended_at, attributes=said),)
        span = Span(
            trace_id=generation.trace_id or "",
            span_id=generation.span_id or "",
            parent_span_id=above,
            name=self.span_name(generation),
            start=timing.started_at,
            end=timing.ended_at,
            kind=_CLIENT,
            attributes=attributes,
            events=events,
            error=(error.message or error.type) if error else None,
        )
        return [*self._parents(generation), span, *(self._attempts(generation) if self.ATTEMPTS else ())]

    def encode(self, batch: Sequence[Generation]) -> HTTPRequest:
        """Return the export request. The same batch gives the same bytes, also when it is encoded again."""
        spans = [span for generation in batch for span in self.spans(generation)]
        return self._request(self._encoding.encode(self.resource(), _SCOPE, spans))

    def judge(self, response: HTTPResponse) -> Result:
        """Return what became of the batch; a partial success is delivered, and says how much of it was refused."""
        result = super().judge(response)
        if result.verdict is not Verdict.DELIVERED or not response.body:
            return result
        is_json = "json" in response.headers.get("content-type", "")
        try:
            rejected, reason = (_otlp_json if is_json else _otlp_proto).partial_success(response.body)
        except ValueError:  # products answer 2xx with whatever they like
            return result
        return replace(result, rejected=rejected, reason=reason)

    def probe(self) -> HTTPRequest:
        """Return an empty export."""
        return self._request(_otlp_json.EMPTY if self.JSON else _otlp_proto.encode(self.resource(), _SCOPE, ()))

    @property
    def _encoding(self) -> ModuleType:
        return _otlp_json if self.JSON else _otlp_proto

    def _request(self, body: bytes) -> HTTPRequest:
        own = {"Content-Type": self._encoding.CONTENT_TYPE, **self.headers()}
        return HTTPRequest(url=self.url(), body=body, headers=sent_headers(self, own))

    def _parents(self, generation: Generation) -> list[Span]:
        """Return the named parents that come with this generation."""
        return [
            Span(
                trace_id=generation.trace_id or "",
                span_id=parent.span_id,
                parent_span_id=parent.parent_span_id,
                name=parent.name,
                start=generation.timing.started_at,
                end=generation.timing.ended_at,
                kind=_INTERNAL,
                attributes=self.parent_attributes(generation, parent.name),
            )
            for parent in self._tree.brought(generation)
        ]

    def _attempts(self, generation: Generation) -> list[Span]:
        """Return one span per provider that was tried, one after the other; one of unknown latency lasts to the end."""
        found: list[Span] = []
        start, end = generation.timing.started_at, generation.timing.ended_at
        for number, attempt in enumerate(generation.routing.attempts if generation.routing else ()):
            took = None if attempt.latency_ms is None else int(attempt.latency_ms * 1e6)
            until = end if took is None else min(start + took, end)
            failed = attempt.status is not None and attempt.status >= _FAILED
            span = Span(
                trace_id=generation.trace_id or "",
                span_id=named_id(generation.trace_id, f"{generation.span_id}/attempt {number + 1}"),
                parent_span_id=generation.span_id,
                name=f"provider attempt {number + 1}" + (f": {attempt.provider}" if attempt.provider else ""),
                start=start,
                end=until,
                kind=_CLIENT,
                attributes=self.attempt_attributes(attempt),
                error=f"HTTP {attempt.status}" if failed else None,
            )
            found.append(span)
            start = until
        return found


def endpoint(base: str, path: str) -> str:
    """Return the address of a path below a base URL that may end in it already."""
    base = base.rstrip("/")
    return base if base.endswith(path) else base + path


def sent_headers(exporter: HTTPExporter, own: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request: the product's, then what the settings add."""
    return {**own, **(exporter.config.get("headers") or {})}
