"""A span that came from somewhere else, in nobody's encoding: what receivers hand to those who know what spans mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at one moment of a span; time in nanoseconds since the epoch."""

    name: str
    time: int
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A span. Ids in lower-case hex; times in nanoseconds since the epoch; attributes may quote anything.

    Values of attributes are texts, booleans, integers, finite floats, and lists and dicts of those.
    """

    trace_id: str
    span_id: str
    name: str
    start: int
    end: int
    parent_span_id: str | None = None
    scope: str = ""
    resource: Mapping[str, Any] = field(default_factory=dict, repr=False)
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    events: tuple[Event, ...] = field(default=(), repr=False)
    is_error: bool = False
    message: str | None = field(default=None, repr=False)  # of the status
