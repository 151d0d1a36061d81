"""When two records tell of the same call, and whether the second tells more. Pure; it knows only the record."""

from __future__ import annotations

from dataclasses import fields
from enum import Flag, auto
from typing import TYPE_CHECKING, Any, TypeVar

from orobserve.generation import Request, Usage, changed, known

if TYPE_CHECKING:
    from orobserve.generation import Generation

_Part = TypeVar("_Part", Request, Usage)


class Parts(Flag):
    """What is known of a call, of that which may come later."""

    NONE = 0
    COST = auto()
    USAGE = auto()
    CONTENT = auto()


def key_of(generation: Generation) -> str:
    """Return what a call is known by: its generation id, else its span.

    The call that starts a job (a video, say) is another than the poll that finds it finished, and has no cost.
    """
    is_start = generation.job is not None and not generation.job.finished
    return f"{generation.trace_id}:{generation.span_id}" if is_start or not generation.id else generation.id


def parts_of(generation: Generation) -> Parts:
    """Return what a record tells."""
    found = Parts.NONE
    if generation.cost is not None and generation.cost.total is not None:
        found |= Parts.COST
    if generation.usage is not None:
        found |= Parts.USAGE
    if generation.content is not None:
        found |= Parts.CONTENT
    return found


def is_late(generation: Generation) -> bool:
    """Tell whether a record completes one of the same call that was handed on before."""
    return generation.enrichment is not None and bool(generation.enrichment.is_late)


def completed(generation: Generation, before: Generation) -> Generation:
    """Return a record with what only the one before it knew, and with that one's place in its trace."""
    missing = {
        item.name: getattr(before, item.name) for item in fields(generation) if getattr(generation, item.name) is None
    }
    place = {name: getattr(before, name) for name in ("trace_id", "span_id", "parent_span_id")}
    parts: dict[str, Any] = {"request": _filled(generation.request, before.request)}
    if before.cost and before.cost.total is not None and (not generation.cost or generation.cost.total is None):
        parts["cost"] = before.cost  # what is known stays known
    new, old = generation.usage, before.usage
    if new and old and (new.input_tokens, new.output_tokens) == (old.input_tokens, old.output_tokens):
        parts["usage"] = _filled(new, old)  # parts of other totals than these would be wrong
    return changed(generation, **{**missing, **parts, **place})


def _filled(new: _Part, old: _Part) -> _Part:
    return changed(old, **{name: value for name, value in known(new).items() if value is not None})
