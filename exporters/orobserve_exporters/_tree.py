"""Where a generation stands: its trace, what is above it, and which named parents come with it. Knows no payload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from orobserve.telemetry import ids

if TYPE_CHECKING:
    from orobserve.generation import Generation

_NAMED_LIMIT = 4096
_EVENTS = UUID("5e0fa4a1-52c1-5c5f-8d0c-5d0a3f3c6c1e")  # the namespace of `event_id`; never to be changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """A parent that a name stands for; ids in hex."""

    span_id: str
    name: str
    parent_span_id: str | None
    is_trace: bool  # the trace's own name, else a span's


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a generation stands: named parents, outermost first, the span above it, and one that was above those."""

    parents: tuple[Parent, ...]
    above: str | None
    dropped: str | None


class Tree:
    """Remembers which generation brings a named parent. One per exporter."""

    def __init__(self) -> None:
        self._bringers: dict[str, str] = {}  # generation that brings a named parent, by the parent's ids; oldest first

    def brought(self, generation: Generation) -> list[Parent]:
        """Return the named parents that come with this generation.

        A parent comes with the generation that names it first, and again whenever that one is encoded again: so neither
        a retry nor a split batch loses it, and products that cannot recognise a span show it once.
        """
        found = []
        for parent in place(generation).parents:
            key = f"{generation.trace_id}{parent.span_id}"
            if self._bringers.setdefault(key, generation.span_id or "") == generation.span_id:
                found.append(parent)
        while len(self._bringers) > _NAMED_LIMIT:
            del self._bringers[next(iter(self._bringers))]
        return found


def place(generation: Generation) -> Place:
    """Return where a generation stands.

    As in the application's own spans: a parent that the request gave wins over names. Below a span of the application,
    which the destination never gets, names still make a tree of their own.
    """
    given = generation.parent_span_id
    if is_asked_for(generation):
        return Place(parents=(), above=given, dropped=None)
    parents: list[Parent] = []
    above, path = None, ""
    if given == named_id(generation.trace_id, ""):  # where a tracer cannot give ids, this stands for no parent
        given = None
    for name, is_trace in ((generation.trace_name, True), (generation.span_name, False)):
        if name:
            path += f"/{name}"
            span_id = named_id(generation.trace_id, path)
            parents.append(Parent(span_id=span_id, name=name, parent_span_id=above, is_trace=is_trace))
            above = span_id
    if above is None:
        return Place(parents=(), above=given, dropped=None)
    return Place(parents=tuple(parents), above=above, dropped=None if given == above else given)


def is_asked_for(generation: Generation) -> bool:
    """Tell whether the span above the generation is the one that the request named."""
    given, asked = generation.parent_span_id, generation.request.trace
    return bool(given and asked and asked.parent_span_id and f"{ids.span_id(asked.parent_span_id):016x}" == given)


def named_id(trace_id: str | None, name: str) -> str:
    """Return the id of the span that a name stands for in a trace."""
    return f"{ids.named_span_id(int(trace_id or '0', 16), name):016x}"


def given_trace_id(generation: Generation) -> str:
    """Return the trace id as the request gave it, where the record's is made of that, else the record's in hex."""
    asked, found = generation.request.trace, generation.trace_id or ""
    given = asked.trace_id if asked else None
    return given if given and f"{ids.trace_id(given):032x}" == found else found


def given_parent_id(generation: Generation) -> str | None:
    """Return the id of the span that the request put above the generation, as it was given; None if it did not."""
    asked = generation.request.trace
    return asked.parent_span_id if asked and is_asked_for(generation) else None


def event_id(trace_id: str | None, span_id: str | None) -> str:
    """Return the UUID of a span, the same each time, for products that know an event again by it."""
    return str(uuid5(_EVENTS, f"{trace_id}:{span_id}"))
