"""Destinations that speak OTLP over HTTP: a generation as spans, protobuf or JSON. A profile says what they carry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from orobserve.delivery import HTTPExporter, HTTPRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orobserve.generation import Generation

Attributes = dict[str, Any]  # text, numbers, booleans, and lists of one of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A span to be encoded. Ids in hex; times in nanoseconds since the epoch; kind as OTLP numbers it."""

    trace_id: str
    span_id: str
    name: str
    start: int
    end: int
    parent_span_id: str | None = None
    kind: int = 1
    attributes: Attributes = field(default_factory=dict)
    error: str | None = None  # the status message of a failed call; None: not failed


class OTLPExporter(HTTPExporter):
    """The base of every OTLP destination. A profile overrides `url`, `headers`, `resource`, `attributes`, and flags."""

    JSON: ClassVar[bool] = False  # else protobuf
    KEEPS_ORPHANS: ClassVar[bool] = True  # False: a child whose parent the product never gets would vanish
    ATTEMPTS: ClassVar[bool] = False  # provider attempts as child spans

    def url(self) -> str:
        """Return the full address of the traces endpoint."""
        raise NotImplementedError

    def headers(self) -> dict[str, str]:
        """Return the headers that authenticate and route."""
        return {}

    def resource(self) -> Attributes:
        """Return the resource's attributes."""
        return {"service.name": "orobserve"}

    def attributes(self, generation: Generation) -> Attributes:
        """Return what the generation's span carries: the only span with model, tokens and cost."""
        raise NotImplementedError

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:
        """Return what a named parent above the generation carries: names, user, session, metadata."""
        raise NotImplementedError

    def span_name(self, generation: Generation) -> str:
        """Return the generation's span name."""
        raise NotImplementedError

    def spans(self, generation: Generation) -> list[Span]:
        """Return the generation's span, its named parents, and its attempts where the product shows them."""
        raise NotImplementedError

    def encode(self, batch: Sequence[Generation]) -> HTTPRequest:
        """Return the export request."""
        raise NotImplementedError

    def probe(self) -> HTTPRequest:
        """Return an empty export."""
        raise NotImplementedError


def sent_headers(exporter: HTTPExporter, own: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request: the product's, then what the settings add."""
    return {**own, **(exporter.config.get("headers") or {})}
